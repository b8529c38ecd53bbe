"""Model files: safetensors, with the settings and counters as JSON in the header. Nothing in one is ever executed.

Tensors: ``weight/NAME``, ``state/SLOT/NAME``, ``hidden/K``, ``items`` (numbers) or ``items/text`` and ``items/ends``
(texts as UTF-8), ``support``, and what training needs to go on exactly: ``stream/...`` (the NumPy stream),
``dropout/J`` (the MRG streams), ``store/...`` (the stream before the store of samples was drawn). A SHA-256 over the
tensors and the rest of the header stands in the header.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from original.batches import Begun
from original.initial_weights import Weights, weight_shapes
from original.optimizers import slots
from original.sampling import StorePosition
from original.settings import Settings, is_whole

FORMAT = "gru4rec-original-2"
_DTYPES = {"f4": "F32", "f8": "F64", "f2": "F16", "b1": "BOOL"} | {
    f"{kind}{size}": f"{kind.upper()}{size * 8}" for kind in "iu" for size in (1, 2, 4, 8)
}
_NUMBERS_OF_MT19937 = 624


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All of a model that a file holds.

    Attributes:
        settings: of the model.
        weights: by name.
        optimizer_state: by ``SLOT/WEIGHT``.
        hidden: (batch_size, L_k) a layer, rows of lanes that are not there zero.
        lanes: how many lanes there are.
        stream: state of the NumPy stream.
        dropout: states of the MRG streams.
        epochs_done: whole epochs that ``fit`` has done.
        error_during_train: whether training diverged.
        item_ids: (n,), None before the model has seen data.
        support: (n,), None before the model has seen data.
        begun: what the training began with; None before there is one.
    """

    settings: Settings
    weights: Weights
    optimizer_state: Weights
    hidden: list[np.ndarray]
    lanes: int
    stream: tuple[Any, ...]
    dropout: list[np.ndarray]
    epochs_done: int = 0
    error_during_train: bool = False
    item_ids: pd.Index | None = None
    support: np.ndarray | None = None
    begun: Begun | None = None


# Writing.


def target(path: str | os.PathLike[str]) -> Path:
    """The file that would be written; a link stays one, and the file that it points to is replaced.

    Raises:
        FileNotFoundError: for a missing folder.
        IsADirectoryError: where ``path`` is a folder.
        OSError: where it is a device or another thing that is no file.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; the name of a file is accepted")
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: no file; the name of a file is accepted")
    return path


def write(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a model file whole or not at all: under a temporary name in its folder, flushed, then renamed.

    Raises:
        OSError: see :func:`target`, and where it cannot be written; an older file of the name is left as it was then.
    """
    path = target(path)
    tensors, header = _tensors(checkpoint), _header(checkpoint)
    header["sha256"] = _checksum(tensors, header)
    # The system gives a new file the mode that umask asks for; mkstemp would make it unreadable for others.
    temporary = Path(tempfile.mktemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))  # noqa: S306 -- opened with O_EXCL below
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            _write_safetensors(file, tensors, {"gru4rec": json.dumps(header)})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _header(checkpoint: Checkpoint) -> dict[str, Any]:
    begun = checkpoint.begun
    return {
        "format": FORMAT,
        "params": checkpoint.settings.as_dict(),
        "n_items": len(checkpoint.weights["By"]),
        "lanes": checkpoint.lanes,
        "epochs_done": checkpoint.epochs_done,
        "error_during_train": bool(checkpoint.error_during_train),
        "item_name": None if checkpoint.item_ids is None else checkpoint.item_ids.name,
        "item_type": None if checkpoint.item_ids is None else _item_type(checkpoint.item_ids),
        "sample_store": begun.sample_store if begun else None,
        "store_pointer": begun.position.pointer if begun and begun.position else None,
        "digests": begun.digests if begun else None,
    }


