"""Train and evaluate GRU4Rec on MovieLens, each user's history a session, with either engine or with both.

Without arguments it runs on SYNTHETIC ratings that it makes itself. See ``--help`` for real data and for settings.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples import command
from examples.data import Dataset, from_files
from examples.jobs import plan
from examples.movielens.preprocess import FILES, add_split_options, describe, preprocess, split_options
from examples.movielens.ratings import find
from examples.movielens.sample import write_sample
from examples.movielens.settings import CONFIGS
from examples.options import add_model_options, add_output_options, check, choose, column_names, parse_overrides
from examples.sessions import Columns

DEFAULT_CONFIGS = ["cross-entropy"]
TRAIN_ON, EVALUATE_ON = ("train", "all_train"), ("test", "dev")
EMBEDDED_EPOCHS = 5


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train and evaluate GRU4Rec on MovieLens, each user's history a session. Without arguments: on "
        "SYNTHETIC ratings, made on the spot.",
        epilog="Example: run_movielens.py --ratings ml-20m --config cross-entropy --set momentum=0.2",
    )
    source = parser.add_argument_group("data (default: embedded synthetic ratings)")
    source.add_argument(
        "--ratings",
        type=Path,
        metavar="PATH",
        help="ratings.csv, ratings.dat or u.data, or the folder of a release, prepared first",
    )
    add_split_options(source)
    source.add_argument("--train-on", choices=TRAIN_ON, help=f"of the prepared sets (default: {TRAIN_ON[0]})")
    source.add_argument("--evaluate-on", choices=EVALUATE_ON, help=f"of the prepared sets (default: {EVALUATE_ON[0]})")
    source.add_argument("--train", type=Path, metavar="FILE", help="a prepared training file, with --test")
    source.add_argument("--test", type=Path, metavar="FILE", help="a prepared file to evaluate on, with --train")
    add_model_options(
        parser,
        config_help=f"settings, chosen by this project and not published: {', '.join(CONFIGS)} or all (default: "
        f"{' '.join(DEFAULT_CONFIGS)}; all on embedded data)",
        epochs_help=f"default: 10; {EMBEDDED_EPOCHS} on embedded data",
    )
    add_output_options(parser, out=Path("runs/movielens"))
    return parser


def load_data(options: argparse.Namespace, split: tuple, columns: Columns, console: Console) -> Dataset:
    if options.train:
        return from_files("MovieLens", {"train": options.train, "test": options.test}, columns)
    folder = options.out / "data"
    ratings = options.ratings
    if ratings is None:
        ratings = folder / "synthetic-ratings.csv"
        write_sample(ratings)
    prepared = preprocess(ratings, folder, *split)
    describe(prepared, console, "ratings" if options.ratings else "SYNTHETIC ratings")
    parts = (options.train_on or TRAIN_ON[0], options.evaluate_on or EVALUATE_ON[0])
    paths = {part: folder / FILES[part] for part in parts}
    return from_files("MovieLens", paths, columns, str(ratings), synthetic=options.ratings is None)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> None:
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test go together")
    if options.train:
        for name in ("ratings", "dates", "quantiles", "train_on", "evaluate_on"):
            if getattr(options, name):
                raise ValueError(f"--{name.replace('_', '-')} and --train/--test: one of the two is accepted")
    check(options, inputs=(options.train, options.test))
    if options.ratings:
        find(options.ratings)
    split = split_options(options)
    overrides = parse_overrides(options.set)
    embedded = not (options.ratings or options.train)
    configs = choose(options.config or (CONFIGS if embedded else DEFAULT_CONFIGS), CONFIGS)
    jobs = plan(configs, options, overrides, options.epochs or (EMBEDDED_EPOCHS if embedded else None))
    with console.status("reading the data"):
        data = load_data(options, split, column_names(overrides), console)
    command.train_and_report(jobs, data, options, arguments, console)


def main(arguments: list[str] | None = None) -> int:
    return command.main(parser(), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
