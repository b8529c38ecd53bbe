"""RSC15: from the raw click file to the four files that GRU4Rec is trained and tested on.

The published steps: drop sessions of one event, then items of fewer than 5 events, then the sessions left with one
event; sessions that END within the last 86,400 s of the data are the test; of the test drop items that training does
not have, then sessions of one event. The same split, made again on the training part, gives a smaller training set and
a validation set.

==========================  ============================================================
``rsc15_train_full.txt``    all but the last day
``rsc15_test.txt``          the last day
``rsc15_train_tr.txt``      the training part without its own last day
``rsc15_train_valid.txt``   the last day of the training part
==========================  ============================================================

Files are tab separated with the header ``SessionId ItemId Time``; Time is in Unix seconds (UTC) with a fraction. Events
stand IN THE ORDER OF THE RAW FILE. That is deliberate: GRU4Rec numbers items by first appearance in the file as given,
so another order of the same events would train another model from the same seed. Sorting is the reader's business.

The raw file, ``yoochoose-clicks.dat``, has one line a click, ``session,timestamp,item,category``, and no header. It is
read in blocks. A block goes through Polars, at full speed; when anything in it is out of the ordinary it goes line by
line through :func:`parse_lines`, which says what a well-formed line is and names the first that is not.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import polars as pl

from gru4rec.datasets import prepared, rsc15_sample, writing
from gru4rec.datasets.prepared import Counts, Dataset, count
from gru4rec.datasets.writing import About, Format
from gru4rec.frames import Columns, Ids
from gru4rec.published import RSC15_RESULTS
from gru4rec.terminal import quoted, shortened

log = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 2**20
LONGEST_LINE = 2**20

FIELDS = ("session", "timestamp", "item", "category")
EXAMPLE = "2014-04-07T10:51:09.277Z"
TIMESTAMP = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]\.[0-9]{3}Z$"

CLICKS = {"SessionId": pl.Int64, "ItemId": pl.Int64, "Milliseconds": pl.Int64}  # the columns of a frame of clicks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    for block in _whole_lines(file, name, block_bytes):
        clicks = parse_block(block)
        blocks.append(parse_lines(block, name, lines + 1) if clicks is None else clicks)
        lines += len(blocks[-1])
    if not blocks:
        raise ValueError(f"{name} is empty")
    return pl.concat(blocks)


def _whole_lines(file: BinaryIO, name: str, block_bytes: int) -> Iterator[bytes]:
    lines = 0
    while block := file.read(block_bytes):
        block += file.readline(LONGEST_LINE)
        lines += block.count(b"\n")
        if block[-1:] != b"\n" and file.read(1):
            raise MalformedLine(name, lines + 1, f"longer than {LONGEST_LINE:,} bytes")
        yield block


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
        raise ValueError(f"{name} id {quoted(text, 40)} is not a whole number") from None
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} id {shortened(text, 40)} does not fit in 64 bits")
    return value


def _parse_timestamp(text: str) -> int:
    if not text:
        raise ValueError("the timestamp is empty")
    if not re.match(TIMESTAMP, text):
        raise ValueError(f"timestamp {quoted(text, 40)} is not of the form {EXAMPLE}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"timestamp {quoted(text, 40)}: {error}") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


FILES = {
    "train_full": "rsc15_train_full.txt",
    "test": "rsc15_test.txt",
    "train_tr": "rsc15_train_tr.txt",
    "train_valid": "rsc15_train_valid.txt",
}
HOMEPAGE = "https://recsys.acm.org/recsys15/challenge/"
DAY_MS = 86_400_000
SHORTEST_SESSION = 2
LEAST_SUPPORT = 5

STEPS = (
    f"sessions of one event, then items of fewer than {LEAST_SUPPORT} events, then sessions of one event dropped; "
    "test: the sessions that end in the last day, without items that training lacks and sessions of one event; "
    "train_full: the other sessions; train_valid and train_tr: the same on train_full (arXiv 1511.06939)"
)

LINES = 33_003_944  # of the raw file, as its publisher counts them
PUBLISHED_COUNTS = {
    "train_full": Counts(31_637_239, 7_966_257, 37_483),
    "test": Counts(71_222, 15_324, None),
}


def equal_published(counts: dict[str, Counts]) -> bool:
    """Whether the counts of the training and the test part are those of the full data, as published."""
    return all(counts[part].agree(published) for part, published in PUBLISHED_COUNTS.items())


def drop_short_sessions(clicks: pl.DataFrame) -> pl.DataFrame:
    return clicks.filter(pl.len().over("SessionId") >= SHORTEST_SESSION)


def drop_rare_items(clicks: pl.DataFrame) -> pl.DataFrame:
    return clicks.filter(pl.len().over("ItemId") >= LEAST_SUPPORT)


def split_last_day(clicks: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The sessions that end before the last 24 hours, and the others, less items and sessions that cannot be tested."""
    ends = pl.col("SessionEnd")
    last_day = clicks.select(ends >= ends.max() - DAY_MS)["SessionEnd"]
    train, test = clicks.filter(~last_day), clicks.filter(last_day)
    known = test.filter(pl.col("ItemId").is_in(train["ItemId"].unique().implode()))
    return train, drop_short_sessions(known)


