"""The command line: ``python -m parity COMMAND``."""

import argparse
import logging
import sys

from gru4rec import engines
from parity.commands import (
    golden,
    lists,
    matrix,
    mutants,
    record,
    run,
    selftest,
    smallest,
    stability,
    training,
    validate,
)

COMMANDS = (run, golden, selftest, matrix, training, lists, mutants, stability, smallest, record, validate)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m parity",
        description="Shows whether implementations of GRU4Rec are the same algorithm, and the one that its "
        "authors published.",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 when everything held, 1 when something failed, 2 when the command could not be run.

    3 when nothing failed, but an engine lacks what some of the runs need, so that these were not covered.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    engines.expect_odd_settings()
    options = parser().parse_args(arguments)
    try:
        return options.execute(options)
    except (ValueError, OSError, ImportError, RuntimeError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
