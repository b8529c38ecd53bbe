"""Reading a sessions file of any size, whole sessions at a time."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl

from gru4rec import textfiles
from gru4rec.frames import Columns
from gru4rec.terminal import quoted
from gru4rec.textfiles import TextFile

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 * 2**20

Report = Callable[[int], None]  # is told how many bytes have been read since the last time


def session_chunks(
    path: Path, columns: Columns = Columns(), block_bytes: int = BLOCK_BYTES, report: Report = lambda size: None
) -> Iterator[pl.DataFrame]:
    """The file's events in its own order, in frames that hold their sessions whole; one frame at least.

    Whatever the columns' names in the file, the frames have ``SessionId``, ``ItemId`` and ``Time``, all as text of the
    file, and ``Seconds``, the time as Float64. The file is a text with a header, and is read three times.

    Where each session's events stand together in the file, a frame is about ``block_bytes`` of it. Otherwise there is
    one frame, the whole file, and a warning in the log: then memory grows with the file.

    Raises:
        ValueError: naming the file for one that is empty, lacks a column, or has a value missing or a time that is no
            number.
        OSError: for one that cannot be read.
    """
    text = textfiles.look(path, columns)
    if not text.rows:
        raise ValueError(f"{path} holds no event")
    together = stand_together(_blocks(text, {columns.session: "SessionId"}, block_bytes, report))
    renamed = dict(zip(columns, Columns()))
    blocks = (_with_seconds(block, path, columns) for block in _blocks(text, renamed, block_bytes, report))
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
    if held is not None:
        yield held


def _with_seconds(block: pl.DataFrame, path: Path, columns: Columns) -> pl.DataFrame:
    for column, name in zip(columns, Columns()):
        if nulls := (block[name].is_null() | (block[name] == "")).sum():
            raise ValueError(f"{path}: {nulls} value(s) missing in column {column!r}")
    events = block.with_columns(Seconds=pl.col("Time").cast(pl.Float64, strict=False))
    wrong = events.filter(pl.col("Seconds").is_null())
    if len(wrong):
        raise ValueError(
            f"{path}: column {columns.time!r} holds {quoted(wrong['Time'][0])}; numbers, seconds since 1970, are needed"
        )
    return events


def _blocks(text: TextFile, wanted: Mapping[str, str], block_bytes: int, report: Report) -> Iterator[pl.DataFrame]:
    """Columns of a text file, as text, block by block. wanted: new names by the file's."""
    with open(text.path, "rb") as file:
        report(len(file.readline()))
        while block := file.read(block_bytes):
            block += file.readline()
            if lines := block.rstrip(b"\r\n"):  # blank lines stand at the end alone
                yield _parse(lines, text, wanted)
            report(len(block))


def _parse(lines: bytes, text: TextFile, wanted: Mapping[str, str]) -> pl.DataFrame:
    try:
        block = pl.read_csv(
            lines, has_header=False, separator=text.separator, quote_char=text.quote,
            schema=dict.fromkeys(text.names, pl.String),
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        fault = textfiles.ragged_line(text) or f"{text.path}: a line lacks the header's {len(text.names)} fields"
        raise ValueError(fault) from None
    return block.select(pl.col(column).alias(name) for column, name in wanted.items())
