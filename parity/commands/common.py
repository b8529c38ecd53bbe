"""Options that several commands share."""

import argparse

from parity import engines
from parity.workers import default_jobs


def add_engines(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help=f"{', '.join(engines.NAMES)} or package.module:Class; may be repeated (default: {default})",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default="auto", help="default: %(default)s")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=_positive, default=default_jobs(), help="processes side by side (default: %(default)s)")


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of at least 1 is accepted")
    return value


def check_engines(names: list[str]) -> None:
    """Raises ValueError or ImportError for a name that leads to no engine."""
    for name in names:
        engines.named(name)
