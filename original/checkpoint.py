"""Model files: safetensors, with settings in the header as JSON. Nothing in a file is ever executed or unpickled.

Tensors: ``weight/NAME``, ``state/SLOT/NAME``, ``items`` (item ids; JSON bytes where they are no integers), ``support``,
and what training needs to go on exactly: ``stream/...`` (the NumPy stream), ``dropout/J`` (the MRG streams),
``store/...`` (before the store was drawn).
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from original.network import state_slots, weight_shapes
from original.settings import RULES

FORMAT = "gru4rec-original-1"


def save(model, path):
    """Write ``model`` to ``path``: to a temporary name first, then renamed."""
    network = model._built()
    tensors = {f"weight/{name}": value for name, value in model.get_weights().items()}
    tensors |= {f"state/{name}": value for name, value in model.get_optimizer_state().items()}
    tensors |= _stream_tensors("stream", model._stream.get_state())
    tensors |= {f"dropout/{j}": state for j, state in enumerate(model._masks.get_state())}
    header = {
        "format": FORMAT,
        "params": model.get_params(),
        "n_items": network.n_items,
        "epochs_done": model.epochs_done,
        "error_during_train": bool(model.error_during_train),
    }
    if model.itemidmap is not None:
        tensors["items"], header["item_dtype"] = _ids_to_array(model.itemidmap.index)
        header["item_name"] = model.itemidmap.index.name
    if getattr(model, "support", None) is not None:
        tensors["support"] = model.support
        header["sample_store"] = model._sample_store
        state, pointer = model._store_state()
        if state is not None:
            tensors |= _stream_tensors("store", state)
            header["store_pointer"] = pointer
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()},
            temporary,
            {"gru4rec": json.dumps(header)},
        )
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(cls, path):
    """Read a model file into a new ``cls``. Raises FileNotFoundError; ValueError for a damaged file or one whose shapes
    do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such model file")
    try:
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get("gru4rec", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(
            f"path={str(path)!r}: not a model file, or damaged ({error}); accepted is a file written by save"
        ) from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"path={str(path)!r}: format {header.get('format')!r}; accepted is {FORMAT!r}, as written by save"
        )

    try:
        return _restore(cls, path, header, tensors)
    except KeyError as missing:
        raise ValueError(
            f"path={str(path)!r}: {missing.args[0]} is missing; accepted is a whole file, as written by save"
        ) from None


def _restore(cls, path, header, tensors):
    """The model of a file's contents. Raises KeyError for what is missing."""
    unknown = set(header["params"]) - set(RULES)
    if unknown:
        raise ValueError(f"path={str(path)!r}: unknown options {sorted(unknown)}; accepted are {', '.join(RULES)}")
    model = cls(**header["params"])
    _check_shapes(path, model, header, tensors)
    model._stream = np.random.RandomState()
    model._stream.set_state(_stream_state("stream", tensors))
    model._install(
        {name.removeprefix("weight/"): value for name, value in tensors.items() if name.startswith("weight/")}
    )
    model.set_optimizer_state(
        {name.removeprefix("state/"): v for name, v in tensors.items() if name.startswith("state/")}
    )
    model._masks.set_state([tensors[f"dropout/{j}"] for j in range(len(model.dropout_sites()))])
    model.epochs_done, model.error_during_train = header["epochs_done"], header["error_during_train"]
    if "items" in tensors:
        ids = pd.Index(_array_to_ids(tensors["items"], header["item_dtype"]), name=header["item_name"])
        model.itemidmap = pd.Series(np.arange(len(ids)), index=ids, name="ItemIdx")
    if "support" in tensors:
        store = _stream_state("store", tensors) if "store_pointer" in header else None
        model.support = tensors["support"]
        model._sample_store = header["sample_store"]
        model._saved_store = (store, header.get("store_pointer"))
    return model


def _check_shapes(path, model, header, tensors):
    """Compare every tensor with what the file's own settings ask for."""
    expected = {}
    for name, blocks in weight_shapes(model, header["n_items"]).items():
        shape = (*blocks[0][:-1], sum(block[-1] for block in blocks))
        expected[f"weight/{name}"] = shape
        expected |= {f"state/{slot}/{name}": shape for slot in state_slots(model)}
    if "item_dtype" in header and header["item_dtype"] != "json":
        expected["items"] = (header["n_items"],)
    if "support" in tensors:
        expected["support"] = (header["n_items"],)
    for name, shape in expected.items():
        found = tensors[name].shape if name in tensors else None
        if found != shape:
            raise ValueError(f"path={str(path)!r}: {name} has shape {found}; the file's settings make it {shape}")


def _stream_tensors(name, state):
    """A RandomState's state as tensors."""
    _, key, position, has_gauss, gauss = state
    return {f"{name}/key": key, f"{name}/position": np.array([position, has_gauss]), f"{name}/gauss": np.array([gauss])}


def _stream_state(name, tensors):
    position, has_gauss = map(int, tensors[f"{name}/position"])
    return "MT19937", tensors[f"{name}/key"], position, has_gauss, float(tensors[f"{name}/gauss"][0])


def _ids_to_array(ids):
    values = ids.to_numpy()
    if values.dtype.kind in "iuf":
        return values, str(values.dtype)
    try:
        text = json.dumps(ids.tolist(), default=np.generic.item)
    except TypeError:
        kinds = ", ".join(sorted({type(value).__name__ for value in ids}))
        raise ValueError(f"item ids of type {kinds}: accepted in a model file are numbers and texts") from None
    return np.frombuffer(text.encode(), np.uint8), "json"


def _array_to_ids(array, dtype):
    return json.loads(array.tobytes().decode()) if dtype == "json" else array
