"""Dwell times of a sessions file, and a training file in which events are repeated by their dwell time.

    python examples/dwelltime/augment.py rsc15_train_tr.txt --out runs/dwelltime

An event of dwell time d (the time to the next event of its session) stands floor(d / threshold) + 1 times in the new
file, the last event of a session once (Bogina and Kuflik 2017, CEUR Vol-1922, paper 11).

Repeats follow their event at once and carry its Time. Both engines sort by session and time, and stably: the repeats
stay beside their event, whatever the order of the file. As the events stay in the file's order too, the items first
appear in the same order, and so a model numbers them as it does those of the plain file and starts from the same
weights. The new file has the three columns, as text of the old one.

Only a training file is to be augmented. In a test file every repeat would be one more event that is easy to predict.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples import command
from examples.dwelltime import dwell
from examples.dwelltime.chunks import BLOCK_BYTES, Report, session_chunks
from examples.dwelltime.distribution import write_figure
from examples.dwelltime.dwell import THRESHOLD, with_dwell
from examples.dwelltime.tally import Statistics, Tally
from examples.sessions import Columns, Counts
from parity.files import written_whole

ROWS_AT_ONCE = 2**20  # of the augmented set; a single event may have any number of repeats

# rsc15_train_tr.txt, from which a threshold of 75 s makes the published number of events.
PLAIN_RSC15 = Counts(31_579_006, 7_953_885, None)
AUGMENTED_RSC15 = 68_052_530


@dataclass(frozen=True)
class Augmented:
    """What came of a file: its dwell times, and the events of the augmented set."""

    statistics: Statistics
    events: int
    most: int  # the largest number of times that one event stands in the set

    @property
    def factor(self) -> float:
        return self.events / self.statistics.events


def augment(
    source: Path,
    target: Path | None,
    threshold: float = THRESHOLD,
    most: int | None = None,
    columns: Columns = Columns(),
    block_bytes: int = BLOCK_BYTES,
    report: Report = lambda size: None,
) -> Augmented:
    """Write the augmented set of the sessions file ``source`` to ``target``; None: only say what it would be.

    threshold: seconds. most: a limit to how often an event stands in the set; None for none. ``target`` appears when
    it is whole. Memory is that of a chunk (:func:`session_chunks`) and of the distinct dwell times.

    Raises ValueError for bad options and bad files, OSError for files that cannot be read or written.
    """
    dwell.check(threshold, most)
    tally, events, largest = Tally(), 0, 0
    with ExitStack() as stack:
        file = target and stack.enter_context(open(stack.enter_context(written_whole(target)), "wb"))
        if file:
            file.write("\t".join(columns).encode() + b"\n")
        for chunk in session_chunks(source, columns, block_bytes, report):
            try:
                chunk = with_dwell(chunk)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from None
            tally.add(chunk)
            times = dwell.repeats(chunk["Dwell"], threshold, most)
            events += times.sum()
            largest = max(largest, times.max())
            if file:
                write_repeated(chunk.select(Columns()), times.to_numpy(), file)
        return Augmented(tally.statistics(), events, largest)


def write_repeated(events: pl.DataFrame, times: np.ndarray, file: BinaryIO) -> None:
    """Append each row as often as ``times`` (rows,) says, without a header."""
    ends = times.cumsum()
    for start in range(0, int(ends[-1]), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, ends[-1]))
        part = events[np.searchsorted(ends, rows, side="right")]
        part.write_csv(file, include_header=False, separator="\t", quote_style="never")


def statistics_table(statistics: Statistics) -> Table:
    table = Table(title="Dwell time", show_header=False, box=box.SIMPLE, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
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


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Dwell times of a sessions file, and a training file with events repeated by dwell time."
    )
    parser.add_argument("sessions", type=Path, help="a training file, tab separated: SessionId, ItemId, Time")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, metavar="SECONDS", help="default: %(default)g, as for RSC15"
    )
    parser.add_argument("--most", type=int, metavar="N", help="an event stands N times at most (default: no limit)")
    parser.add_argument("--out", type=Path, default=Path("runs/dwelltime"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--statistics", action="store_true", help="statistics and figure alone, no training file")
    parser.add_argument("--verbose", action="store_true", help="show the log, and tracebacks of errors")
    for name, default in Columns()._asdict().items():
        parser.add_argument(f"--{name}-key", default=default, metavar="COLUMN", help="default: %(default)s")
    return parser


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> None:
    source, out = options.sessions, options.out
    columns = Columns(options.session_key, options.item_key, options.time_key)
    target = None if options.statistics else out / f"{source.stem}-dwell{options.threshold:g}.txt"
    figure = out / f"{source.stem}-dwell.png"
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("reading" if options.statistics else "augmenting", total=2 * source.stat().st_size)
        augmented = augment(
            source, target, options.threshold, options.most, columns, report=lambda size: progress.advance(task, size)
        )
    write_figure(augmented.statistics, options.threshold, f"Dwell times of {source.name}", figure)
    console.print(statistics_table(augmented.statistics))
    describe(augmented, options.threshold, options.most, console)
    console.print(f"Written: {', '.join(str(path) for path in (target, figure) if path)}")


def main(arguments: list[str] | None = None) -> int:
    return command.main(parser(), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
