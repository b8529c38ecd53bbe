"""``gru4rec sample SET``: SYNTHETIC data in a data set's raw format, for trying, and for timing big files."""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import files
from gru4rec.commands import arguments
from gru4rec.datasets import movielens_sample, rsc15_sample


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec sample", "Write SYNTHETIC data in the raw format of a data set.")
    sets = made.add_subparsers(dest="set", required=True, metavar="SET")
    clicks = sets.add_parser("rsc15", help="clicks", description="SYNTHETIC clicks as yoochoose-clicks.dat has them.")
    _add_number(clicks, "clicks", rsc15_sample.CLICKS, "number of lines")
    _add_number(clicks, "items", rsc15_sample.ITEMS, "number of items")
    _add_number(clicks, "days", rsc15_sample.DAYS, "days from 2014-04-01 on")
    _add_rest(clicks, rsc15_sample.SEED, "synthetic-clicks.dat")
    ratings = sets.add_parser("movielens", help="ratings", description="SYNTHETIC ratings as ratings.csv has them.")
    _add_number(ratings, "ratings", movielens_sample.RATINGS, "number of lines")
    _add_number(ratings, "movies", movielens_sample.MOVIES, "number of movies")
    _add_rest(ratings, movielens_sample.SEED, "synthetic-ratings.csv")
    return made


def _add_number(group: argparse.ArgumentParser, name: str, default: int, about: str) -> None:
    group.add_argument(
        f"--{name}", type=arguments.positive, default=default, metavar="N", help=f"{about} (default: %(default)s)"
    )


def _add_rest(group: argparse.ArgumentParser, seed: int, out: str) -> None:
    group.add_argument(
        "--seed", type=arguments.not_negative, default=seed, metavar="N",
        help="of all random draws (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--out", type=Path, default=Path(out), metavar="FILE", help="default: %(default)s")


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    files.check_outputs([("--out", given.out)], [])
    if given.set == "rsc15":
        rsc15_sample.write_sample(given.out, given.clicks, given.items, given.days, given.seed)
        console.print(f"{given.clicks:,} synthetic clicks written to {given.out}")
    else:
        movielens_sample.write_sample(given.out, given.ratings, given.movies, given.seed)
        console.print(f"{given.ratings:,} synthetic ratings written to {given.out}")
    return 0
