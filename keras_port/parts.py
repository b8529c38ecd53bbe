"""A model's file in parts: each process writes the rows of the item tensors that it holds, any number reads them.

The file itself holds all that every process has, and names the parts, which lie beside it as ``FILE.HASH.part`` after
their SHA-256. It is written last, so that at any moment it names whole parts; those of the file before it are removed
after that.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from keras_port import distribution, files
from keras_port.distribution import Split

FORMAT = "keras_port.GRU4Rec part 1"
HEADER = "parts"  # of the file's header


def write(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    split: Mapping[str, Any],
    over: Split,
    header: Mapping[str, str],
) -> None:
    """Write ``path`` and its parts. Every process has to call, and they share the folder.

    Args:
        path: of the file.
        tensors: what every process has, by name.
        split: variables whose rows are split, by name.
        over: how they are split.
        header: of the file.

    Raises:
        OSError: this process cannot write.
    """
    path = Path(path).resolve()
    own = {name: over.own_rows(variable) for name, variable in split.items()}
    first = next(iter(own.values()))[0]
    rows = {name: found for name, (_, found) in own.items()}
    about = {"format": FORMAT, "first": str(first)}
    digest = files.write_tensors(lambda digest: _part(path, digest), rows, about)
    place = np.array([first, len(next(iter(rows.values())))], np.int64).view(np.uint8)
    told = distribution.gathered(np.concatenate([place, np.frombuffer(bytes.fromhex(digest), np.uint8)]))
    named = {bytes(each[16:]).hex(): each[:16].copy().view(np.int64).tolist() for each in told}
    if distribution.process_index() == 0:
        files.write_tensors(path, tensors, {**header, HEADER: json.dumps(named)})
        remove_earlier(path, {_part(path, digest) for digest in named})
    distribution.wait_for_all("the file is written")


def remove_earlier(path: str | os.PathLike, present: Collection[Path] = ()) -> None:
    """Remove the parts of what ``path`` was before; those ``present`` stay."""
    path = Path(path).resolve()
    for old in path.parent.glob(f"{_escaped(path.name)}.{'[0-9a-f]' * 16}.part"):
        if old not in present:
            old.unlink(missing_ok=True)


def _part(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.name}.{digest[:16]}.part")


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


class Whole:
    """A file of :func:`write`, or one without parts, as one file: what :class:`~keras_port.files.TensorFile` gives.

    Raises:
        ValueError: a part is missing, or does not fit.
    """

    def __init__(self, file: files.TensorFile, path: str | os.PathLike, stack: ExitStack):
        self.file, self.parts = file, []
        self.header, self.shapes, self.types = file.header, dict(file.shapes), dict(file.types)
        if HEADER not in file.header:
            return
        named = json.loads(file.header[HEADER])
        if not isinstance(named, dict) or not named:
            raise ValueError("its header names no parts")
        end = 0
        for digest, (first, rows) in sorted(named.items(), key=lambda item: item[1]):
            part = _part(Path(path).resolve(), digest)
            if not part.exists():
                raise ValueError(f"its part {part.name} is missing")
            found = files.TensorFile(stack.enter_context(part.open("rb")))
            lengths = {shape[:1] for shape in found.shapes.values()}
            if found.header.get("sha256") != digest or first != end or lengths != {(rows,)}:
                raise ValueError(f"its part {part.name} is another one")
            end += rows
            self.parts.append((part.name, found, first))
        for name, shape in self.parts[0][1].shapes.items():
            self.shapes[name] = (end, *shape[1:])
            self.types[name] = self.parts[0][1].types[name]
            if any(
                f.shapes.get(name, ())[1:] != shape[1:] or f.types[name] != self.types[name] for _, f, _ in self.parts
            ):
                raise ValueError(f"its parts have {name} in several shapes or types")

    def read_all(self, check: bool = True) -> dict[str, np.ndarray]:
        """All tensors. Raises ValueError where a file does not have the SHA-256 of its header, unless not ``check``."""
        own = {name: self.file.read(name) for name in self.file.shapes}
        if check and files.digest(own, self.file.header) != self.file.header["sha256"]:
            raise ValueError("damaged: its contents do not have the SHA-256 of its header")
        found = {name: np.empty(shape, self.types[name]) for name, shape in self.shapes.items() if name not in own}
        for name, part, first in self.parts:
            rows = {tensor: part.read(tensor) for tensor in part.shapes}
            if files.digest(rows, part.header) != part.header["sha256"]:
                raise ValueError(f"its part {name} is damaged: it does not have the SHA-256 of its header")
            for tensor, values in rows.items():
                found[tensor][first : first + len(values)] = values
        return {**own, **found}
