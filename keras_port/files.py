"""Files written whole, and tensors in the safetensors format. Nothing is ever unpickled."""

import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

_TYPES = {
    f"{letter}{8 * size}": np.dtype(f"<{kind}{size}")
    for letter, kind, sizes in (("F", "f", (4, 8)), ("I", "i", (1, 2, 4, 8)), ("U", "u", (1, 2, 4, 8)))
    for size in sizes
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MOST_HEADER = 100_000_000  # bytes, the format's limit
_umask_lock = Lock()


def check_folder(path: str | os.PathLike) -> None:
    """Raise FileNotFoundError where the folder that ``path`` would stand in is missing."""
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no folder {folder}")


def write_whole(path: str | os.PathLike, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a temporary name beside ``path``, and give it its name when it is whole and on the disk.

    Its mode is that of the file it replaces, or what the umask gives to a new one; a link's target is replaced.

    Raises:
        FileNotFoundError: the folder is missing.
        OSError: ``path`` is no regular file, or cannot be written; nothing is left behind.
    """
    check_folder(path)
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            write(file)
            file.flush()
            os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    with _umask_lock:  # it can be read by setting it only
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def write_tensors(
    path: str | os.PathLike | Callable[[str], Path], tensors: Mapping[str, np.ndarray], header: Mapping[str, str]
) -> str:
    """Write arrays of numbers and a header of texts, whose ``sha256`` is that of both, to a safetensors file.

    Returns that hash; ``path`` may be a function of it.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # so that all are aligned
    little = {name: tensors[name].astype(tensors[name].dtype.newbyteorder("<"), copy=False) for name in order}
    found = digest(little, header)
    entries: dict[str, Any] = {"__metadata__": {**header, "sha256": found}}
    end = 0
    for name, values in little.items():
        place = [end, end := end + values.nbytes]
        entries[name] = {"dtype": _NAMES[values.dtype], "shape": list(values.shape), "data_offsets": place}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)

    def write(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for values in little.values():
            file.write(np.ascontiguousarray(values).data)

    write_whole(path(found) if callable(path) else path, write)
    return found


class TensorFile:
    """The header of a safetensors file, compared with the file's size; arrays are read when asked for.

    header: texts by name. shapes, types: of each tensor by name.

    Raises:
        ValueError: the file is no safetensors file, or not whole.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MOST_HEADER):
            raise ValueError("truncated, or no safetensors file")
        try:
            entries = json.loads(file.read(length))
            self.header: dict[str, str] = entries.pop("__metadata__", {})
            self._start, self._entries = 8 + length, entries
            self.shapes = {name: tuple(map(_size, entry["shape"])) for name, entry in entries.items()}
            self.types = {name: _TYPES[entry["dtype"]] for name, entry in entries.items()}
            places = {name: (*map(_size, entry["data_offsets"]),) for name, entry in entries.items()}
            if not isinstance(self.header, dict) or not all(isinstance(text, str) for text in self.header.values()):
                raise ValueError("metadata")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as fault:
            raise ValueError(f"truncated, or no safetensors file: {type(fault).__name__} in its header") from None
        end = 0
        if any(len(place) != 2 for place in places.values()):
            raise ValueError("the header's offsets are no pairs")
        for name, (begins, ends) in sorted(places.items(), key=lambda item: item[1]):
            if begins != end or ends - begins != math.prod(self.shapes[name]) * self.types[name].itemsize:
                raise ValueError(f"the header's sizes of {name!r} do not fit together")
            end = ends
        if self._start + end != size:
            raise ValueError(f"truncated: {size} bytes, where its header names {self._start + end}")
        self._places = places

    def read(self, name: str) -> np.ndarray:
        """The array of a name."""
        self.file.seek(self._start + self._places[name][0])
        values = np.fromfile(self.file, self.types[name], math.prod(self.shapes[name]))
        return values.reshape(self.shapes[name])


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a size")
    return value


def digest(tensors: Mapping[str, np.ndarray], header: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the texts of the header but its ``sha256``."""
    found = hashlib.sha256()
    for name, text in sorted(header.items()):
        if name != "sha256":
            found.update(json.dumps([name, text]).encode())
    for name in sorted(tensors):
        values = tensors[name]
        found.update(json.dumps([name, _NAMES[values.dtype], values.shape]).encode())
        found.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
