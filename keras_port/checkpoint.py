"""A model as a value that is written to one file and read again.

The file is a safetensors file: weights, optimizer state, item ids and random streams are its tensors; the settings
stand in its header, with a SHA-256 over everything.
"""

import json
import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_port import files, initial_weights, item_ids, optimizers, parts
from keras_port.distribution import Split
from keras_port.dropout import M1, M2, SUBSTREAMS
from keras_port.events import Fingerprint
from keras_port.sampling import RngState, rows_in_store
from keras_port.settings import Settings

FORMAT = "keras_port.GRU4Rec 2"
_FIRST_FORMAT = "keras_port.GRU4Rec 1"  # without a checksum; texts as ids stand in its header
_TYPES_OF_STATE = {"keys": "uint32", "gauss": "float64", "fingerprint": "uint8"} | dict.fromkeys(
    ("position", "used", "epochs_done", "diverged", "support", "sample_store"), "int64"
)
_STREAM = {"keys": (624,), "position": (2,), "gauss": (1,)}


@dataclass(frozen=True)
class Checkpoint:
    """Everything of a model, between two epochs.

    settings: its options. item_ids: (n,) in index order. weights: by name. state: what training goes on from, as
    :meth:`keras_port.state.TrainingState.to_arrays` gives it.
    """

    settings: Settings
    item_ids: np.ndarray
    weights: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def write(checkpoint: Checkpoint, path: str | os.PathLike) -> None:
    """Write ``path``, whole or not at all.

    Raises:
        FileNotFoundError: its folder is missing.
        OSError: it cannot be written; an earlier file is left as it was.
    """
    files.check_folder(path)
    files.write_tensors(path, _tensors(checkpoint), _header(checkpoint))
    parts.remove_earlier(path)


def write_parts(checkpoint: Checkpoint, split: Mapping[str, Any], over: Split, path: str | os.PathLike) -> None:
    """:func:`write` by several processes, each of which writes its rows of the ``split`` variables, by tensor name.

    ``checkpoint`` has the rest; every process has to call, and they share the folder. Errors as of :func:`write`.
    """
    files.check_folder(path)
    parts.write(path, _tensors(checkpoint), split, over, _header(checkpoint))


def _tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    tensors = {f"weight/{name}": values for name, values in checkpoint.weights.items()}
    tensors.update({f"state/{name}": np.asarray(values) for name, values in checkpoint.state.items()})
    tensors.update(item_ids.to_arrays(checkpoint.item_ids))
    return tensors


def _header(checkpoint: Checkpoint) -> dict[str, str]:
    return {
        "format": FORMAT,
        "settings": json.dumps(checkpoint.settings.saved()),
        "n_items": str(len(checkpoint.item_ids)),
        "item_type": _type_of(checkpoint.item_ids),
    }


def read(path: str | os.PathLike) -> Checkpoint:
    """Read a file of :func:`write`, or of an earlier release. Sizes are checked before memory is taken for them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or does not fit together.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no model file {path}")
    with open(path, "rb") as file, ExitStack() as stack:
        try:
            return _read(parts.Whole(files.TensorFile(file), path, stack))
        except (ValueError, OverflowError, RecursionError) as fault:
            raise ValueError(f"{path}: {fault}") from None


def _read(file: parts.Whole) -> Checkpoint:
    if file.header.get("format") not in (FORMAT, _FIRST_FORMAT):
        raise ValueError(f"format {file.header.get('format')!r}; {FORMAT!r} is accepted")
    is_first = file.header["format"] == _FIRST_FORMAT
    for name in ("settings", "n_items", "item_type", *([] if is_first else ["sha256"])):
        if name not in file.header:
            raise ValueError(f"the header has no {name}")
    settings = settings_from(json.loads(file.header["settings"]))
    n_items = int(file.header["n_items"])
    weights = {name.removeprefix("weight/"): shape for name, shape in file.shapes.items() if name[:7] == "weight/"}
    check_shapes(weights, initial_weights.shapes(settings, n_items))
    state = {name.removeprefix("state/"): shape for name, shape in file.shapes.items() if name[:6] == "state/"}
    check_state_shapes(state, settings, n_items)
    check_types(file.types, settings)
    tensors = file.read_all(check=not is_first)
    if is_first and file.header["item_type"] == "string":
        texts = json.loads(file.header.get("item_ids", "[]"))
        tensors.update(item_ids.to_arrays(np.array([*map(str, texts), None], object)[:-1]))
    found = Checkpoint(
        settings=settings,
        item_ids=item_ids.from_arrays(tensors, n_items),
        weights={name: tensors[f"weight/{name}"] for name in weights},
        state={name: tensors[f"state/{name}"] for name in state},
    )
    kind, wanted = _type_of(found.item_ids), file.header["item_type"]
    if not is_first and kind != wanted:
        raise ValueError(f"item ids of type {kind}, where its header names {wanted}")
    check_state(found.state, settings, n_items)
    return found


def _type_of(ids: np.ndarray) -> str:
    return "text" if ids.dtype.kind == "O" else ids.dtype.name


def check_types(found: Mapping[str, np.dtype], settings: Settings) -> None:
    """Raise ValueError unless a file's weights and state are of the types that they are written in."""
    for name, dtype in found.items():
        wanted = _TYPES_OF_STATE.get(name.split("/")[-1])
        if name.startswith(("weight/", "state/slot/")):
            wanted = settings.dtype
        elif name.startswith("state/masks/"):
            wanted = "int32"
        if wanted is not None and not name.startswith("item_ids") and dtype != wanted:
            raise ValueError(f"{name} has type {dtype}; {wanted} is accepted")


