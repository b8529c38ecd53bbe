"""``gru4rec recommend MODEL SESSIONS --out FILE``: the next items of every session of a file."""

import argparse
from pathlib import Path
from time import perf_counter

from rich.console import Console

from gru4rec import files, models, recommending, terminal
from gru4rec.commands import arguments
from gru4rec.commands.arguments import positive
from gru4rec.commands.evaluate import loaded

EPILOG = """
SESSIONS is a file of events as for training: a session, an item and a time column. What comes out is a row for each
session and rank: the session, Rank from 1, the item, Score. Items that the model does not know are passed over, as if
they had not been clicked; sessions without any other get no row. A file says itself which engine or baseline saved it.
"""


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec recommend", "Recommend the next items of sessions.", EPILOG)
    made.add_argument("model", metavar="MODEL", type=Path, help="a saved model")
    made.add_argument("sessions", metavar="SESSIONS", type=Path, help="file of sessions")
    made.add_argument(
        "-n", "--number", type=positive, default=20, metavar="N", help="items a session (default: %(default)s)"
    )
    made.add_argument("--exclude", metavar="FILE", type=Path, help="items that are left out: a text, an id a line")
    made.add_argument("--exclude-seen", action="store_true", help="leave out the items of the session itself")
    made.add_argument(
        "--out", required=True, metavar="FILE", type=Path, help="receives them, as .parquet, .csv or .tsv"
    )
    arguments.add_engine(made)
    arguments.add_data(made)
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status 0."""
    if given.out.suffix.lower() not in recommending.SUFFIXES:
        raise ValueError(f"--out {given.out}: a file named .parquet, .csv or .tsv is accepted")
    inputs = [("MODEL", given.model), ("SESSIONS", given.sessions)]
    inputs += [("--exclude", given.exclude)] if given.exclude else []
    for _, path in inputs:
        path.open("rb").close()
    files.check_outputs([("--out", given.out)], inputs)
    spec, gru = loaded(given, given.model, "asked for recommendations")
    ids = gru.itemidmap.index
    columns = arguments.columns(given, models.columns_of(gru))
    if taken := [name for name in (columns.session, columns.item) if name in (recommending.RANK, recommending.SCORE)]:
        raise ValueError(f"column {taken[0]!r}: a column of the output has this name, another is needed")
    if given.number > len(ids):
        raise ValueError(f"-n {given.number}: a whole number from 1 to {len(ids)}, the items of the model, is accepted")
    exclude = recommending.read_excluded(given.exclude, ids, columns.item) if given.exclude else []
    data = arguments.read(given, given.sessions, columns, any(isinstance(item, str) for item in ids))
    console.print(data.describe())
    begin = perf_counter()
    with terminal.console(stderr=True).status("recommending"):
        table = recommending.recommend(gru, data.frame, columns, given.number, exclude, given.exclude_seen)
    seconds = perf_counter() - begin
    recommending.write(given.out, table)
    served = table[columns.session].nunique()
    all_sessions = data.counts[1]
    note = f" of {all_sessions:,}, the others have no item that the model knows" if served < all_sessions else ""
    console.print(f"{spec.name}: {served:,} sessions{note}; {served / max(seconds, 1e-9) * 60:,.0f} a minute")
    if exclude:
        console.print(f"{given.exclude}: {int(ids.isin(exclude).sum()):,} items of the model left out")
    console.print(f"recommendations: {given.out}, {len(table):,} rows")
    return 0
