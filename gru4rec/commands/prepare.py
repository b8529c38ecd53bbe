"""``gru4rec prepare SET RAW...``: a data set's raw files to files of sessions."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import open as open_with_progress
from rich.table import Table

from gru4rec import files, terminal
from gru4rec.commands import arguments
from gru4rec.datasets import movielens, rsc15, shops, writing
from gru4rec.datasets.movielens import LONGEST_HISTORY, SHORTEST_HISTORY, Prepared
from gru4rec.datasets.movielens_spans import (
    QUANTILES,
    SETS,
    Quantiles,
    Span,
    Spans,
    by_dates,
    check_quantiles,
)
from gru4rec.datasets.prepared import Counts
from gru4rec.datasets.registry import SHOPS
from gru4rec.datasets.shops import Account, Shop
from gru4rec.datasets.spool import PART_EVENTS

EPILOG = """
Written are a file for each part and a Croissant description with their SHA-256; all of them, or none.
"""


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec prepare", "Prepare a data set: its raw files to four files of sessions.", EPILOG
    )
    sets = made.add_subparsers(dest="set", required=True, metavar="SET")
    clicks = sets.add_parser("rsc15", help="of the RecSys Challenge 2015", description="Prepare RSC15.")
    clicks.add_argument("raw", metavar="RAW", type=Path, help="the raw file, yoochoose-clicks.dat")
    _add_out(clicks, "data/rsc15")
    for shop in SHOPS.values():
        _add_shop(sets, shop)
    ratings = sets.add_parser("movielens", help="ratings of any release", description="Prepare MovieLens.")
    ratings.add_argument(
        "raw", metavar="RAW", type=Path, help="ratings.csv, ratings.dat or u.data, or the folder of a release"
    )
    _add_out(ratings, "data/movielens")
    add_split_options(ratings)
    return made


def _add_shop(sets: "argparse._SubParsersAction[argparse.ArgumentParser]", shop: Shop) -> None:
    raw = " ".join(shop.raw)
    made = sets.add_parser(
        shop.key, help=f"from {raw}", description=f"Prepare {shop.name}, whose raw files are at {shop.homepage}."
    )
    made.add_argument(
        "raw", metavar="RAW", type=Path, nargs="+", help=f"{raw}, in this order, or the folder that holds them"
    )
    _add_out(made, f"data/{shop.key}")
    made.add_argument(
        "--part-events", type=arguments.positive, default=PART_EVENTS, metavar="N",
        help="events in memory at a time; more of them go through files in --out (default: %(default)s)",
    )  # fmt: skip


def _add_out(group: argparse.ArgumentParser, default: str) -> None:
    group.add_argument("--out", type=Path, default=Path(default), metavar="DIR", help="folder (default: %(default)s)")
    group.add_argument(
        "--format", choices=writing.FORMATS, default="tsv", help="of the prepared files (default: %(default)s)"
    )


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    if given.set in SHOPS:
        return _shop(given, SHOPS[given.set], console)
    return {"rsc15": _rsc15, "movielens": _movielens}[given.set](given, console)


def _check_paths(given: argparse.Namespace, raw: list[Path], names: dict[str, str]) -> None:
    """Look at all paths before any work, and make the folder."""
    files.check_inputs([("RAW", path) for path in raw])
    files.make_folder("--out", given.out)
    outputs = [*names.values(), writing.description_name(given.set)]
    files.check_outputs([("--out", given.out / name) for name in outputs], [("RAW", path) for path in raw])


def _shop(given: argparse.Namespace, shop: Shop, console: Console) -> int:
    raw = shop.find(given.raw)
    _check_paths(given, raw, shop.names(given.format))
    with terminal.console(stderr=True).status("reading") as status:
        account = shops.prepare(
            shop, raw, given.out, given.format, given.part_events, lambda text: status.update(terminal.plain(text))
        )
    describe_shop(shop, account, console)
    _say_written(given, shop.names(given.format), console)
    return 0


def describe_shop(shop: Shop, account: Account, console: Console) -> None:
    """What became of the events, and how the counts compare with the published ones."""
    console.print(
        f"{account.raw:,} events, {account.views:,} of them kept for their kind, in {account.sessions:,} sessions; "
        f"{account.repeats:,} repeats dropped; {account.kept:,} left after short sessions and rare items were dropped "
        f"in {account.passes} pass(es) over {account.parts} part(s)"
    )
    if account.without_item:
        console.print(f"{account.without_item:,} events to keep name no item: they are left out")
    console.print(counts_table(shop.name, shop.names(), account.counts, shop.published))
    if shop.lines is None:
        console.print(f"How many events the raw data of {shop.name} have is not known here: not compared.")
    elif shop.lines == account.raw:
        console.print("The number of raw events EQUALS that of the publisher.")
    else:
        console.print(
            f"The number of raw events DIFFERS from the publisher's {shop.lines:,}: results on these files are not "
            "comparable with the published ones."
        )
    if not shop.published:
        console.print("The study's counts of the prepared files are not at hand here: not compared.")


def _say_written(given: argparse.Namespace, names: dict[str, str], console: Console) -> None:
    written = [given.out / name for name in (*names.values(), writing.description_name(given.set))]
    console.print(f"Written: {', '.join(map(str, written))}")


def _rsc15(given: argparse.Namespace, console: Console) -> int:
    names = rsc15.names(given.format)
    _check_paths(given, [given.raw], names)
    with open_with_progress(given.raw, "rb", description="reading", **terminal.bar_options()) as file:
        counts = rsc15.preprocess(file, str(given.raw), given.out, given.format)
    console.print(counts_table("RSC15", names, counts, rsc15.PUBLISHED_COUNTS))
    if rsc15.equal_published(counts):
        console.print("The counts EQUAL the published ones: this is the full RSC15 data.")
    else:
        console.print("The counts DIFFER from the published ones: results on these files are not comparable with them.")
    _say_written(given, names, console)
    return 0


def counts_table(
    name: str, names: dict[str, str], counts: dict[str, Counts], published: dict[str, Counts]
) -> Table:
    """The counts of prepared files, and the published ones below them where there are any."""
    table = terminal.make_table(f"{name}, prepared", "file", *Counts._fields, right=Counts._fields)
    for part, ours in counts.items():
        table.add_row(names[part], *map(_number, ours))
        if part in published:
            table.add_row("  as published", *map(_number, published[part]), style="dim")
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _movielens(given: argparse.Namespace, console: Console) -> int:
    split, names = split_options(given), movielens.names(given.format)
    _check_paths(given, [movielens.find(given.raw)], names)
    with terminal.console(stderr=True).status("reading the ratings"):
        prepared = movielens.preprocess(given.raw, given.out, *split, given.format)
    describe_movielens(prepared, console)
    _say_written(given, names, console)
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


def add_split_options(group: argparse._ActionsContainer) -> None:
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
