"""From the ratings of a MovieLens release to files of sessions: each user's history is one session.

A rating becomes an event, whatever its stars. The sets are spans of days (UTC, the last day included), and in each set
stand the users with 6 to 100 ratings IN THAT SET:

===========================  =======================================
``movielens_all_train.txt``  1995-01-09 to 2013-03-01
``movielens_train.txt``      2008-01-01 to 2013-03-01
``movielens_dev.txt``        2013-04-01 to 2014-04-01
``movielens_test.txt``       2014-04-02 to 2015-04-01
===========================  =======================================

These days are those of the 20M release. Where a release has no rating in one of the spans (100k is of 1997 and 1998, 1M
of 2000 to 2003), the sets are spans by quantiles of the ratings' times: dev begins on the day when 80% of the ratings
are there, test at 90%, train at 40%, and all_train with the first rating. 25M and 32M go on after 2015; they too have
the days of the 20M release unless ``--dates`` or ``--quantiles`` says otherwise.

Files are tab separated with the header ``SessionId ItemId Time``, sorted by user and time; ratings of the same second
stay in the file's order. SessionId is the user, ItemId the movie, Time in Unix seconds. A user may be in several sets,
with other ratings in each.

The ratings are read twice, in a stream: first the number of ratings of each user on each day, then the ratings of those
who stay. The memory grows with what is kept, not with the file.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples.movielens.ratings import Layout, find, first_fault, layout_of, scan
from examples.movielens.split import DATES, DAY, QUANTILES, SETS, Span, Spans, by_dates, by_quantiles, check_quantiles
from examples.sessions import Counts
from parity.files import written_together

FILES = {part: f"movielens_{part}.txt" for part in SETS}
SHORTEST_HISTORY, LONGEST_HISTORY = 6, 100

Quantiles = tuple[float, float, float]


@dataclass(frozen=True)
class Prepared:
    """What came of a file of ratings. ratings: their number. ratings_in: of each span, before users are dropped."""

    file: Path
    layout: Layout
    ratings: int
    spans: Spans
    chosen: str  # how the spans came about, in words
    ratings_in: Mapping[str, int]
    counts: Mapping[str, Counts]


def preprocess(path: Path, out: Path, dates: Spans | None = None, quantiles: Quantiles | None = None) -> Prepared:
    """Write the four files of ``FILES`` to folder ``out``, from the ratings of ``path``, a file or a release's folder.

    dates: the span of each set. quantiles: where train, dev and test begin, :func:`by_quantiles`. With neither of them,
    the 20M release's days where each set has a rating then, else :data:`QUANTILES`.

    All four files appear when all are whole; on any error none does, and those of an earlier run stay. Raises OSError,
    and ValueError for ratings that are none (file, line number, reason), for quantiles that are not accepted, and where
    a set would be empty.
    """
    file = find(path)
    layout = layout_of(file)
    days = days_of_users(file, layout)
    spans, chosen = (dates, "as given") if dates else choose_spans(days, quantiles)
    kept = users_to_keep(days, spans)
    events = events_of(file, layout, spans, kept)
    counts = {}
    with written_together({part: out / FILES[part] for part in SETS}) as temporary:
        for part, target in temporary.items():
            sessions = events.lazy().filter(part).select("SessionId", "ItemId", "Time")
            sessions.sink_csv(target, separator="\t")
            counts[part] = Counts(*sessions.select(pl.len(), pl.col("SessionId", "ItemId").n_unique()).collect().row(0))
    ratings_in = {part: days.filter(spans[part].contains(pl.col("Day")))["events"].sum() for part in SETS}
    return Prepared(file, layout, days["events"].sum(), spans, chosen, ratings_in, counts)


def days_of_users(file: Path, layout: Layout) -> pl.DataFrame:
    """The number of ratings of each user on each day: SessionId, Day (from 1970-01-01 on), events.

    Raises ValueError naming the first line that is no rating, or where there is none at all.
    """
    faulty = (pl.col("ItemId").is_null() | pl.col("extra")).any()
    grouped = scan(file, layout).group_by("SessionId", Day=pl.col("Time") // DAY).agg(events=pl.len(), faulty=faulty)
    try:
        days = grouped.collect(engine="streaming")
    except pl.exceptions.PolarsError as problem:
        raise ValueError(first_fault(file, layout) or f"{file}: {str(problem).splitlines()[0]}") from None
    if days["SessionId"].has_nulls() or days["Day"].has_nulls() or days["faulty"].any():
        raise ValueError(first_fault(file, layout) or f"{file}: a line of it is no rating")
    if days.is_empty():
        raise ValueError(f"{file} holds no rating")
    return days.drop("faulty")


def choose_spans(days: pl.DataFrame, quantiles: Quantiles | None) -> tuple[Spans, str]:
    """The spans by quantiles where these are given, or where a set would have no rating on the 20M release's days."""
    if quantiles is None:
        if all(days.select(span.contains(pl.col("Day")).any()).item() for span in DATES.values()):
            return DATES, "the days of the 20M release"
        quantiles = QUANTILES
        why = "not on the days of the 20M release, which leave a set without a rating"
    else:
        why = "as given"
    return by_quantiles(days, quantiles), f"by quantiles {' '.join(map(str, quantiles))} of the times, {why}"


