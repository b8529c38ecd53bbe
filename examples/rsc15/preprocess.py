"""From the raw click file of RSC15 to the four files that GRU4Rec is trained and tested on.

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
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import BinaryIO

import polars as pl
from rich.console import Console
from rich.progress import open as open_with_progress
from rich.table import Table

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples.rsc15.raw import read_clicks
from examples.sessions import Counts, count
from parity.files import written_together

log = logging.getLogger(__name__)

FILES = {
    "train_full": "rsc15_train_full.txt",
    "test": "rsc15_test.txt",
    "train_tr": "rsc15_train_tr.txt",
    "train_valid": "rsc15_train_valid.txt",
}
DAY_MS = 86_400_000
SHORTEST_SESSION = 2
LEAST_SUPPORT = 5


PUBLISHED = {
    "train_full": Counts(31_637_239, 7_966_257, 37_483),
    "test": Counts(71_222, 15_324, None),
}


def equal_published(counts: dict[str, Counts]) -> bool:
    """Whether the counts of the training and the test part are those of the full data, as published."""
    return all(counts[part].agree(published) for part, published in PUBLISHED.items())


def drop_short_sessions(clicks: pl.DataFrame) -> pl.DataFrame:
    return clicks.filter(pl.len().over("SessionId") >= SHORTEST_SESSION)


def drop_rare_items(clicks: pl.DataFrame) -> pl.DataFrame:
    return clicks.filter(pl.len().over("ItemId") >= LEAST_SUPPORT)


def split_last_day(clicks: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The sessions that end before the last 24 hours, and the others, less items and sessions that cannot be tested."""
    last_day = clicks["SessionEnd"] >= clicks["SessionEnd"].max() - DAY_MS
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


def write_sessions(clicks: pl.DataFrame, path: Path) -> None:
    # NumPy divides; Polars multiplies by 1/1000, which is off by one bit in every fifth timestamp.
    seconds = pl.Series("Time", clicks["Milliseconds"].to_numpy() / 1000)
    clicks.select("SessionId", "ItemId", seconds).write_csv(path, separator="\t")


def preprocess(file: BinaryIO, name: str, out: Path) -> dict[str, Counts]:
    """Write the four files of ``FILES`` to folder ``out``, from the open raw file called ``name``; return their counts.

    All four appear when all are whole; on any error none does, and those of an earlier run stay.

    Raises :class:`~examples.rsc15.raw.MalformedLine` (file, line number, reason), ValueError when a part would be
    empty, and OSError.
    """
    parts = split_clicks(read_clicks(file, name))
    with written_together({part: out / FILES[part] for part in FILES}) as temporary:
        for part, path in temporary.items():
            write_sessions(parts[part], path)
    return {part: count(parts[part]) for part in FILES}


def counts_table(counts: dict[str, Counts]) -> Table:
    """The counts of the four files, and the published ones below them where there are any."""
    table = Table(title="RSC15, prepared")
    table.add_column("file")
    for heading in Counts._fields:
        table.add_column(heading, justify="right")
    for part, ours in counts.items():
        table.add_row(FILES[part], *map(_number, ours))
        if part in PUBLISHED:
            table.add_row("  as published", *map(_number, PUBLISHED[part]), style="dim")
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Prepare RSC15: yoochoose-clicks.dat to four files of sessions.")
    parser.add_argument("clicks", type=Path, help="the raw file, yoochoose-clicks.dat")
    parser.add_argument("--out", type=Path, default=Path("data/rsc15"), help="their folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    console, problems = Console(), Console(stderr=True)
    try:
        with open_with_progress(options.clicks, "rb", description="reading", console=problems) as file:
            counts = preprocess(file, str(options.clicks), options.out)
    except (ValueError, OSError) as error:
        problems.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    console.print(counts_table(counts))
    if equal_published(counts):
        console.print("The counts EQUAL the published ones: this is the full RSC15 data.")
    else:
        console.print("The counts DIFFER from the published ones: results on these files are not comparable with them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
