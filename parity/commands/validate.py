"""``python -m parity validate``: whether files are whole recordings, and what a replay of them owes."""

import argparse
from pathlib import Path
from typing import Any

from rich.text import Text

from gru4rec import terminal
from parity.commands import common
from parity.recordings import archive, manifest
from parity.recordings.reading import find, recording_of
from parity.recordings.recording import Recording


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "validate",
        help="check that files are whole recordings",
        description="Reads recordings, from anyone, and compares nothing. Exit status 0: all are valid; 2: one is not, "
        "or cannot be read, and the error names the file and the part.",
    )
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="recordings or folders of them (default: those shipped)"
    )
    parser.add_argument(
        "--limit",
        type=common.positive,
        default=archive.LIMIT,
        metavar="BYTES",
        help="that a file's arrays may take together (default: %(default)s)",
    )
    parser.add_argument(
        "--write-manifest",
        action="store_true",
        help="write the manifest of the shipped recordings anew, instead of comparing them with it",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    if options.write_manifest:
        if options.files:
            raise ValueError("--write-manifest: accepted without files, it is about the shipped recordings")
        manifest.write()
    if not options.files:
        manifest.check_complete()
    right = ("keys", "steps", "owed comparisons")
    table = terminal.make_table("Recordings", "file", *right, "verdict", right=right)
    wrong = 0
    for path in find(options.files):
        try:
            keys, recording = _read(path, options.limit)
        except (ValueError, OSError) as problem:
            wrong += 1
            what = printable(str(problem).removeprefix(f"{path}: "))
            table.add_row(Text(printable(str(path))), "", "", "", Text(f"refused: {what}", style="bold red"))
            continue
        owed = sum(manifest.owed(recording).values())
        verdict = Text("valid", style="green")
        table.add_row(Text(printable(path.name)), f"{keys:,}", f"{recording.n_steps:,}", f"{owed:,}", verdict)
    terminal.console().print(table)
    count = table.row_count
    print(f"validate: {count - wrong} of {count} files are valid recordings", flush=True)
    return 2 if wrong else 0


def _read(path: Path, limit: int) -> tuple[int, Recording]:
    manifest.check_shipped(path)
    arrays = archive.read_arrays(path, limit)
    return len(arrays), recording_of(arrays, path)


def printable(text: str) -> str:
    """``text`` without what would steer a terminal, or could not be encoded."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