def _tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    tensors = {f"weight/{name}": value for name, value in checkpoint.weights.items()}
    tensors |= {f"state/{name}": value for name, value in checkpoint.optimizer_state.items()}
    tensors |= {f"hidden/{k}": value for k, value in enumerate(checkpoint.hidden)}
    tensors |= {f"dropout/{j}": state for j, state in enumerate(checkpoint.dropout)}
    tensors |= _stream_tensors("stream", checkpoint.stream)
    if checkpoint.item_ids is not None:
        tensors |= _id_tensors(checkpoint.item_ids)
    if checkpoint.support is not None:
        tensors["support"] = checkpoint.support
    if checkpoint.begun is not None and checkpoint.begun.position is not None:
        tensors |= _stream_tensors("store", checkpoint.begun.position.state)
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def _stream_tensors(name: str, state: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """A RandomState's state as tensors."""
    _, key, position, has_gauss, gauss = state
    return {f"{name}/key": key, f"{name}/position": np.array([position, has_gauss]), f"{name}/gauss": np.array([gauss])}


def _item_type(ids: pd.Index) -> str:
    """The type of ids that are numbers, else 'text'."""
    return ids.dtype.name if ids.dtype.kind in "iuf" else "text"


def _id_tensors(ids: pd.Index) -> dict[str, np.ndarray]:
    if _item_type(ids) != "text":
        return {"items": ids.to_numpy()}
    parts = [text.encode("utf-8", "surrogatepass") for text in ids]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return {"items/text": np.frombuffer(b"".join(parts), np.uint8), "items/ends": ends}


def _checksum(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    """SHA-256 over the header without its own checksum, and over every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in header.items() if k != "sha256"}, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.str} {tensors[name].shape}".encode())
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _bytes(array: np.ndarray) -> Any:
    """The bytes of a contiguous array, not copied."""
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def _write_safetensors(file: Any, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """The format of safetensors: the header's length (8 bytes), the header as JSON, the tensors one after the other.

    The package's own writer copies all tensors into bytes first, and its errors are no OSError.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    begin, names = 0, sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in names:
        array = tensors[name]
        end = begin + array.nbytes
        kind = _DTYPES[f"{array.dtype.kind}{array.dtype.itemsize}"]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        file.write(_bytes(tensors[name]))


# Reading.


class _Damaged(ValueError):
    """What is wrong with a file, without its name."""


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a model file.

    Sizes are compared, with the file's and with those that its settings ask for, before memory is taken.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for a file that is damaged, or none that :func:`write` has written.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no model file {path}")
    try:
        with safe_open(path, "np") as file:
            header = _parsed(file.metadata())
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            settings = _checked(header, shapes)
            tensors = {name: file.get_tensor(name) for name in shapes}
        if _checksum(tensors, header) != header["sha256"]:
            raise _Damaged("damaged: its checksum is not that of its contents")
        return _checkpoint(settings, header, tensors)
    except SafetensorError as problem:
        raise ValueError(f"{path}: no model file, or damaged ({problem})") from None
    except _Damaged as problem:
        raise ValueError(f"{path}: {problem}") from None


def _parsed(metadata: dict[str, str] | None) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {}).get("gru4rec", ""))
    except (ValueError, RecursionError):
        raise _Damaged("no model file of this engine, or damaged: its header cannot be read") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise _Damaged(f"format={found!r}: {FORMAT!r} is accepted")
    return header


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_whole(value, 0, 2**53)


def _is_digests(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())


_ENTRIES = {
    "params": lambda value: isinstance(value, dict),
    "n_items": _is_count,
    "lanes": _is_count,
    "epochs_done": _is_count,
    "error_during_train": lambda value: isinstance(value, bool),
    "item_name": lambda value: value is None or isinstance(value, str),
    "item_type": lambda value: value is None or isinstance(value, str),
    "sample_store": lambda value: value is None or _is_count(value),
    "store_pointer": lambda value: value is None or _is_count(value),
    "digests": lambda value: value is None or _is_digests(value),
    "sha256": lambda value: isinstance(value, str),
}


