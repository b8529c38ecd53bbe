"""The command ``gru4rec``."""

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler

from experiments import run

WIDTH = 140  # of tables, where the output is a file


def console(stderr: bool = False) -> Console:
    found = Console(stderr=stderr, markup=False, highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(stderr=stderr, markup=False, highlight=False, soft_wrap=True,
                                                   width=WIDTH)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a training diverged, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["tune"]:
        from experiments.tuning import command  # Optuna takes a second to import

        arguments = arguments[1:]
    else:
        command = run
    given = command.parser().parse_args(arguments)
    problems = console(stderr=True)
    handler = RichHandler(console=problems, show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.captureWarnings(True)
    try:
        return command.execute(given, arguments, console())
    except (ValueError, OSError, ImportError, RuntimeError) as problem:
        problems.print(f"error: {problem}", style="red")
        return 2
    except KeyboardInterrupt:
        problems.print("stopped", style="red")
        return 130
    finally:
        logging.captureWarnings(False)
