"""``gru4rec map FILE``: a file of sessions as memory-mapped arrays, for trainings that start at once."""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import files, terminal
from gru4rec.commands import arguments
from gru4rec.datasets import mapped

EPILOG = """
FOLDER then stands for FILE as the PATH of a training: gru4rec FOLDER -t TEST ... Nothing is parsed, sorted or numbered
again, and the events stay on the disk until the epoch comes to them. The batches are the same, bit for bit.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    made = arguments.make_parser("gru4rec map", "Write a file of sessions as memory-mapped arrays.", EPILOG)
    made.add_argument("path", metavar="FILE", type=Path, help="a file of sessions")
    made.add_argument("--out", metavar="FOLDER", type=Path, help="default: FILE with the ending .mapped")
    arguments.add_data(made)
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    given.path.open("rb").close()
    out = given.out or given.path.with_suffix(".mapped")
    files.make_folder("--out", out)
    files.check_outputs([("--out", out / name) for name in mapped.NAMES], [("FILE", given.path)])
    with terminal.console(stderr=True).status(f"reading {terminal.plain(str(given.path))}"):
        made = mapped.write(given.path, out, arguments.columns(given), given.ids, given.time_format)
    console.print(made.describe())
    return 0
