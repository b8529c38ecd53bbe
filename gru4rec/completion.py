"""Completion of the command's words and options in a shell, made by shtab from the parsers themselves."""

import argparse
import importlib
from typing import Any, cast

import shtab

from gru4rec import cli

SHELLS = tuple(shtab.SUPPORTED_SHELLS)


def script(shell: str) -> str:
    """The text for a shell to read: ``eval "$(gru4rec --print-completion bash)"``."""
    return shtab.complete(whole_parser(), shell)


def whole_parser() -> argparse.ArgumentParser:
    """One parser of ``gru4rec PATH`` and, as its commands, of all the others."""
    made: argparse.ArgumentParser = importlib.import_module(cli.TRAIN).parser()
    made.prog = "gru4rec"
    # the first word is a command's name, or a file, which a shell completes by itself where no name fits
    made._actions[:] = [action for action in made._actions if action.option_strings]  # noqa: SLF001

    def command(prog: str, **_: Any) -> argparse.ArgumentParser:
        return importlib.import_module(cli.COMMANDS[prog.split()[-1]]).parser()

    commands = made.add_subparsers(prog="gru4rec", parser_class=cast(Any, command), metavar="COMMAND")
    for name in cli.COMMANDS:
        commands.add_parser(name, help=name)
    _complete_files(made)
    return made


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Have files offered for every argument that takes a path."""
    for action in parser._actions:  # noqa: SLF001 shtab reads them there, and argparse shows them nowhere else
        if action.type is not None and getattr(action.type, "__name__", "") == "Path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                _complete_files(each)
