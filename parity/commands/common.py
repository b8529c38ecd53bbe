"""Options that several commands share."""

import argparse

from parity import engines
from parity.measure import Checks
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
    parser.add_argument(
        "--jobs", type=positive, default=default_jobs(), help="processes side by side (default: %(default)s)"
    )


def positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of at least 1 is accepted")
    return value


def check_engines(names: list[str]) -> None:
    """Raises ValueError or ImportError for a name that leads to no engine."""
    for name in names:
        engines.named(name)


def exit_status(runs: list[Checks]) -> int:
    """0: everything held. 1: something failed. 3: nothing failed, but some runs were not covered at all."""
    if any(checks.failed for checks in runs):
        return 1
    return 0 if all(checks.held for checks in runs) else 3
