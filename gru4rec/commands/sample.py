"""``gru4rec sample SET``: SYNTHETIC data in a data set's raw format, for trying, and for timing big files."""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import files
from gru4rec.commands import arguments
from gru4rec.datasets import movielens_sample, rsc15_sample, shop_sample
from gru4rec.datasets.registry import SHOPS
from gru4rec.datasets.shops import Shop


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec sample", "Write SYNTHETIC data in the raw format of a data set.")
    sets = made.add_subparsers(dest="set", required=True, metavar="SET")
    clicks = sets.add_parser("rsc15", help="clicks", description="SYNTHETIC clicks as yoochoose-clicks.dat has them.")
    _add_number(clicks, "clicks", rsc15_sample.CLICKS, "number of lines", "--events")
    _add_number(clicks, "items", rsc15_sample.ITEMS, "number of items")
    _add_number(clicks, "days", rsc15_sample.DAYS, "days from 2014-04-01 on")
    _add_rest(clicks, rsc15_sample.SEED, "synthetic-clicks.dat")
    for shop in SHOPS.values():
        _add_shop(sets, shop)
    ratings = sets.add_parser("movielens", help="ratings", description="SYNTHETIC ratings as ratings.csv has them.")
    _add_number(ratings, "ratings", movielens_sample.RATINGS, "number of lines", "--events")
    _add_number(ratings, "movies", movielens_sample.MOVIES, "number of movies", "--items")
    _add_rest(ratings, movielens_sample.SEED, "synthetic-ratings.csv")
    return made


def _add_shop(sets: "argparse._SubParsersAction[argparse.ArgumentParser]", shop: Shop) -> None:
    made = sets.add_parser(
        shop.key, help=" and ".join(shop.raw), description=f"SYNTHETIC events as {' and '.join(shop.raw)} have them."
    )
    _add_number(made, "events", shop_sample.EVENTS, "number of lines, of all files together")
    _add_number(made, "items", shop_sample.ITEMS, "number of items")
    _add_number(made, "days", shop_sample.default_days(shop), "days up to the end of the real data")
    _add_rest(made, shop_sample.SEED, f"synthetic-{shop.key}", "DIR")


def _add_number(group: argparse.ArgumentParser, name: str, default: int, about: str, *others: str) -> None:
    group.add_argument(
        f"--{name}", *others, type=arguments.positive, default=default, metavar="N",
        help=f"{about} (default: %(default)s)",
    )  # fmt: skip


def _add_rest(group: argparse.ArgumentParser, seed: int, out: str, kind: str = "FILE") -> None:
    group.add_argument(
        "--seed", type=arguments.not_negative, default=seed, metavar="N",
        help="of all random draws (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--out", type=Path, default=Path(out), metavar=kind, help="default: %(default)s")


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    if given.set in SHOPS:
        shop = SHOPS[given.set]
        files.make_folder("--out", given.out)
        files.check_outputs([("--out", given.out / name) for name in shop.raw], [])
        written = shop_sample.write_sample(shop, given.out, given.events, given.items, given.days, given.seed)
        console.print(f"{given.events:,} synthetic events written to {', '.join(map(str, written))}")
        return 0
    files.check_outputs([("--out", given.out)], [])
    if given.set == "rsc15":
        rsc15_sample.write_sample(given.out, given.clicks, given.items, given.days, given.seed)
        console.print(f"{given.clicks:,} synthetic clicks written to {given.out}")
    else:
        movielens_sample.write_sample(given.out, given.ratings, given.movies, given.seed)
        console.print(f"{given.ratings:,} synthetic ratings written to {given.out}")
    return 0
