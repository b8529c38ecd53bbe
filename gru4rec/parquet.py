"""Parquet files, read so that a damaged one is an error and no more.

The reader, which is Polars' and native code, may panic on a damaged file, or end its process. So it runs in a process
of its own, this file as a program, which hands the columns back in a file without a name, and whose memory is limited.
First the frame of the file is checked: what it begins and ends with, and that its footer lies within it.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

MAGIC = b"PAR1"
_CANNOT = 3  # exit status: the message on the standard error says why, after a mark
_MARK = b"\0"
_MEMORY, _MEMORY_PER_BYTE = 8 * 2**30, 200  # of the reading process: address space, and more for each byte of the file
_ROWS_PER_BYTE = 10_000  # more than any encoding of ids and times reaches
_ENCRYPTED = b"PARE"


def read(path: Path, columns: list[str]) -> pl.DataFrame:
    """These columns of a Parquet file.

    Raises:
        ValueError: for a file that is damaged or lacks a column.
        OSError: for one that cannot be read.
    """
    _check_frame(path)
    with tempfile.TemporaryFile() as columns_file:
        command = [sys.executable, "-P", __file__, os.fspath(path.absolute()), json.dumps(columns)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=columns_file, stderr=subprocess.PIPE, check=False
        )  # fmt: skip
        if done.returncode == _CANNOT:
            raise ValueError(f"{path}{done.stderr.rpartition(_MARK)[2].decode('utf-8', 'replace')}")
        if done.returncode:
            how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with status {done.returncode}"
            raise ValueError(f"{path} is damaged: the process that read it ended {how}")
        columns_file.seek(0)
        return pl.read_ipc(columns_file)


def source(path: str | Path) -> str | io.BytesIO:
    """What Polars reads: the name of a file, or its content where the name is no UTF-8, which Polars cannot open."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            return io.BytesIO(file.read())
    return name


def _check_frame(path: Path) -> None:
    """Raise ValueError unless the file has Parquet's marks at both ends, and room for the footer that it declares."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 8))
        end = file.read(8)
    if start != MAGIC:
        raise ValueError(f"{path} is no Parquet file")
    if size < 12 or end[4:] not in (MAGIC, _ENCRYPTED):
        raise ValueError(f"{path} is damaged: its end is missing")
    footer = int.from_bytes(end[:4], "little")
    if footer > size - 12:
        raise ValueError(f"{path} is damaged: it declares a footer of {footer:,} bytes, and has {size:,} in all")


def _child(path: str, columns: list[str]) -> int:
    """Write the columns to the standard output, or to the standard error what is to stand after the file's name."""
    size = os.path.getsize(path)
    _limit_memory(_MEMORY + _MEMORY_PER_BYTE * size)
    try:
        frame = pl.scan_parquet(source(path), glob=False, hive_partitioning=False)
        present = frame.collect_schema().names()
        for name in columns:
            if name not in present:
                shown = ", ".join(present)
                shown = shown if len(shown) < 80 else f"{shown[:80]}..."
                return _say(f" has no column {name!r}; its columns are {shown}")
        rows = frame.select(pl.len()).collect().item()
        if rows > _ROWS_PER_BYTE * size:
            return _say(f" is damaged: it declares {rows:,} rows, and has {size:,} bytes")
        found = frame.select(columns).collect()
        # dictionaries of one process mean nothing in another
        found = found.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    except BaseException as problem:  # a panic is no Exception
        return _say(f" is damaged: {' '.join(str(problem).split())[:200]}")
    try:
        found.write_ipc(sys.stdout.buffer)
        sys.stdout.flush()
    except BaseException as problem:
        return _say(f" cannot be handed on through {tempfile.gettempdir()}: {' '.join(str(problem).split())[:200]}")
    return 0


def _limit_memory(limit: int) -> None:
    """Let this process fail where a damaged file has it ask for more memory, or for more than the machine has."""
    try:
        import resource

        limit = min(limit, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, ValueError, OSError):
        pass  # no limits on this system, or a lower one already


def _say(problem: str) -> int:
    sys.stderr.buffer.write(_MARK + problem.encode("utf-8", "backslashreplace"))
    sys.stderr.flush()
    return _CANNOT


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1], json.loads(sys.argv[2])))
