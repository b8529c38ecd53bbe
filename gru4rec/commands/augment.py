"""``gru4rec augment SESSIONS``: dwell times of a file, and a training file with events repeated by dwell time."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gru4rec import files, terminal
from gru4rec.commands import arguments
from gru4rec.datasets.prepared import Counts
from gru4rec.dwelltime.augment import AUGMENTED_RSC15, PLAIN_RSC15, Augmented, augment
from gru4rec.dwelltime.distribution import write_figure
from gru4rec.dwelltime.dwell import THRESHOLD
from gru4rec.dwelltime.tally import Statistics
from gru4rec.frames import Columns


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec augment",
        "Dwell times of a sessions file, and a training file with events repeated by dwell time (Bogina and Kuflik "
        "2017, CEUR Vol-1922, paper 11).",
    )
    made.add_argument("sessions", type=Path, help="a training file, a text with a header: SessionId, ItemId, Time")
    made.add_argument(
        "--threshold", type=float, default=THRESHOLD, metavar="SECONDS", help="default: %(default)g, as for RSC15"
    )
    made.add_argument("--most", type=int, metavar="N", help="an event stands N times at most (default: no limit)")
    made.add_argument("--out", type=Path, default=Path("runs/dwelltime"), metavar="DIR", help="default: %(default)s")
    made.add_argument("--statistics", action="store_true", help="statistics and figure alone, no training file")
    for name, default in Columns()._asdict().items():
        made.add_argument(f"--{name}-key", default=default, metavar="COLUMN", help="default: %(default)s")
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 0."""
    source, out = given.sessions, given.out
    columns = Columns(given.session_key, given.item_key, given.time_key)
    target = None if given.statistics else out / f"{source.stem}-dwell{given.threshold:g}.txt"
    figure = out / f"{source.stem}-dwell.png"
    files.check_inputs([("SESSIONS", source)])
    size = source.stat().st_size
    files.make_folder("--out", out)
    files.check_outputs([("--out", target), ("--out", figure)], [("SESSIONS", source)])
    with Progress(**terminal.bar_options()) as progress:
        task = progress.add_task("reading" if given.statistics else "augmenting", total=2 * size)
        augmented = augment(
            source, target, given.threshold, given.most, columns, report=lambda read: progress.advance(task, read)
        )
    write_figure(augmented.statistics, given.threshold, f"Dwell times of {source.name}", figure)
    console.print(statistics_table(augmented.statistics))
    describe(augmented, given.threshold, given.most, console)
    console.print(f"Written: {', '.join(str(path) for path in (target, figure) if path)}")
    return 0


def statistics_table(statistics: Statistics) -> Table:
    table = terminal.make_table("Dwell time", "", " ", right=" ", show_header=False)
    for name, count in (
        ("sessions", statistics.sessions),
        ("events", statistics.events),
        ("last of their session: no dwell time", statistics.sessions),
        ("dwell time zero, left out below", statistics.zero),
        ("dwell time above zero", statistics.count),
    ):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("mean", _seconds(statistics.mean))
    table.add_row("standard deviation", _seconds(statistics.deviation))
    for name, share in (("least", 0), ("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75), ("max", 1)):
        table.add_row(name, _seconds(statistics.quantile(share)))
    return table


def _seconds(value: float) -> str:
    return f"{value:,.3f} s"


def describe(augmented: Augmented, threshold: float, most: int | None, console: Console) -> None:
    before, limit = augmented.statistics.events, "" if most is None else f", each at most {most} times"
    console.print(
        f"One more for every {threshold:g} s of dwell time{limit}: {before:,} events become {augmented.events:,}, "
        f"{augmented.factor:.3f} times as many. The longest dwell makes {augmented.most:,} of one event."
    )
    plain = Counts(before, augmented.statistics.sessions, None)
    if plain.agree(PLAIN_RSC15) and threshold == THRESHOLD and most is None:
        difference = augmented.events - AUGMENTED_RSC15
        verdict = f"{difference:+,} here, {difference / AUGMENTED_RSC15:+.4%}" if difference else "EQUAL here"
        console.print(f"RSC15's train_tr by its counts; published are {AUGMENTED_RSC15:,} augmented events: {verdict}.")
