"""``gru4rec rsc15``: train and evaluate GRU4Rec on RSC15, with either engine or with both.

Without arguments it runs on SYNTHETIC data that it makes itself.
"""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import terminal
from gru4rec.commands import arguments
from gru4rec.datasets import rsc15
from gru4rec.datasets.prepared import Dataset
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
from gru4rec.published import RSC15, Params

DEFAULT_CONFIGS, EMBEDDED_CONFIGS = ["bpr-max"], ["bpr-max", "cross-entropy"]
EMBEDDED_EPOCHS = 8
# RSC15 has 18 items for each of the 2,048 samples of a step. The embedded data have 1,033 items in all, of which
# 2,048 samples would hold every one twice, the targets too.
EMBEDDED_SAMPLES = 256


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec rsc15",
        "Train and evaluate GRU4Rec on RSC15. Without arguments: on SYNTHETIC data, made on the spot.",
        "Example: gru4rec rsc15 --clicks yoochoose-clicks.dat --config bpr-max --set momentum=0.2",
    )
    source = made.add_argument_group("data (default: embedded synthetic data)")
    source.add_argument("--clicks", type=Path, metavar="FILE", help="the raw file yoochoose-clicks.dat, prepared first")
    add_prepared(source)
    add_model_options(
        made,
        config_help=f"published settings: {', '.join(RSC15)} or all (default: {' '.join(DEFAULT_CONFIGS)}; "
        f"{' '.join(EMBEDDED_CONFIGS)} on embedded data, where n_sample is {EMBEDDED_SAMPLES} instead of 2048)",
        epochs_help=f"default: 10; {EMBEDDED_EPOCHS} on embedded data",
    )
    add_output_options(made, out=Path("runs/rsc15"))
    return made


def embedded_configs(configs: dict[str, Params]) -> dict[str, Params]:
    """The same with samples that fit the embedded data."""
    return {name: params | {"n_sample": min(params["n_sample"], EMBEDDED_SAMPLES)} for name, params in configs.items()}


def load_data(given: argparse.Namespace, columns: Columns) -> Dataset:
    folder = given.out / "data"
    if given.clicks:
        return rsc15.from_clicks(given.clicks, folder, columns)
    if given.train:
        return rsc15.from_files(given.train, given.test, columns, ids=given.ids, time_format=given.time_format)
    return rsc15.embedded(folder, columns)


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where a training diverged, else 0."""
    check_source(given, ("clicks",))
    inputs = [("--clicks", given.clicks), ("--train", given.train), ("--test", given.test)]
    check(given, inputs)
    overrides = parse_overrides(given.set)
    embedded = not (given.clicks or given.train)
    configs = choose(given.config or (EMBEDDED_CONFIGS if embedded else DEFAULT_CONFIGS), RSC15)
    if embedded:
        configs = embedded_configs(configs)
    jobs = plan(configs, given, overrides, given.epochs or (EMBEDDED_EPOCHS if embedded else None))
    Outputs.of(given).prepare(jobs, inputs, given.resume or given.overwrite)
    with terminal.console(stderr=True).status("reading the data"):
        data = load_data(given, column_names(overrides))
    return train_and_report(jobs, data, given, command, console)