def split_clicks(clicks: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The four parts of a frame of raw clicks (SessionId, ItemId, Milliseconds), by the keys of ``FILES``.

    Raises ValueError when a part is left without an event, which takes clicks of fewer than three days or very few.
    """
    kept = drop_short_sessions(drop_rare_items(drop_short_sessions(clicks)))
    log.info("%d of %d clicks left after dropping short sessions and rare items", len(kept), len(clicks))
    if kept.is_empty():
        raise ValueError(
            f"nothing is left of {len(clicks)} clicks: sessions need {SHORTEST_SESSION} events, items {LEAST_SUPPORT}"
        )
    kept = kept.with_columns(SessionEnd=pl.col("Milliseconds").max().over("SessionId"))
    parts = {}
    parts["train_full"], parts["test"] = split_last_day(kept)
    if not parts["train_full"].is_empty():
        parts["train_tr"], parts["train_valid"] = split_last_day(parts["train_full"])
    for part in FILES:
        if part not in parts or parts[part].is_empty():
            raise ValueError(f"the clicks leave no event for {FILES[part]}: they must cover three days or more")
    return parts


def names(form: Format = "tsv") -> dict[str, str]:
    """The names of the prepared files, by part."""
    return {part: name if form == "tsv" else f"{Path(name).stem}.{form}" for part, name in FILES.items()}


def in_seconds(clicks: pl.DataFrame) -> pl.DataFrame:
    """SessionId, ItemId, and Time as it stands in the prepared files."""
    # NumPy divides; Polars multiplies by 1/1000, which is off by one bit in every fifth timestamp.
    return clicks.select("SessionId", "ItemId", pl.Series("Time", clicks["Milliseconds"].to_numpy() / 1000))


def preprocess(file: BinaryIO, name: str, out: Path, form: Format = "tsv") -> dict[str, Counts]:
    """Write the four files of :func:`names`, and their description, to folder ``out``; return their counts.

    All appear when all are whole; on any error none does, and those of an earlier run stay.

    Args:
        file: the raw file, open.
        name: its path.
        out: the folder.
        form: of the prepared files.

    Raises:
        MalformedLine: file, line number, reason.
        ValueError: when a part would be empty.
        OSError: when a file cannot be read or written.
    """
    clicks = read_clicks(file, name)
    parts = {part: in_seconds(kept) for part, kept in split_clicks(clicks).items()}
    counts = {part: count(parts[part]) for part in FILES}
    about = About("rsc15", "RSC15", HOMEPAGE, (Path(name),), len(clicks), 1, STEPS)
    paths = {part: out / target for part, target in names(form).items()}
    writing.write({part: parts[part].lazy() for part in FILES}, counts, paths, form, about)
    return counts


def embedded(folder: Path, columns: Columns = Columns()) -> Dataset:
    """Synthetic clicks, as many as :func:`rsc15_sample.write_sample` makes by default, and what is prepared of them."""
    raw = folder / "synthetic-clicks.dat"
    rsc15_sample.write_sample(raw)
    return from_clicks(raw, folder, columns, synthetic=True)


def from_clicks(raw: Path, folder: Path, columns: Columns = Columns(), synthetic: bool = False) -> Dataset:
    """The raw click file ``raw``, prepared into ``folder``. Errors as for :func:`preprocess`."""
    with open(raw, "rb") as file:
        preprocess(file, str(raw), folder)
    log.info("%s is prepared in %s", raw, folder)
    return from_files(folder / FILES["train_full"], folder / FILES["test"], columns, str(raw), synthetic)


def from_files(
    train: Path, test: Path, columns: Columns = Columns(), source: str | None = None, synthetic: bool = False,
    ids: Ids = "auto", time_format: str | None = None,
) -> Dataset:  # fmt: skip
    """Prepared files. Errors as for :func:`gru4rec.datasets.prepared.from_files`.

    The published results belong to them when their counts are those of the published data.
    """
    paths = {"train_full": train, "test": test}
    dataset = prepared.from_files("RSC15", paths, columns, source, synthetic, ids, time_format)
    comparable = not synthetic and equal_published(dataset.counts)
    return replace(dataset, published=RSC15_RESULTS if comparable else {})
