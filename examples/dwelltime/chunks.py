"""Reading a sessions file of any size, whole sessions at a time."""

import logging
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Mapping

import polars as pl

from examples.sessions import Columns

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 * 2**20

Report = Callable[[int], None]  # is told how many bytes have been read since the last time


def session_chunks(
    path: Path, columns: Columns = Columns(), block_bytes: int = BLOCK_BYTES, report: Report = lambda size: None
) -> Iterator[pl.DataFrame]:
    """The file's events in its own order, in frames that hold their sessions whole; one frame at least.

    Whatever the columns' names in the file, the frames have ``SessionId``, ``ItemId`` and ``Time``, all as text of the
    file, and ``Seconds``, the time as Float64. The file is tab separated, with a header, and is read twice.

    Where each session's events stand together in the file, a frame is about ``block_bytes`` of it. Otherwise there is
    one frame, the whole file, and a warning in the log: then memory grows with the file.

    Raises ValueError naming the file for one that is empty, lacks a column, or has a value missing or a time that is no
    number; OSError for one that cannot be read.
    """
    together = stand_together(_blocks(path, {columns.session: "SessionId"}, block_bytes, report))
    renamed = dict(zip(columns, Columns()))
    blocks = (_with_seconds(block, path, columns) for block in _blocks(path, renamed, block_bytes, report))
    if together:
        yield from _whole_sessions(blocks)
    else:
        log.warning("%s: events of a session do not stand together; the whole file is held in memory", path)
        yield pl.concat(blocks)


def stand_together(blocks: Iterator[pl.DataFrame]) -> bool:
    """Whether no session goes on after another one has begun. Keeps 8 bytes a session."""
    starts, previous = [], None
    for block in blocks:
        ids = block["SessionId"]
        is_start = ids.ne_missing(ids.shift(1, fill_value=previous))
        # Two ids of one hash would only make the answer no, which costs memory and nothing else.
        starts.append(ids.filter(is_start).hash())
        previous = ids[-1]
    hashes = pl.concat(starts)
    return hashes.n_unique() == len(hashes)


def _whole_sessions(blocks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    held = None  # the events of the session that the last block ended in
    for block in blocks:
        events = block if held is None else pl.concat([held, block])
        earlier = (events["SessionId"] != events["SessionId"][-1]).sum()
        if earlier:
            yield events[:earlier]
        held = events[earlier:]
    yield held


def _with_seconds(block: pl.DataFrame, path: Path, columns: Columns) -> pl.DataFrame:
    for column, name in zip(columns, Columns()):
        if nulls := block[name].null_count():
            raise ValueError(f"{path}: {nulls} value(s) missing in column {column!r}")
    events = block.with_columns(Seconds=pl.col("Time").cast(pl.Float64, strict=False))
    wrong = events.filter(pl.col("Seconds").is_null())
    if len(wrong):
        raise ValueError(
            f"{path}: column {columns.time!r} holds {wrong['Time'][0]!r}; numbers, seconds since 1970, are needed"
        )
    return events


def _blocks(path: Path, wanted: Mapping[str, str], block_bytes: int, report: Report) -> Iterator[pl.DataFrame]:
    """Columns of a tab-separated file with a header, as text, block by block. wanted: new names by the file's."""
    with open(path, "rb") as file:
        header = file.readline()
        report(len(header))
        names = header.decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")
        if names == [""]:
            raise ValueError(f"{path} is empty")
        for column in wanted:
            if column not in names:
                raise ValueError(f"{path} has no column {column!r}; its columns are {', '.join(names)}")
        empty = True
        for lines in _whole_lines(file, block_bytes):
            empty = False
            yield _parse(lines, names, wanted, path)
            report(len(lines))
        if empty:
            raise ValueError(f"{path} holds no event")


def _whole_lines(file: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    while block := file.read(block_bytes):
        yield block + file.readline()


def _parse(lines: bytes, names: list[str], wanted: Mapping[str, str], path: Path) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String)
    try:
        block = pl.read_csv(lines, has_header=False, separator="\t", quote_char=None, schema=schema)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: a line is not UTF-8 or lacks the header's {len(names)} fields ({reason})") from None
    return block.select(pl.col(column).alias(name) for column, name in wanted.items())
