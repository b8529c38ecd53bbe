"""``gru4rec movielens``: train and evaluate GRU4Rec on MovieLens, each user's history a session.

Without arguments it runs on SYNTHETIC ratings that it makes itself.
"""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import terminal
from gru4rec.commands import arguments
from gru4rec.commands.prepare import add_split_options, describe_movielens, split_options
from gru4rec.datasets.movielens import CONFIGS, FILES, find, preprocess
from gru4rec.datasets.movielens_sample import write_sample
from gru4rec.datasets.prepared import Dataset, from_files
from gru4rec.frames import Columns
from gru4rec.jobs.arguments import (
    add_model_options,
    add_output_options,
    add_prepared,
    check,
    check_source,
    choose,
    column_names,
    parse_overrides,
)
from gru4rec.jobs.job import Outputs, plan, train_and_report

DEFAULT_CONFIGS = ["cross-entropy"]
TRAIN_ON, EVALUATE_ON = ("train", "all_train"), ("test", "dev")
EMBEDDED_EPOCHS = 5


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec movielens",
        "Train and evaluate GRU4Rec on MovieLens, each user's history a session. Without arguments: on SYNTHETIC "
        "ratings, made on the spot.",
        "Example: gru4rec movielens --ratings ml-20m --config cross-entropy --set momentum=0.2",
    )
    source = made.add_argument_group("data (default: embedded synthetic ratings)")
    source.add_argument(
        "--ratings",
        type=Path,
        metavar="PATH",
        help="ratings.csv, ratings.dat or u.data, or the folder of a release, prepared first",
    )
    add_split_options(source)
    source.add_argument("--train-on", choices=TRAIN_ON, help=f"of the prepared sets (default: {TRAIN_ON[0]})")
    source.add_argument("--evaluate-on", choices=EVALUATE_ON, help=f"of the prepared sets (default: {EVALUATE_ON[0]})")
    add_prepared(source)
    add_model_options(
        made,
        config_help=f"settings, chosen by this project and not published: {', '.join(CONFIGS)} or all (default: "
        f"{' '.join(DEFAULT_CONFIGS)}; all on embedded data)",
        epochs_help=f"default: 10; {EMBEDDED_EPOCHS} on embedded data",
    )
    add_output_options(made, out=Path("runs/movielens"))
    return made


def load_data(given: argparse.Namespace, split: tuple, columns: Columns, console: Console) -> Dataset:
    if given.train:
        paths = {"train": given.train, "test": given.test}
        return from_files("MovieLens", paths, columns, ids=given.ids, time_format=given.time_format)
    folder = given.out / "data"
    ratings = given.ratings
    if ratings is None:
        ratings = folder / "synthetic-ratings.csv"
        write_sample(ratings)
    prepared = preprocess(ratings, folder, *split)
    describe_movielens(prepared, console, "ratings" if given.ratings else "SYNTHETIC ratings")
    parts = (given.train_on or TRAIN_ON[0], given.evaluate_on or EVALUATE_ON[0])
    paths = {part: folder / FILES[part] for part in parts}
    return from_files("MovieLens", paths, columns, str(ratings), synthetic=given.ratings is None)


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where a training diverged, else 0."""
    check_source(given, ("ratings", "dates", "quantiles", "train_on", "evaluate_on"))
    ratings = find(given.ratings) if given.ratings else None
    inputs = [("--ratings", ratings), ("--train", given.train), ("--test", given.test)]
    check(given, inputs)
    split = split_options(given)
    overrides = parse_overrides(given.set)
    embedded = not (given.ratings or given.train)
    configs = choose(given.config or (CONFIGS if embedded else DEFAULT_CONFIGS), CONFIGS)
    jobs = plan(configs, given, overrides, given.epochs or (EMBEDDED_EPOCHS if embedded else None))
    Outputs.of(given).prepare(jobs, inputs, given.resume or given.overwrite)
    with terminal.console(stderr=True).status("reading the data"):
        data = load_data(given, split, column_names(overrides), console)
    return train_and_report(jobs, data, given, command, console)
