"""One file for a whole model: safetensors, with settings in its JSON header. Nothing is ever unpickled."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT = "keras_port.GRU4Rec 1"


def save(gru, path):
    """Write ``gru`` to ``path``, under a temporary name until it is whole."""
    state = gru.model.train_state.to_arrays()
    tensors = {f"weight/{name}": values for name, values in gru.get_weights().items()}
    tensors.update({f"state/{name}": np.asarray(values) for name, values in state.items()})
    ids = gru.itemidmap.index
    settings = gru.model.settings.to_json() | {"n_epochs": gru.n_epochs}  # the one option that may change in between
    header = {"format": FORMAT, "settings": json.dumps(settings), "n_items": str(gru.n_items)}
    header["item_type"] = _item_type(ids)
    if header["item_type"] == "string":
        header["item_ids"] = json.dumps(list(ids))
    else:
        tensors["item_ids"] = ids.to_numpy()
    _write_then_rename(
        path, lambda name: save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, name, header)
    )


def load(cls, path, options):
    """A ``cls`` from a file of :func:`save`, with further constructor options.

    Raises FileNotFoundError, or ValueError for a file that cannot be one.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as fault:
        raise ValueError(f"{path} is truncated or no safetensors file: {fault}") from fault
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}: {FORMAT!r} is accepted")
    try:
        gru = cls(**json.loads(header["settings"]), **options)
        n_items = int(header["n_items"])
        ids = json.loads(header["item_ids"]) if header["item_type"] == "string" else tensors["item_ids"]
        gru._new_model(n_items)
        weights = {name.removeprefix("weight/"): v for name, v in tensors.items() if name.startswith("weight/")}
        state = {name.removeprefix("state/"): v for name, v in tensors.items() if name.startswith("state/")}
        _check_complete(weights, {name: tuple(v.shape) for name, v in gru.model.named_weights.items()})
        slots = {f"slot/{name}": tuple(v.shape) for name, v in gru.model.train_state.slots.items()}
        _check_complete({name: v for name, v in state.items() if name.startswith("slot/")}, slots)
        if len(ids) != n_items:
            raise ValueError(f"{len(ids)} item ids for {n_items} items")
        gru.set_weights(weights)
        gru.model.train_state.from_arrays(state)
    except (KeyError, TypeError, ValueError) as fault:
        raise ValueError(f"{path} does not fit together: {fault}") from fault
    gru._name_items(pd.Index(ids))
    gru._take_support()
    return gru


def _item_type(ids):
    if pd.api.types.is_integer_dtype(ids.dtype):
        return "integer"
    if all(isinstance(item, str) for item in ids):
        return "string"
    raise ValueError(f"item ids of type {ids.dtype}: integers or strings are accepted in a file")


def _check_complete(found, wanted):
    shapes = {name: values.shape for name, values in found.items()}
    if shapes != wanted:
        wrong = sorted(set(shapes.items()) ^ set(wanted.items()), key=str)
        raise ValueError(f"tensors or shapes that the settings do not have, or lack: {wrong[:4]}")


def _write_then_rename(path, write):
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        write(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
