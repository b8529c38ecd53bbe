"""Reading ``yoochoose-clicks.dat``: one line a click, ``session,timestamp,item,category``, no header.

The file is read in blocks. A block goes through Polars, at full speed; when anything in it is out of the ordinary it
goes line by line through :func:`parse_lines`, which says what a well-formed line is and names the first that is not.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import BinaryIO, Iterator

import polars as pl

BLOCK_BYTES = 64 * 2**20

FIELDS = ("session", "timestamp", "item", "category")
EXAMPLE = "2014-04-07T10:51:09.277Z"
TIMESTAMP = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]\.[0-9]{3}Z$"

CLICKS = {"SessionId": pl.Int64, "ItemId": pl.Int64, "Milliseconds": pl.Int64}  # the columns of a frame of clicks

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class MalformedLine(ValueError):
    """A line that is not a click. The message names the file, the line (from 1 on) and what is wrong with it."""

    def __init__(self, file: str, line: int, reason: str):
        super().__init__(f"{file}, line {line}: {reason}")


def read_clicks(file: BinaryIO, name: str, block_bytes: int = BLOCK_BYTES) -> pl.DataFrame:
    """The clicks of an open file, in the file's order: SessionId, ItemId and Milliseconds (since 1970, UTC), all Int64.

    ``name`` is what errors call the file. Raises :class:`MalformedLine` at the first malformed line, and ValueError
    when there is no line at all.
    """
    blocks, lines = [], 0
    for block in _whole_lines(file, block_bytes):
        clicks = parse_block(block)
        blocks.append(parse_lines(block, name, lines + 1) if clicks is None else clicks)
        lines += len(blocks[-1])
    if not blocks:
        raise ValueError(f"{name} is empty")
    return pl.concat(blocks)


def _whole_lines(file: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    while block := file.read(block_bytes):
        yield block + file.readline()


def parse_block(block: bytes) -> pl.DataFrame | None:
    """The clicks of a block, or None when it takes a closer look to tell whether each line is well formed."""
    schema = dict(zip(FIELDS, (pl.Int64, pl.String, pl.Int64, pl.String)))
    try:
        fields = pl.read_csv(block, has_header=False, quote_char=None, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    # The pattern is needed beside the conversion, which takes fields of other widths, and a 60th second.
    timestamp = pl.col("timestamp")
    parsed = fields.lazy().select(
        SessionId="session",
        ItemId="item",
        Milliseconds=timestamp.str.to_datetime("%Y-%m-%dT%H:%M:%S.%3fZ", time_unit="ms", strict=False).to_physical(),
        well_formed=timestamp.str.contains(TIMESTAMP),
    ).collect()  # fmt: skip
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    # A field that is missing and one that is empty are both null.
    nulls = any(series.has_nulls() for frame in (fields, parsed) for series in frame)
    if nulls or len(parsed) != lines or not parsed["well_formed"].all():
        return None
    return parsed.drop("well_formed")


def parse_lines(block: bytes, name: str, first_line: int = 1) -> pl.DataFrame:
    """The clicks of a block of lines, the first of which is number ``first_line`` of file ``name``."""
    lines = block.decode("utf-8-sig", errors="replace").removesuffix("\n").split("\n")
    rows = []
    for number, line in enumerate(lines, first_line):
        try:
            rows.append(_parse_line(line))
        except ValueError as error:
            raise MalformedLine(name, number, str(error)) from None
    return pl.DataFrame(rows, schema=CLICKS, orient="row")


def _parse_line(line: str) -> tuple[int, int, int]:
    fields = line.split(",")
    if len(fields) != len(FIELDS):
        raise ValueError(f"{len(fields)} field(s) instead of {len(FIELDS)} ({','.join(FIELDS)})")
    session, timestamp, item, _ = fields
    return _parse_id("session", session), _parse_id("item", item), _parse_timestamp(timestamp)


def _parse_id(name: str, text: str) -> int:
    if not text:
        raise ValueError(f"the {name} id is empty")
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{name} id {text[:40]!r} is not a whole number") from None
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} id {text[:40]} does not fit in 64 bits")
    return value


def _parse_timestamp(text: str) -> int:
    if not text:
        raise ValueError("the timestamp is empty")
    if not re.match(TIMESTAMP, text):
        raise ValueError(f"timestamp {text[:40]!r} is not of the form {EXAMPLE}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"timestamp {text!r}: {error}") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
