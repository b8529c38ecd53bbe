"""Arrays in a ``.npz`` from anyone: nothing is believed, nothing is executed, no more memory is taken than allowed."""

import errno
import io
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from gru4rec.files import written_whole

LIMIT = 1 << 30  # bytes of all members, decompressed
MOST_MEMBERS = 200_000
# Deflate cannot do better than 1032:1, so a member that declares more is no honest one.
MOST_RATIO = 1032
_HEADER_BYTES = 16_384
_CHUNK = 1 << 16
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError, IndexError,
    OverflowError, MemoryError,
)  # fmt: skip
_ENTRY = r"'descr':'(?P<descr>[^']{1,12})'|'fortran_order':(?P<fortran>True|False)|'shape':\((?P<shape>[0-9,L]*)\)"
_HEADER = re.compile(rf"\{{(?:{_ENTRY}),(?:{_ENTRY.replace('P<', 'P<b_')}),(?:{_ENTRY.replace('P<', 'P<c_')}),?\}}")
_DTYPE = re.compile(r"\|b1|\|[iu]1|[<>=|][iu][1248]|[<>=|]f[248]|[<>=]U[1-9][0-9]{0,7}")


class _Cautious(io.FileIO):
    """A file of which no reader takes more than a given number of bytes in one go, as a forged directory would."""

    most = _CHUNK

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > self.most:
            raise ValueError(f"a directory of {size} bytes; at most {self.most} are accepted")
        return super().read(size)


def read_arrays(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz``, by key.

    Accepted are bool, integers, floats of 2, 4 and 8 bytes and texts, of native or other byte order (given back in the
    native one), stored or deflated. Before memory is taken for an array, its declared shape is compared with the size
    that the archive declares for it, and the sum of these with ``limit``.

    Args:
        path: the file.
        limit: bytes that all members together may have when decompressed.

    Raises:
        OSError: the file cannot be read.
        ValueError: ``PATH: KEY: what is wrong`` for anything else.
    """
    path = Path(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path}: no regular file")
    with _Cautious(path) as file:
        file.most = max(limit // 64, 1 << 17)
        try:
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, limit)
                return {key: _read(archive, member, key) for key, member in members.items()}
        except _DAMAGE as problem:
            raise ValueError(f"{path}: {_words(problem)}") from None
        except OSError as problem:
            if problem.errno == errno.EINVAL:  # a position that a damaged directory gave
                raise ValueError(f"{path}: a part that lies outside the file") from None
            raise OSError(problem.errno, problem.strerror, str(path)) from None


def _words(problem: BaseException) -> str:
    if isinstance(problem, zipfile.BadZipFile) and str(problem) == "File is not a zip file":
        return "no zip archive"
    text = " ".join(str(problem).split())[:300]
    return text or type(problem).__name__


def _members(archive: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    """Members by key, after all that can be known without reading one."""
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    if not archive.infolist():
        raise ValueError("an archive without members")
    if len(archive.infolist()) > MOST_MEMBERS:
        raise ValueError(f"{len(archive.infolist())} members; at most {MOST_MEMBERS} are accepted")
    for member in archive.infolist():
        name = member.filename
        key = name.removesuffix(".npy")
        if key == name or not re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", key) or len(name) > 200:
            raise ValueError(f"{name[:80]!r}: no name of a part of a recording")
        if key in found:
            raise ValueError(f"{key}: there twice")
        if member.flag_bits & 0x1:
            raise ValueError(f"{key}: encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{key}: compression method {member.compress_type}; stored or deflated is accepted")
        if member.file_size > MOST_RATIO * member.compress_size + 64:
            raise ValueError(
                f"{key}: {member.file_size} bytes declared, which {member.compress_size} compressed bytes cannot hold"
            )
        total += member.file_size
        if total > limit:
            raise ValueError(f"{key}: {total} bytes declared up to this part; at most {limit} are accepted")
        found[key] = member
    return found


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, key: str) -> np.ndarray:
    try:
        with archive.open(member) as file:
            dtype, fortran, shape, begin = _header(file)
            declared = math.prod(shape) * dtype.itemsize
            if declared != member.file_size - begin:
                raise ValueError(
                    f"shape {shape} of {dtype.str} has {declared} bytes, the archive holds {member.file_size - begin}"
                )
            values = np.empty(math.prod(shape), dtype)
            _fill(file, values.view(np.uint8).data if values.nbytes else memoryview(b""))
    except _DAMAGE as problem:
        raise ValueError(f"{key}: {_words(problem)}") from None
    _check_bits(values, key)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """dtype, whether the first axis runs fastest, shape, and the length of it all. Its text is parsed, never run."""
    start = _exactly(file, 8)
    if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise ValueError("no array of NumPy")
    size = 2 if start[6] == 1 else 4
    length = int.from_bytes(_exactly(file, size), "little")
    if length > _HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes; at most {_HEADER_BYTES} are accepted")
    text = _exactly(file, length).decode("latin1")
    match = _HEADER.fullmatch(re.sub(r"\s+", "", text))
    groups = match.groupdict() if match else {}
    parts = {name.removeprefix("b_").removeprefix("c_"): value for name, value in groups.items() if value is not None}
    if parts.keys() != {"descr", "fortran", "shape"}:
        raise ValueError("a header that says no type, order and shape")
    if not _DTYPE.fullmatch(parts["descr"]):
        raise ValueError(f"type {parts['descr']!r}; bool, whole numbers, floats and texts of fixed width are accepted")
    numbers = [number.removesuffix("L") for number in parts["shape"].split(",") if number]
    if len(numbers) > 8 or any(len(number) > 18 or not number.isdigit() for number in numbers):
        raise ValueError(f"shape ({parts['shape'][:80]})")
    return np.dtype(parts["descr"]), parts["fortran"] == "True", tuple(map(int, numbers)), 8 + size + length


def _exactly(file: IO[bytes], size: int) -> bytes:
    found = file.read(size)
    if len(found) != size:
        raise ValueError("it ends too early")
    return found


def _fill(file: IO[bytes], target: memoryview) -> None:
    """Read all of ``target``, and the end of the member, at which its CRC-32 is compared."""
    at = 0
    while at < len(target):
        part = file.read(min(_CHUNK, len(target) - at))
        if not part:
            raise ValueError("it ends too early")
        target[at : at + len(part)] = part
        at += len(part)
    if file.read(1):
        raise ValueError("more bytes than declared")


def _check_bits(values: np.ndarray, key: str) -> None:
    """A bool is 0 or 1, a text holds characters: other bits would raise, or lie, much later."""
    if values.dtype.kind == "b" and values.size and values.view(np.uint8).max() > 1:
        raise ValueError(f"{key}: a bool that is neither 0 nor 1")
    if values.dtype.kind == "U" and values.nbytes:
        points = values.view(np.dtype("u4").newbyteorder(values.dtype.byteorder))
        if points.max() > 0x10FFFF or ((points >= 0xD800) & (points <= 0xDFFF)).any():
            raise ValueError(f"{key}: a text with a code that is no character")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed ``.npz`` whole or not at all. Raises OSError where it cannot be written."""
    with written_whole(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
