"""Options that several commands share."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable

from gru4rec import engines
from parity.measure import Checks, Verdict
from parity.workers import default_jobs

log = logging.getLogger(__name__)


def add_engines(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help=f"{', '.join(engines.NAMES)} or package.module:Class; may be repeated (default: {default})",
    )


def add_device(parser: argparse.ArgumentParser, default: str = "auto") -> None:
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default=default, help="default: %(default)s")


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


def check_two(names: list[str]) -> None:
    """Raises ValueError where an engine stands twice: it would agree with itself."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"--engine {twice[0]} twice: each engine once is accepted, one agrees with itself")


def log_raised(tracebacks: Iterable[str | None]) -> None:
    """Log each traceback once, for ``--debug``; none for ''."""
    for raised in dict.fromkeys(filter(None, tracebacks)):
        log.debug("an engine raised:\n%s", raised)


def exit_status(runs: Iterable[Checks]) -> int:
    """0: everything that applies held. 1: something failed. 3: nothing failed, but something was not covered.

    What an engine raised is logged with its traceback, which ``--debug`` shows.
    """
    runs = list(runs)
    log_raised(check.traceback for checks in runs for check in checks.values())
    return {Verdict.FAILED: 1, Verdict.NOT_COVERED: 3}.get(Verdict.of(checks.verdict for checks in runs), 0)
