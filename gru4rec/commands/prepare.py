"""``gru4rec prepare SET RAW``: a data set's raw file to files of sessions."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import open as open_with_progress
from rich.table import Table

from gru4rec import files, terminal
from gru4rec.commands import arguments
from gru4rec.datasets import movielens, rsc15
from gru4rec.datasets.movielens import (
    LONGEST_HISTORY,
    QUANTILES,
    SETS,
    SHORTEST_HISTORY,
    Prepared,
    Quantiles,
    Span,
    Spans,
    by_dates,
    check_quantiles,
)
from gru4rec.datasets.prepared import Counts


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec prepare", "Prepare a data set: its raw file to four files of sessions.")
    sets = made.add_subparsers(dest="set", required=True, metavar="SET")
    clicks = sets.add_parser("rsc15", help="of the RecSys Challenge 2015", description="Prepare RSC15.")
    clicks.add_argument("raw", metavar="RAW", type=Path, help="the raw file, yoochoose-clicks.dat")
    _add_out(clicks, "data/rsc15")
    ratings = sets.add_parser("movielens", help="ratings of any release", description="Prepare MovieLens.")
    ratings.add_argument(
        "raw", metavar="RAW", type=Path, help="ratings.csv, ratings.dat or u.data, or the folder of a release"
    )
    _add_out(ratings, "data/movielens")
    add_split_options(ratings)
    return made


def _add_out(group: argparse.ArgumentParser, default: str) -> None:
    group.add_argument("--out", type=Path, default=Path(default), metavar="DIR", help="folder (default: %(default)s)")


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    return {"rsc15": _rsc15, "movielens": _movielens}[given.set](given, console)


def _check_paths(given: argparse.Namespace, raw: Path, names: dict[str, str]) -> None:
    files.check_inputs([("RAW", raw)])
    files.make_folder("--out", given.out)
    files.check_outputs([("--out", given.out / name) for name in names.values()], [("RAW", raw)])


def _rsc15(given: argparse.Namespace, console: Console) -> int:
    _check_paths(given, given.raw, rsc15.FILES)
    with open_with_progress(given.raw, "rb", description="reading", **terminal.bar_options()) as file:
        counts = rsc15.preprocess(file, str(given.raw), given.out)
    console.print(rsc15_table(counts))
    if rsc15.equal_published(counts):
        console.print("The counts EQUAL the published ones: this is the full RSC15 data.")
    else:
        console.print("The counts DIFFER from the published ones: results on these files are not comparable with them.")
    return 0


def rsc15_table(counts: dict[str, Counts]) -> Table:
    """The counts of RSC15's four files, and the published ones below them where there are any."""
    table = terminal.make_table("RSC15, prepared", "file", *Counts._fields, right=Counts._fields)
    for part, ours in counts.items():
        table.add_row(rsc15.FILES[part], *map(_number, ours))
        if part in rsc15.PUBLISHED_COUNTS:
            table.add_row("  as published", *map(_number, rsc15.PUBLISHED_COUNTS[part]), style="dim")
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _movielens(given: argparse.Namespace, console: Console) -> int:
    split = split_options(given)
    _check_paths(given, movielens.find(given.raw), movielens.FILES)
    with terminal.console(stderr=True).status("reading the ratings"):
        prepared = movielens.preprocess(given.raw, given.out, *split)
    describe_movielens(prepared, console)
    console.print(f"Written: {', '.join(str(given.out / name) for name in movielens.FILES.values())}")
    return 0


def movielens_table(prepared: Prepared) -> Table:
    """What MovieLens' four files hold, and the number of ratings on their days."""
    title = f"Users with {SHORTEST_HISTORY} to {LONGEST_HISTORY} ratings in the set"
    numbers = ("ratings then", *Counts._fields)
    table = terminal.make_table(title, "set", "first day", "last day", *numbers, right=numbers, padding=0)
    for part, counts in prepared.counts.items():
        shown = (f"{number:,}" for number in (prepared.ratings_in[part], *counts))
        table.add_row(part, *map(str, prepared.spans[part]), *shown)
    return table


def describe_movielens(prepared: Prepared, console: Console, what: str = "ratings") -> None:
    console.print(f"{prepared.ratings:,} {what}, of the layout of {prepared.layout.file}, from {prepared.file}")
    console.print(f"Sets: {prepared.chosen}")
    console.print(movielens_table(prepared))


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


def split_options(given: argparse.Namespace) -> tuple[Spans | None, Quantiles | None]:
    """``dates`` and ``quantiles`` for :func:`preprocess`. Raises ValueError for what is not accepted."""
    if given.dates and given.quantiles:
        raise ValueError("--dates and --quantiles: one of the two is accepted")
    changes = {}
    for part, *days in given.dates:
        if part not in SETS:
            raise ValueError(f"--dates {part}: unknown; {', '.join(SETS)} are accepted")
        try:
            changes[part] = Span.parse(*days)
        except ValueError as problem:
            raise ValueError(f"--dates {part} {problem}") from None
    dates = by_dates(changes) if changes else None
    quantiles = tuple(given.quantiles) if given.quantiles else None
    if quantiles:
        check_quantiles(quantiles)
    return dates, quantiles
