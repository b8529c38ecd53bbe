"""Options that ``gru4rec`` and ``gru4rec tune`` share, under the names that users of the published programs know."""

import argparse
import os
from pathlib import Path
from typing import Any

from experiments import models, parameters
from experiments.models import Maker
from experiments.sessions import Columns
from parity import engines

DEFAULT_ENGINE = "keras"
# of the options that are refused where they have no use: None until then
DEFAULTS = {"dtype": "float32", "seed": 42, "sample_store": 10_000_000, "eval_type": "standard"}


def not_negative(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of at least 0 is accepted")
    return int(text)


def add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model to train")
    model.add_argument(
        "-ps", "--params", metavar="NAME=VALUE,...", help="options of the model; lists as 100/50; they win over -pf"
    )
    model.add_argument(
        "-pf", "--param-file", metavar="FILE", help="options from a TOML, JSON or text file, or shipped ones by name"
    )
    model.add_argument("--dtype", choices=("float32", "float64"), help=f"default: {DEFAULTS['dtype']}")
    model.add_argument(
        "--seed", type=not_negative, metavar="N", help=f"of weights, samples and orders (default: {DEFAULTS['seed']})"
    )
    model.add_argument(
        "-ss", "--sample-store", type=not_negative, metavar="N",
        help=f"negative samples drawn ahead; 0 draws them step by step (default: {DEFAULTS['sample_store']})",
    )  # fmt: skip


def add_engine(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(engines.NAMES)} or package.module:Class (default: {DEFAULT_ENGINE})",
    )
    engine.add_argument("-d", "--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")


def add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("columns of the files")
    for letter, (name, column) in zip(("-sk", "-ik", "-tk"), Columns()._asdict().items()):
        data.add_argument(letter, f"--{name}-key", metavar="NAME", help=f"{name} column (default: {column})")


def add_mode(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-e", "--eval-type", choices=models.MODES,
        help="how ties are ranked (default: standard, as in the published programs; this project's other commands "
        "take conservative, in which a tie counts against the model)",
    )  # fmt: skip


def fill_in(options: argparse.Namespace, **defaults: Any) -> argparse.Namespace:
    """A copy in which :data:`DEFAULTS`, and ``defaults``, stand for what was not given."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    return argparse.Namespace(**vars(options) | DEFAULTS | defaults | given)


def columns(options: argparse.Namespace, default: Columns = Columns()) -> Columns:
    given = Columns(options.session_key, options.item_key, options.time_key)
    return Columns(*(name or other for name, other in zip(given, default)))


def maker(options: argparse.Namespace) -> tuple[Maker, str]:
    """The engine asked for, and its device."""
    spec, device = models.engine(options.engine or DEFAULT_ENGINE, options.device)
    return Maker(spec, options.dtype, options.seed), device


def params(options: argparse.Namespace) -> parameters.Params:
    return parameters.choose(options.param_file, options.params)


def check_writable(option: str, path: Path) -> None:
    """Raise OSError or ValueError for a file that cannot be written later."""
    if path.is_dir():
        raise IsADirectoryError(f"{option} {path} is a folder: a file's name is needed")
    make_folder(option, path.parent)


def make_folder(option: str, folder: Path) -> None:
    """Raise OSError for a folder that is not there and cannot be made, or that nothing can be written to."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{option}: no file can be made in {folder}, for want of the right to write there")