def _checked(header: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> Settings:
    """The settings of a header, whose entries, and whose tensors' shapes, were found to be in order."""
    for name, accepts in _ENTRIES.items():
        if name not in header:
            raise _Damaged(f"{name} is missing in its header")
        if not accepts(header[name]):
            raise _Damaged(f"{name}={_short(header[name])} in its header is no value of it")
    try:
        settings = Settings(**header["params"])
    except (TypeError, ValueError) as problem:
        raise _Damaged(f"the options in its header: {problem}") from None
    # Before names are made of the settings: no file has tensors for a billion layers.
    if len(settings.layers) > len(shapes) or not 1 <= header["lanes"] <= settings.batch_size:
        raise _Damaged("its header does not fit its tensors")
    for name, shape in _expected(settings, header, shapes).items():
        if shapes.get(name) != shape:
            raise _Damaged(f"{name} has shape {shapes.get(name)}; the file's settings make it {shape}")
    return settings


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(
    settings: Settings, header: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The shape that each tensor must have."""
    n_items = header["n_items"]
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in weight_shapes(settings, n_items).items():
        expected[f"weight/{name}"] = shape
        expected |= {f"state/{slot}/{name}": shape for slot in slots(settings.adapt, settings.momentum)}
    expected |= {f"hidden/{k}": (settings.batch_size, L) for k, L in enumerate(settings.layers)}
    streams = ["stream"] + (["store"] if header["store_pointer"] is not None else [])
    for stream in streams:
        parts = {"key": (_NUMBERS_OF_MT19937,), "position": (2,), "gauss": (1,)}
        expected |= {f"{stream}/{part}": shape for part, shape in parts.items()}
    if header["item_type"] is not None:
        expected["items/ends" if header["item_type"] == "text" else "items"] = (n_items,)
    if "support" in shapes:
        expected["support"] = (n_items,)
    return expected


def _checkpoint(settings: Settings, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Checkpoint:
    wanted = np.dtype(settings.dtype)
    for name, value in tensors.items():
        if name.startswith(("weight/", "state/", "hidden/")) and value.dtype != wanted:
            raise _Damaged(f"{name} holds {value.dtype}; the file's settings make it {wanted}")
    names, support = weight_shapes(settings, header["n_items"]), tensors.get("support")
    if support is not None and (support.dtype.kind not in "iu" or (support < 0).any()):
        raise _Damaged("support holds what are no numbers of events")
    return Checkpoint(
        settings=settings,
        weights={name: tensors[f"weight/{name}"] for name in names},
        optimizer_state={
            f"{slot}/{name}": tensors[f"state/{slot}/{name}"]
            for name in names
            for slot in slots(settings.adapt, settings.momentum)
        },
        hidden=[tensors[f"hidden/{k}"] for k in range(len(settings.layers))],
        lanes=header["lanes"],
        stream=_stream_state("stream", tensors),
        dropout=[tensors[name] for name in _dropout(tensors)],
        epochs_done=header["epochs_done"],
        error_during_train=header["error_during_train"],
        item_ids=_item_ids(tensors, header["item_type"], header["item_name"]),
        support=support,
        begun=_begun(settings, header, tensors),
    )


def _begun(settings: Settings, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Begun | None:
    pointer, sample_store, digests = header["store_pointer"], header["sample_store"], header["digests"]
    if sample_store is None or digests is None:
        return None
    if pointer is None:
        return Begun(digests, sample_store, None)
    if not settings.n_sample or pointer > sample_store // settings.n_sample:
        raise _Damaged(f"store_pointer={pointer} in its header is beyond the store of samples")
    return Begun(digests, sample_store, StorePosition(_stream_state("store", tensors), pointer))


def _dropout(tensors: dict[str, np.ndarray]) -> list[str]:
    """Names of the dropout streams in order; their number and form is for :class:`DropoutMasks` to check."""
    found = [name for name in tensors if name.startswith("dropout/")]
    wanted = [f"dropout/{j}" for j in range(len(found))]
    if set(found) != set(wanted):
        raise _Damaged("its dropout streams are not numbered from 0")
    return wanted


def _stream_state(name: str, tensors: dict[str, np.ndarray]) -> tuple[Any, ...]:
    """A RandomState's state, which NumPy itself does not check: a position out of range reads foreign memory."""
    key, positions, gauss = (tensors[f"{name}/{part}"] for part in ("key", "position", "gauss"))
    position, has_gauss = (int(number) for number in positions) if positions.dtype.kind in "iu" else (-1, -1)
    fits = 0 <= position <= _NUMBERS_OF_MT19937 and has_gauss in (0, 1) and key.dtype == np.uint32
    if not fits or gauss.dtype != np.float64 or not np.isfinite(gauss[0]):
        raise _Damaged(f"{name}: no state of a random stream")
    return "MT19937", key, position, has_gauss, float(gauss[0])


def _item_ids(tensors: dict[str, np.ndarray], item_type: str | None, name: str | None) -> pd.Index | None:
    if item_type is None:
        return None
    if item_type == "text":
        ids = pd.Index(list(_texts(tensors)), name=name)
    elif tensors["items"].dtype.kind in "iuf" and tensors["items"].dtype.name == item_type:
        ids = pd.Index(tensors["items"], name=name)
    else:
        raise _Damaged(f"items holds {tensors['items'].dtype}; its header makes it {_short(item_type)}")
    if not ids.is_unique or ids.hasnans:
        raise _Damaged("two of its items have the same id, or one has none")
    return ids


def _texts(tensors: dict[str, np.ndarray]) -> Iterator[str]:
    ends, text = tensors["items/ends"], tensors.get("items/text")
    if text is None or text.dtype != np.uint8 or text.ndim != 1 or ends.dtype != np.int64:
        raise _Damaged("the texts of its items do not fit")
    if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != len(text):
        raise _Damaged("the texts of its items do not fit")
    data, begin = text.tobytes(), 0
    for end in ends.tolist():
        try:
            yield data[begin:end].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise _Damaged("the texts of its items are no UTF-8") from None
        begin = end
