"""Arguments that every job has, and what is accepted for them."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gru4rec import files, options
from gru4rec.baselines.of_the_papers import NAMES
from gru4rec.commands.arguments import DTYPES, add_reading
from gru4rec.frames import Columns
from gru4rec.published import Params

ENGINES = ("original", "keras")
MODES = ("c", "jax")


def add_model_options(parser: argparse.ArgumentParser, config_help: str, epochs_help: str) -> None:
    model = parser.add_argument_group("models")
    model.add_argument("--config", nargs="+", metavar="NAME", help=config_help)
    model.add_argument("--engine", choices=(*ENGINES, "both"), default="both", help="default: %(default)s")
    model.add_argument("--epochs", type=int, metavar="N", help=epochs_help)
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any constructor option, in every config; repeatable; lists as 100/50",
    )
    model.add_argument("--mode", choices=MODES, help="how the original engine compiles (default: c)")
    model.add_argument("--dtype", choices=DTYPES, default="float32", help="default: %(default)s")
    model.add_argument("--seed", type=int, default=42, help="of weights, samples and orders (default: %(default)s)")
    model.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        help=f"evaluate {', '.join(NAMES)} too (default: on embedded data only)",
    )
    model.add_argument(
        "--baseline-sessions",
        type=int,
        default=2000,
        metavar="N",
        help="evaluate baselines on at most so many test sessions, evenly chosen (default: %(default)s)",
    )


def add_output_options(parser: argparse.ArgumentParser, out: Path) -> None:
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, default=out, metavar="DIR", help="results and data (default: %(default)s)")
    output.add_argument("--save", type=Path, metavar="DIR", help="save each trained model there")
    output.add_argument("--checkpoint", action="store_true", help="save each model after each epoch, in --out")
    output.add_argument("--resume", action="store_true", help="go on from the checkpoints in --out, and make them")
    output.add_argument("--overwrite", action="store_true", help="replace checkpoints and models that are there")


def check(given: argparse.Namespace, inputs: files.Named) -> None:
    """Raise ValueError for options out of range or at odds with each other, OSError for inputs that are not there."""
    if given.mode and given.engine == "keras":
        raise ValueError("--mode concerns the original engine; --engine keras does not use it")
    if given.resume and given.overwrite:
        raise ValueError("--resume with --overwrite: one of the two is accepted")
    files.check_inputs(inputs)
    for name in ("epochs", "baseline_sessions"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")


def add_prepared(group: argparse._ArgumentGroup) -> None:
    """Options of files that are prepared already, and of how they are read."""
    group.add_argument("--train", type=Path, metavar="FILE", help="a prepared training file, with --test")
    group.add_argument("--test", type=Path, metavar="FILE", help="a prepared file to evaluate on, with --train")
    add_reading(group)


def check_source(given: argparse.Namespace, raw: Iterable[str] = ()) -> None:
    """Raise ValueError for one of --train and --test alone, or for both beside an option ``raw`` of data to prepare."""
    if (given.train is None) != (given.test is None):
        raise ValueError("--train and --test go together")
    for name in raw if given.train else ():
        if getattr(given, name):
            raise ValueError(f"--{name.replace('_', '-')} and --train/--test: one of the two is accepted")


def choose(names: Iterable[str], configs: Mapping[str, Params]) -> dict[str, Params]:
    """The ``configs`` of these names, each once, in the given order; ``all`` stands for every one.

    Raises ValueError for an unknown name.
    """
    wanted = [each for name in names for each in (configs if name == "all" else [name])]
    for name in wanted:
        if name not in configs:
            raise ValueError(f"--config {name}: unknown; {', '.join(configs)} and all are accepted")
    return {name: configs[name] for name in wanted}


def parse_overrides(texts: Iterable[str]) -> Params:
    """The options of ``--set``. Raises ValueError for a form, a name or a value that is not accepted."""
    return options.from_pairs("--set", texts)


def column_names(overrides: Mapping[str, Any]) -> Columns:
    return Columns(*(overrides.get(f"{name}_key", default) for name, default in Columns()._asdict().items()))
