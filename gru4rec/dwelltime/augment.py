"""A training file in which events are repeated by their dwell time.

An event of dwell time d (the time to the next event of its session) stands floor(d / threshold) + 1 times in the new
file, the last event of a session once (Bogina and Kuflik 2017, CEUR Vol-1922, paper 11).

Repeats follow their event at once and carry its Time. Both engines sort by session and time, and stably: the repeats
stay beside their event, whatever the order of the file. As the events stay in the file's order too, the items first
appear in the same order, and so a model numbers them as it does those of the plain file and starts from the same
weights. The new file has the three columns, as text of the old one.

Only a training file is to be augmented. In a test file every repeat would be one more event that is easy to predict.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from gru4rec.datasets.prepared import Counts
from gru4rec.dwelltime import dwell
from gru4rec.dwelltime.chunks import BLOCK_BYTES, Report, session_chunks
from gru4rec.dwelltime.dwell import THRESHOLD, with_dwell
from gru4rec.dwelltime.tally import Statistics, Tally
from gru4rec.files import written_whole
from gru4rec.frames import Columns

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

    Raises:
        ValueError: for bad options and bad files.
        OSError: for files that cannot be read or written.
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
            times = dwell.repeats(chunk["Dwell"], threshold, most).to_numpy()
            events += int(times.sum())
            largest = max(largest, int(times.max()))
            if file:
                write_repeated(chunk.select(Columns()), times, file)
        return Augmented(tally.statistics(), events, largest)


def write_repeated(events: pl.DataFrame, times: np.ndarray, file: BinaryIO) -> None:
    """Append each row as often as ``times`` (rows,) says, without a header."""
    ends = times.cumsum()
    for start in range(0, int(ends[-1]), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, ends[-1]))
        part = events[np.searchsorted(ends, rows, side="right")]
        part.write_csv(file, include_header=False, separator="\t", quote_style="never")