def users_to_keep(days: pl.DataFrame, spans: Spans) -> dict[str, pl.DataFrame]:
    """Of each set, the users with a history that is neither too short nor too long: SessionId.

    Raises ValueError where there is none.
    """
    kept = {}
    for part, span in spans.items():
        histories = days.filter(span.contains(pl.col("Day"))).group_by("SessionId").agg(pl.col("events").sum())
        length = pl.col("events").is_between(SHORTEST_HISTORY, LONGEST_HISTORY)
        kept[part] = histories.filter(length).select("SessionId")
        if kept[part].is_empty():
            raise ValueError(
                f"no user has {SHORTEST_HISTORY} to {LONGEST_HISTORY} ratings in {part}, {span}: {len(histories)} have "
                "another number; give other --dates, or --quantiles"
            )
    return kept


def events_of(file: Path, layout: Layout, spans: Spans, kept: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The ratings that a set keeps, by user and time: SessionId, ItemId, Time, and for each set whether it keeps it."""
    users = pl.concat(kept.values()).unique()
    users = users.with_columns(
        pl.col("SessionId").is_in(kept[part]["SessionId"].implode()).alias(part) for part in SETS
    )
    ratings = scan(file, layout).join(users.lazy(), on="SessionId", how="inner", maintain_order="left")
    day = pl.col("Time") // DAY
    ratings = ratings.with_columns(pl.col(part) & span.contains(day) for part, span in spans.items())
    events = ratings.filter(pl.any_horizontal(SETS)).select("SessionId", "ItemId", "Time", *SETS)
    return events.collect(engine="streaming").sort("SessionId", "Time", maintain_order=True)


def counts_table(prepared: Prepared) -> Table:
    """What the four files hold, and the number of ratings on their days."""
    title = f"Users with {SHORTEST_HISTORY} to {LONGEST_HISTORY} ratings in the set"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0, title_justify="left")
    for heading in ("set", "first day", "last day"):
        table.add_column(heading, no_wrap=True)
    for heading in ("ratings then", *Counts._fields):
        table.add_column(heading, justify="right", no_wrap=True)
    for part, counts in prepared.counts.items():
        numbers = (prepared.ratings_in[part], *counts)
        table.add_row(part, *map(str, prepared.spans[part]), *(f"{number:,}" for number in numbers))
    return table


def describe(prepared: Prepared, console: Console, what: str = "ratings") -> None:
    console.print(f"{prepared.ratings:,} {what}, of the layout of {prepared.layout.file}, from {prepared.file}")
    console.print(f"Sets: {prepared.chosen}")
    console.print(counts_table(prepared))


def add_split_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dates",
        nargs=3,
        action="append",
        default=[],
        metavar=("SET", "FIRST", "LAST"),
        help=f"first and last day (UTC) of {', '.join(SETS)}, for example train 2008-01-01 2013-03-01; repeatable; "
        "the days of the 20M release for the sets that are not named",
    )
    group.add_argument(
        "--quantiles",
        nargs=3,
        type=float,
        metavar=("TRAIN", "DEV", "TEST"),
        help="begin these sets on the days of these quantiles of the times (default where the 20M release's days do "
        f"not fit: {' '.join(map(str, QUANTILES))})",
    )


def split_options(options: argparse.Namespace) -> tuple[Spans | None, Quantiles | None]:
    """``dates`` and ``quantiles`` for :func:`preprocess`. Raises ValueError for what is not accepted."""
    if options.dates and options.quantiles:
        raise ValueError("--dates and --quantiles: one of the two is accepted")
    changes = {}
    for part, *days in options.dates:
        if part not in SETS:
            raise ValueError(f"--dates {part}: unknown; {', '.join(SETS)} are accepted")
        try:
            changes[part] = Span.parse(*days)
        except ValueError as problem:
            raise ValueError(f"--dates {part} {problem}") from None
    dates = by_dates(changes) if changes else None
    quantiles = tuple(options.quantiles) if options.quantiles else None
    if quantiles:
        check_quantiles(quantiles)
    return dates, quantiles


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Prepare MovieLens: the ratings of any release to four files of sessions."
    )
    parser.add_argument("ratings", type=Path, help="ratings.csv, ratings.dat or u.data, or the folder of a release")
    parser.add_argument("--out", type=Path, default=Path("data/movielens"), help="folder (default: %(default)s)")
    add_split_options(parser)
    options = parser.parse_args(arguments)
    console, problems = (Console(stderr=stderr, markup=False, highlight=False) for stderr in (False, True))
    try:
        with problems.status("reading the ratings"):
            prepared = preprocess(options.ratings, options.out, *split_options(options))
    except (ValueError, OSError) as error:
        problems.print(f"error: {error}", style="red", soft_wrap=True)
        return 2
    describe(prepared, console)
    console.print(f"Written: {', '.join(str(options.out / name) for name in FILES.values())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
