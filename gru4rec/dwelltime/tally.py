"""What there is to know of the dwell times of a file: counted chunk by chunk, in memory for the distinct values."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gru4rec.dwelltime.dwell import MICRO


class Tally:
    """How many events there are of every dwell time. Memory grows with the number of different dwell times."""

    def __init__(self) -> None:
        self.events = self.sessions = 0
        # Events without a dwell time are counted under null.
        self._counted = pl.DataFrame(schema={"Dwell": pl.Int64, "events": pl.Int64})

    def add(self, chunk: pl.DataFrame) -> None:
        """Count a frame of whole sessions, none of them seen before, with the column ``Dwell``."""
        self.events += len(chunk)
        self.sessions += chunk["SessionId"].n_unique()
        counted = chunk.group_by("Dwell").agg(pl.len().cast(pl.Int64).alias("events"))
        self._counted = pl.concat([self._counted, counted]).group_by("Dwell").agg(pl.col("events").sum())

    def statistics(self) -> "Statistics":
        """Raises ValueError when no dwell time is above zero, so that there is nothing to describe."""
        positive = self._counted.filter(pl.col("Dwell") > 0).sort("Dwell")
        if positive.is_empty():
            raise ValueError(f"none of {self.events:,} events has a dwell time above zero")
        zero = int(self._counted.filter(pl.col("Dwell") == 0)["events"].sum())
        return Statistics(self.events, self.sessions, zero, positive["Dwell"].to_numpy(), positive["events"].to_numpy())


@dataclass(frozen=True)
class Statistics:
    """The dwell times of a file. All figures but the counts leave out zero dwell, and are in seconds."""

    events: int
    sessions: int
    zero: int  # events of dwell time zero
    microseconds: np.ndarray  # (V,) int64, the different dwell times above zero, ascending
    counts: np.ndarray  # (V,) int64, the events of each

    @property
    def seconds(self) -> np.ndarray:
        return self.microseconds / MICRO

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return float(np.average(self.seconds, weights=self.counts))

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample (divided by count - 1); NaN for a single event."""
        squares = np.sum(self.counts * (self.seconds - self.mean) ** 2)
        return float(np.sqrt(squares / (self.count - 1))) if self.count > 1 else float("nan")

    def quantile(self, share: float) -> float:
        """``share`` 0 is the least dwell time, 1 the longest; between two events by linear interpolation."""
        place = share * (self.count - 1)
        below, above = np.searchsorted(self.counts.cumsum(), [np.floor(place), np.ceil(place)], side="right")
        low, high = self.seconds[[below, above]]
        return float(low + (high - low) * (place % 1))
