"""Train and evaluate GRU4Rec on RSC15, with either engine or with both.

Without arguments it runs on SYNTHETIC data that it makes itself. See ``--help`` for real data and for settings.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples import command
from examples.data import Dataset
from examples.jobs import plan
from examples.options import add_model_options, add_output_options, check, choose, column_names, parse_overrides
from examples.rsc15 import data as rsc15_data
from examples.rsc15.settings import CONFIGS
from examples.sessions import Columns

DEFAULT_CONFIGS, EMBEDDED_CONFIGS = ["bpr-max"], ["bpr-max", "cross-entropy"]
EMBEDDED_EPOCHS = 8
# RSC15 has 18 items for each of the 2,048 samples of a step. The embedded data have 1,033 items in all, of which
# 2,048 samples would hold every one twice, the targets too.
EMBEDDED_SAMPLES = 256


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train and evaluate GRU4Rec on RSC15. Without arguments: on SYNTHETIC data, made on the spot.",
        epilog="Example: run_rsc15.py --clicks yoochoose-clicks.dat --config bpr-max --set momentum=0.2",
    )
    source = parser.add_argument_group("data (default: embedded synthetic data)")
    source.add_argument("--clicks", type=Path, metavar="FILE", help="the raw file yoochoose-clicks.dat, prepared first")
    source.add_argument("--train", type=Path, metavar="FILE", help="a prepared training file, with --test")
    source.add_argument("--test", type=Path, metavar="FILE", help="a prepared test file, with --train")
    add_model_options(
        parser,
        config_help=f"published settings: {', '.join(CONFIGS)} or all (default: {' '.join(DEFAULT_CONFIGS)}; "
        f"{' '.join(EMBEDDED_CONFIGS)} on embedded data, where n_sample is {EMBEDDED_SAMPLES} instead of 2048)",
        epochs_help=f"default: 10; {EMBEDDED_EPOCHS} on embedded data",
    )
    add_output_options(parser, out=Path("runs/rsc15"))
    return parser


def load_data(options: argparse.Namespace, columns: Columns) -> Dataset:
    folder = options.out / "data"
    if options.clicks:
        return rsc15_data.from_clicks(options.clicks, folder, columns)
    if options.train:
        return rsc15_data.from_files(options.train, options.test, columns)
    return rsc15_data.embedded(folder, columns)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> None:
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test go together")
    if options.clicks and options.train:
        raise ValueError("--clicks and --train/--test: one of the two is accepted")
    check(options, inputs=(options.clicks, options.train, options.test))
    overrides = parse_overrides(options.set)
    embedded = not (options.clicks or options.train)
    configs = choose(options.config or (EMBEDDED_CONFIGS if embedded else DEFAULT_CONFIGS), CONFIGS)
    if embedded:
        configs = {
            name: params | {"n_sample": min(params["n_sample"], EMBEDDED_SAMPLES)} for name, params in configs.items()
        }
    jobs = plan(configs, options, overrides, options.epochs or (EMBEDDED_EPOCHS if embedded else None))
    with console.status("reading the data"):
        data = load_data(options, column_names(overrides))
    command.train_and_report(jobs, data, options, arguments, console)


def main(arguments: list[str] | None = None) -> int:
    return command.main(parser(), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
