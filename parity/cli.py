"""The command line: ``python -m parity COMMAND``."""

import argparse
import logging
import sys
import traceback
from typing import Any

from gru4rec import engines
from parity.commands import (
    doctor,
    golden,
    lists,
    matrix,
    mutants,
    record,
    run,
    selftest,
    smallest,
    stability,
    template,
    training,
    validate,
)

COMMANDS = (
    doctor,
    run,
    golden,
    selftest,
    matrix,
    training,
    lists,
    mutants,
    stability,
    smallest,
    record,
    validate,
    template,
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m parity",
        description="Shows whether implementations of GRU4Rec are the same algorithm, and the one that its "
        "authors published.",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    _add_debug(made, False)
    for each in commands.choices.values():  # it may stand behind the command, too
        _add_debug(each, argparse.SUPPRESS)
    return made


def _add_debug(to: argparse.ArgumentParser, default: Any) -> None:
    to.add_argument(
        "--debug",
        action="store_true",
        default=default,
        help="print tracebacks: of what an engine raised, and of errors",
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 when everything held, 1 when something failed, 2 when the command could not be run.

    3 when nothing failed, but an engine lacks what some of the runs need, so that these were not covered.
    130 when it was interrupted. No error shows a traceback, but with ``--debug``.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    engines.expect_odd_settings()
    options = parser().parse_args(arguments)
    logging.getLogger("parity").setLevel(logging.DEBUG if options.debug else logging.NOTSET)
    try:
        return options.execute(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as problem:
        _show(problem, options.debug)
        return 2


_FOR_USERS = (ValueError, OSError, ImportError, RuntimeError)  # their message says it all


def _show(problem: Exception, debug: bool) -> None:
    if debug:
        print("".join(traceback.format_exception(problem)), end="", file=sys.stderr)
    if isinstance(problem, _FOR_USERS) and str(problem):
        print(f"error: {problem}", file=sys.stderr)
    else:
        hint = "" if debug else "; --debug prints the traceback"
        print(f"error: {type(problem).__name__}: {problem}{hint}", file=sys.stderr)
