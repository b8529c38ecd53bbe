"""``gru4rec check TRAIN [TEST]``: what is wrong with files of sessions, before anyone trains on them for a night."""

import argparse
import json
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from gru4rec import terminal, textfiles
from gru4rec.commands import arguments
from gru4rec.datasets import checks
from gru4rec.datasets.checks import Finding
from gru4rec.files import check_inputs
from gru4rec.frames import Columns, EventFile

FINE, BAD = 0, 1
STARS = ("rating", "ratings", "stars", "score")
EPILOG = """
Checked: order, equal times, duplicates, one-event sessions, ids that look like numbers and are none, the unit of time,
signs of ratings; of two files also: sessions that straddle the split, training events in the time of the test, units,
test items that training lacks. Each finding is fine, a note, or bad.
"""
EXIT_STATUS = "Exit status: 0 nothing is bad, 1 something is, 2 bad input or could not run, 130 interrupted."


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec check", "Check files of sessions before training on them.", EPILOG, EXIT_STATUS
    )
    made.add_argument("train", metavar="TRAIN", type=Path, help="a training file, or any file of sessions")
    made.add_argument("test", metavar="TEST", type=Path, nargs="?", help="the file to evaluate on")
    made.add_argument("--json", action="store_true", help="print the findings as JSON instead of a table")
    arguments.add_data(made)
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where something is bad, else 0."""
    columns = arguments.columns(given)
    paths = [path for path in (given.train, given.test) if path]
    check_inputs([("TRAIN", given.train), ("TEST", given.test)])
    with terminal.console(stderr=True).status("checking"):
        files: list[EventFile] = []
        for path in paths:
            files.append(arguments.read(given, path, columns, files[0].has_text_items if files else None, True))
        findings = checks.check(files, [stars_of(path, columns) for path in paths])
    bad = any(each.level == "bad" for each in findings)
    if given.json:
        content = {
            "files": {str(each.path): dict(zip(("events", "sessions", "items"), each.counts)) for each in files},
            "findings": [each.as_json() for each in findings],
            "verdict": checks.verdict(findings),
            "bad": bad,
        }
        print(json.dumps(content, indent=1))
    else:
        for each in files:
            console.print(each.describe())
        for where in dict.fromkeys(each.where for each in findings):
            console.print(table(where, [each for each in findings if each.where == where]))
        console.print(f"Verdict: {checks.verdict(findings)}.")
    return BAD if bad else FINE


def table(where: str, findings: list[Finding]) -> Table:
    """What was found in a file, or in two of them, a row a check."""
    made = terminal.make_table(where, "check", "", "found")
    styles = {"bad": "bold red", "note": "yellow", "fine": "dim"}
    for each in findings:
        made.add_row(each.what, each.level, each.found, style=styles[each.level])
    return made


def stars_of(path: Path, columns: Columns) -> pl.Series | None:
    """The column of a file that is named as ratings are, where there is one."""
    if path.suffix.lower() == ".parquet":
        frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        for name in frame.collect_schema().names():
            if name.lower() in STARS:
                return frame.select(name).collect()[name]
        return None
    header = path.open(encoding="utf-8-sig", errors="replace").readline()
    for name in STARS:
        for spelling in (name, name.capitalize(), name.upper()):
            if spelling in header:
                try:
                    return textfiles.look(path, [*columns, spelling]).scan().select(spelling).collect()[spelling]
                except ValueError:
                    continue
    return None
