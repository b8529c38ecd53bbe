"""The command ``gru4rec``: what the first word asks for, and how every command ends."""

import argparse
import contextlib
import importlib
import logging
import os
import sys
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from gru4rec import hosts, signals, terminal

# Each is imported when it is asked for: Optuna takes a second.
COMMANDS = {
    "train": "gru4rec.commands.train",
    "evaluate": "gru4rec.commands.evaluate",
    "score": "gru4rec.commands.score",
    "recommend": "gru4rec.commands.recommend",
    "tune": "gru4rec.commands.tune",
    "rsc15": "gru4rec.commands.rsc15",
    "movielens": "gru4rec.commands.movielens",
    "dwelltime": "gru4rec.commands.dwelltime",
    "augment": "gru4rec.commands.augment",
    "prepare": "gru4rec.commands.prepare",
    "sample": "gru4rec.commands.sample",
    "check": "gru4rec.commands.check",
    "map": "gru4rec.commands.map",
    "reproduce": "gru4rec.commands.reproduce",
}
TRAIN = COMMANDS["train"]
DONE, DIVERGED, COULD_NOT = 0, 1, 2  # and 130 or 143, which the signal gives
_LONGEST = 2000  # characters of a message
_OWN = (ValueError, OSError, ImportError, RuntimeError)  # whose messages were written for a user


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 what is judged is bad, 2 bad input or could not run, 130 and 143 interrupted."""
    signals.open_missing_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return run(COMMANDS[arguments[0]], arguments[1:])
    return run(TRAIN, arguments)


def program() -> int:
    """What the installed command does: :func:`main`, whose status no signal changes while Python ends."""
    status = main()
    signals.ignore()
    return status


def script(*words: str) -> int:
    """What a script does that stands for a command of these first words."""
    return main([*words, *sys.argv[1:]])


def run(module: str, arguments: list[str]) -> int:
    """Parse the arguments of a command's module and execute it; returns the exit status, as :func:`main`."""
    given = argparse.Namespace(verbose="--verbose" in arguments)
    problems = terminal.console(stderr=True)
    with signals.watched() as watch:
        try:
            command: Any = importlib.import_module(module)
            given = command.parser().parse_args(arguments)
            logging.basicConfig(
                level=logging.INFO if given.verbose else logging.WARNING,
                format="%(message)s",
                handlers=[RichHandler(console=problems, show_path=False, show_time=False)],
            )
            logging.captureWarnings(True)
            return hosts.leave(command.execute(given, arguments, terminal.console()))
        except KeyboardInterrupt:
            return hosts.leave(_interrupted(watch, given, problems))
        except Exception as problem:  # whatever it is, it is no divergence, which status 1 says
            if watch.number is not None:  # a library made another error of the interruption
                return hosts.leave(_interrupted(watch, given, problems))
            return hosts.leave(_could_not(problem, given, problems))
        except BaseException as problem:
            if type(problem).__name__ != "PanicException":  # of Polars, which is no Exception
                raise
            return hosts.leave(_could_not(problem, given, problems))
        finally:
            logging.captureWarnings(False)


def _interrupted(watch: Any, given: argparse.Namespace, problems: Console) -> int:
    out = getattr(given, "out", None)
    _show(problems, "stopped" + (f"; what was finished is in {out}" if out else ""))
    return signals.status(watch)


def _could_not(problem: BaseException, given: argparse.Namespace, problems: Console) -> int:
    if isinstance(problem, BrokenPipeError):  # nor is anything to be written at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if given.verbose:
        problems.print_exception()
    _show(problems, f"error: {_in_words(problem)}")
    return COULD_NOT


def _show(problems: Console, text: str) -> None:
    with contextlib.suppress(OSError):  # of a standard error that is full or closed; the status says it
        problems.print(text, style="red")


def _in_words(problem: BaseException) -> str:
    """One line of a problem that is not ours, and whatever we said of one that is."""
    if words := hosts.lost(problem):
        return f"{words}; with --resume, started again, they go on from the last epoch that was saved"
    text = str(problem).strip() or type(problem).__name__
    if isinstance(problem, OSError) and problem.errno is not None and problem.strerror:
        named = problem.filename is not None
        text = f"{os.fsdecode(problem.filename)}: {problem.strerror}" if named else problem.strerror
    lines = text.splitlines()
    if len(lines) > 1 and not isinstance(problem, (ValueError, OSError)):
        text = f"{lines[0]} (--verbose shows {len(lines) - 1} more lines)"
    text = text[:_LONGEST]
    if isinstance(problem, MemoryError) or type(problem).__name__ == "ResourceExhaustedError":
        return f"there is not enough memory: {text}"
    return text if isinstance(problem, _OWN) else f"{type(problem).__name__}: {text}"