def settings_from(options: Any) -> Settings:
    """The settings of a file's options; those that it lacks are at their defaults. Raises ValueError for bad ones."""
    if not isinstance(options, dict):
        raise ValueError("its settings are no table")
    try:
        return Settings(**options)
    except TypeError as fault:
        raise ValueError(f"its settings: {fault}") from None


def check_shapes(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless there are exactly the tensors that the settings have, in their shapes."""
    for name, shape in wanted.items():
        if name not in found:
            raise ValueError(f"{name} is missing")
        if tuple(found[name]) != shape:
            raise ValueError(f"{name} has shape {tuple(found[name])}; {shape} is accepted")
    unknown = sorted(found.keys() - wanted.keys())
    if unknown:
        raise ValueError(f"{unknown[0]}: no tensor of a model with these settings")


def check_state_shapes(found: Mapping[str, tuple[int, ...]], settings: Settings, n_items: int) -> None:
    """Raise ValueError unless the arrays of a training's state are those that the settings have, in their shapes."""
    wanted = {
        f"slot/{slot}/{name}": shape
        for name, shape in initial_weights.shapes(settings, n_items).items()
        for slot in optimizers.slot_names(settings)
    }
    wanted |= {f"rng/{part}": shape for part, shape in _STREAM.items()} | {"epochs_done": ()}
    if "masks/0" in found:
        wanted |= {f"masks/{j}": (6, SUBSTREAMS) for j in range(len(settings.dropout_sites))}
    if "support" in found:
        wanted |= {"support": (n_items,), "sample_store": ()}
    if "store/used" in found:
        wanted |= {f"store/{part}": shape for part, shape in _STREAM.items()} | {"store/used": ()}
    if "diverged" in found:
        wanted["diverged"] = ()
    if "fingerprint" in found:
        wanted["fingerprint"] = (math.prod(found["fingerprint"]),)
    check_shapes(found, wanted)


def check_state(state: Mapping[str, np.ndarray], settings: Settings, n_items: int) -> None:
    """Raise ValueError unless random streams, counts and supports are in their ranges."""
    for name in ("epochs_done", "sample_store", "store/used"):
        if name in state and integer(state, name) < 0:
            raise ValueError(f"{name} is {integer(state, name)}; at least 0 is accepted")
    for prefix in ("rng", *(["store"] if "store/used" in state else [])):
        rng_state(prefix, state)
    if "store/used" in state:
        rows = rows_in_store(integer(state, "sample_store") if "sample_store" in state else 0, settings.n_sample)
        if integer(state, "store/used") > rows:
            raise ValueError(f"store/used is {integer(state, 'store/used')}; at most {rows} is accepted")
    for j in range(len(settings.dropout_sites)):
        if f"masks/{j}" in state:
            limits = np.repeat([M1, M2], 3)[:, None]
            stream = state[f"masks/{j}"]
            if stream.dtype.kind not in "iu" or (stream < 0).any() or (stream >= limits).any():
                raise ValueError(f"masks/{j} is no state of MRG31k3p")
    if "fingerprint" in state:
        Fingerprint.read(state["fingerprint"])
    if "support" in state:
        support = state["support"]
        if support.dtype.kind not in "iu" or (support < 0).any():
            raise ValueError("support has a value that is no number of events")
        if settings.batch_size > support.sum():
            raise ValueError(f"batch_size={settings.batch_size}, but it was trained on {support.sum()} events")


def integer(arrays: Mapping[str, np.ndarray], name: str) -> int:
    """A whole number out of an array of one. Raises ValueError for another array."""
    values = np.ravel(arrays[name])  # some file formats give a scalar back as a vector of one
    if values.size != 1 or values.dtype.kind not in "iu":
        raise ValueError(f"{name} is no whole number")
    return int(values[0])


def rng_arrays(prefix: str, state: RngState) -> dict[str, np.ndarray]:
    """The state of a NumPy stream as arrays PREFIX/keys, PREFIX/position and PREFIX/gauss."""
    _, keys, position, has_gauss, gauss = state
    places = np.array([position, has_gauss], np.int64)
    return {f"{prefix}/keys": keys, f"{prefix}/position": places, f"{prefix}/gauss": np.array([gauss])}


def rng_state(prefix: str, arrays: Mapping[str, np.ndarray]) -> RngState:
    """The state out of the arrays of :func:`rng_arrays`. Raises ValueError for one that NumPy cannot go on from."""
    keys, places, gauss = (arrays[f"{prefix}/{part}"] for part in _STREAM)
    if places.dtype.kind not in "iu" or keys.dtype.kind not in "iu" or gauss.dtype.kind != "f":
        raise ValueError(f"{prefix}: no state of a random stream")
    position, has_gauss = (int(value) for value in places)
    if not (0 <= position <= 624 and has_gauss in (0, 1) and np.isfinite(gauss).all()):
        raise ValueError(f"{prefix}/position is {position}, {has_gauss}; 0 to 624, and 0 or 1, are accepted")
    if not ((keys >= 0) & (keys < 2**32)).all():
        raise ValueError(f"{prefix}/keys has a value outside 0..2^32 - 1")
    return "MT19937", keys.astype(np.uint32), position, has_gauss, float(gauss[0])


class Loaded:
    """The state of a training out of a Keras file, until ``GRU4Rec.from_model`` goes on from it."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def to_arrays(self) -> dict[str, np.ndarray]:
        return self.arrays

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)


def of_keras(model: Any) -> Checkpoint:
    """The checkpoint of a :class:`~keras_port.model.SessionModel`, such as Keras loads from a .keras file.

    Raises:
        ValueError: it has no item ids, or no state of a training, as one that was not trained has.
    """
    if model.item_ids is None or model.training is None:
        raise ValueError("the model has no item ids, or no state of a training: it is not whole")
    weights = {name: model.split.read(variable) for name, variable in model.named_weights.items()}
    return Checkpoint(model.settings, model.item_ids, weights, dict(model.training.to_arrays()))


def digest_of(found: Checkpoint) -> str:
    """SHA-256 over all of a checkpoint."""
    tensors = {f"weight/{name}": values for name, values in found.weights.items()}
    tensors |= {f"state/{name}": np.asarray(values) for name, values in found.state.items()}
    tensors |= item_ids.to_arrays(found.item_ids)
    return files.digest(tensors, {"settings": json.dumps(found.settings.as_dict())})


def to_keras_store(store: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Put arrays into a model's part of a Keras file, whose names have no slashes."""
    for name, values in arrays.items():
        store[name.replace("/", ".")] = values


def from_keras_store(store: Any) -> dict[str, np.ndarray]:
    """The arrays of :func:`to_keras_store`."""
    found = {name.replace(".", "/"): np.asarray(store[name]) for name in store.keys()}
    for name in ("epochs_done", "diverged", "sample_store", "store/used"):  # scalars, given back as vectors of one
        if name in found and found[name].size == 1:
            found[name] = found[name].reshape(())
    return found


def write_ids(ids: np.ndarray, digest: str | None, folder: str) -> None:
    """Write item ids to ``item_ids.json`` in the folder of a Keras file's assets: their type, and each.

    ``digest``: of the whole model, :func:`digest_of`; None where it has no state of a training.
    """
    kind = "text" if ids.dtype.kind == "O" else ids.dtype.name
    told = {"type": kind, "ids": ids.tolist(), "sha256": digest}
    Path(folder, "item_ids.json").write_text(json.dumps(told), encoding="utf-8")


def read_ids(folder: str, n_items: int) -> tuple[np.ndarray, str | None]:
    """The item ids of :func:`write_ids`, and the digest, None in files of earlier releases.

    Raises ValueError unless they are ``n_items`` different ones of one type.
    """
    path = Path(folder, "item_ids.json")
    if not path.exists():
        raise ValueError("item_ids.json is missing: the model has no item ids")
    found = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(found, list):  # of an earlier release
        found = {"type": "text" if found and isinstance(found[0], str) else "int64", "ids": found}
    kind, ids = (found.get(name) if isinstance(found, dict) else None for name in ("type", "ids"))
    wanted = {"text": str, "f": float}.get(kind if kind == "text" else str(kind)[:1], int)
    if not isinstance(ids, list) or not all(type(value) is wanted for value in ids):
        raise ValueError(f"item_ids.json: a list of ids of one type, {kind}, is accepted")
    try:
        values = np.array([*ids, None], object)[:-1] if kind == "text" else np.array(ids, np.dtype(kind))
    except (TypeError, OverflowError, ValueError) as fault:
        raise ValueError(f"item_ids.json: {fault}") from None
    if values.tolist() != ids or values.dtype.kind not in "iufO":
        raise ValueError(f"item_ids.json: the ids are no {kind}")
    item_ids.check_complete(values, n_items)
    return values, found.get("sha256")
