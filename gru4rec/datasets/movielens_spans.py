"""The days of MovieLens' sets: those of the 20M release, others by name, or by quantiles of the ratings' times."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl

EPOCH = date(1970, 1, 1)
DAY = 86_400  # seconds


class Span(NamedTuple):
    """The days from ``first`` to ``last``, both included."""

    first: date
    last: date

    @classmethod
    def parse(cls, first: str, last: str) -> "Span":
        """From two dates as 2013-03-01. Raises ValueError for any other form, and for a first day after the last."""
        try:
            span = cls(date.fromisoformat(first), date.fromisoformat(last))
        except ValueError:
            raise ValueError(f"{first} {last}: two dates are needed, for example 2008-01-01 2013-03-01") from None
        if span.first > span.last:
            raise ValueError(f"{first} {last}: the first day is after the last")
        return span

    def contains(self, day: pl.Expr) -> pl.Expr:
        """Of days counted from 1970-01-01 on."""
        return day.is_between((self.first - EPOCH).days, (self.last - EPOCH).days)

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


Spans = Mapping[str, Span]  # by set

# The spans for the 20M release, whose last rating is of 2015-03-31. March 2013 belongs to no set.
DATES: Spans = {
    "all_train": Span(date(1995, 1, 9), date(2013, 3, 1)),
    "train": Span(date(2008, 1, 1), date(2013, 3, 1)),
    "dev": Span(date(2013, 4, 1), date(2014, 4, 1)),
    "test": Span(date(2014, 4, 2), date(2015, 4, 1)),
}
SETS = tuple(DATES)
QUANTILES = (0.4, 0.8, 0.9)
Quantiles = tuple[float, float, float]


def by_dates(changes: Spans) -> Spans:
    """:data:`DATES` with the ``changes``. Raises ValueError where training would know of what is to be predicted."""
    spans = {**DATES, **changes}
    for earlier, later in (("all_train", "dev"), ("train", "dev"), ("dev", "test")):
        if spans[earlier].last >= spans[later].first:
            raise ValueError(f"--dates: {earlier} ({spans[earlier]}) has to end before {later} ({spans[later]}) begins")
    return spans


def check_quantiles(quantiles: Quantiles) -> None:
    if not 0 < quantiles[0] < quantiles[1] < quantiles[2] < 1:
        given = " ".join(map(str, quantiles))
        raise ValueError(f"--quantiles {given}: three ascending numbers between 0 and 1 are accepted")


def by_quantiles(days: pl.DataFrame, quantiles: Quantiles) -> Spans:
    """Spans by quantiles of the ratings' times.

    ``train``, ``dev`` and ``test`` begin on the days of the quantiles; all_train begins with the data, and test ends
    with them.

    days: Day (from 1970-01-01 on) and events, a row or more for each day. Raises ValueError where two sets would begin
    on the same day.
    """
    check_quantiles(quantiles)
    per_day = days.group_by("Day").agg(pl.col("events").sum()).sort("Day")
    reached = per_day["events"].cum_sum()
    positions = (int(quantile * reached[-1]) for quantile in quantiles)
    begins = [per_day["Day"][reached.search_sorted(position, side="right")] for position in positions]
    first, *begins, end = (EPOCH + timedelta(int(day)) for day in (per_day["Day"][0], *begins, per_day["Day"][-1] + 1))
    if not begins[0] < begins[1] < begins[2] < end:
        raise ValueError(
            f"--quantiles {' '.join(map(str, quantiles))}: of the ratings' days, {Span(first, end - timedelta(1))}, "
            f"train, dev and test would begin on {', '.join(map(str, begins))}"
        )
    before = [begin - timedelta(1) for begin in (*begins, end)]
    return {
        "all_train": Span(first, before[1]),
        "train": Span(begins[0], before[1]),
        "dev": Span(begins[1], before[2]),
        "test": Span(begins[2], before[3]),
    }
