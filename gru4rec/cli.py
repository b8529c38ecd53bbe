"""The command ``gru4rec``: what the first word asks for, and how every command ends."""

import argparse
import importlib
import logging
import sys
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from gru4rec import terminal

# Each is imported when it is asked for: Optuna takes a second.
COMMANDS = {
    "tune": "gru4rec.commands.tune",
    "rsc15": "gru4rec.commands.rsc15",
    "movielens": "gru4rec.commands.movielens",
    "dwelltime": "gru4rec.commands.dwelltime",
    "augment": "gru4rec.commands.augment",
    "prepare": "gru4rec.commands.prepare",
    "sample": "gru4rec.commands.sample",
    "check": "gru4rec.commands.check",
    "reproduce": "gru4rec.commands.reproduce",
}
TRAIN = "gru4rec.commands.train"
DONE, DIVERGED, COULD_NOT, INTERRUPTED = 0, 1, 2, 130
_LONGEST = 2000  # characters of a message


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the training diverged, 2 bad input or could not run, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return run(COMMANDS[arguments[0]], arguments[1:])
    return run(TRAIN, arguments)


def script(*words: str) -> int:
    """What a script does that stands for a command of these first words."""
    return main([*words, *sys.argv[1:]])


def run(module: str, arguments: list[str]) -> int:
    """Parse the arguments of a command's module and execute it; returns the exit status, as :func:`main`."""
    command: Any = importlib.import_module(module)
    given = command.parser().parse_args(arguments)
    problems = terminal.console(stderr=True)
    logging.basicConfig(
        level=logging.INFO if given.verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=problems, show_path=False, show_time=False)],
    )
    logging.captureWarnings(True)
    try:
        return command.execute(given, arguments, terminal.console())
    except KeyboardInterrupt:
        out = getattr(given, "out", None)
        problems.print("stopped" + (f"; what was finished is in {out}" if out else ""), style="red")
        return INTERRUPTED
    except Exception as problem:  # whatever it is, it is no divergence, which status 1 says
        _explain(problem, given, problems)
        return COULD_NOT
    finally:
        logging.captureWarnings(False)


def _explain(problem: Exception, given: argparse.Namespace, problems: Console) -> None:
    if given.verbose:
        problems.print_exception()
    text = str(problem)[:_LONGEST] or type(problem).__name__
    if isinstance(problem, MemoryError):
        text = f"there is not enough memory: {text}"
    elif not isinstance(problem, (ValueError, OSError, ImportError, RuntimeError)):
        text = f"{type(problem).__name__}: {text}"
    problems.print(f"error: {text}", style="red")
