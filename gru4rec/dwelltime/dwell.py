"""Dwell times, and how often an event is repeated for its own (Bogina and Kuflik 2017, CEUR Vol-1922, paper 11).

The dwell time of an event is the time to the next event of its session; the last event has none. With a threshold of t
seconds an event of dwell time d stands floor(d / t) + 1 times in the augmented training set, a last event once.

All of it is reckoned in whole microseconds. A difference of two times in seconds since 1970, as binary fractions, is
off by up to 2e-7 s, so that a dwell time of exactly t would count as shorter every other time.
"""

import polars as pl

MICRO = 1_000_000  # microseconds of a second
THRESHOLD = 75.0  # seconds, published for RSC15
LATEST = 2**53 / MICRO  # seconds since 1970 whose microseconds a float still tells apart: the year 2255


def with_dwell(events: pl.DataFrame) -> pl.DataFrame:
    """``events`` in their own order with the column ``Dwell`` added: microseconds, Int64, null for a last event.

    Columns needed: ``SessionId`` of any type, and ``Seconds`` since 1970, Float64. Sessions may be mixed and in no
    order. Within a session the events follow each other by time, and equal times in the order of the rows, as both
    engines sort them.

    Raises ValueError for a time that is no number or beyond ``LATEST``.
    """
    odd = events.filter(~(pl.col("Seconds").abs() <= LATEST)).head(1)
    if len(odd):
        raise ValueError(f"time {odd['Seconds'][0]}: seconds since 1970, up to {LATEST:.0f}, are accepted")
    session, microseconds = pl.col("SessionId"), (pl.col("Seconds") * MICRO).round().cast(pl.Int64)
    dwell = (
        events.select("SessionId", "Seconds")
        .with_row_index("row")
        .sort("SessionId", "Seconds", maintain_order=True)
        .select("row", Dwell=pl.when(session == session.shift(-1)).then(microseconds.shift(-1) - microseconds))
        .sort("row")
    )
    return events.with_columns(dwell["Dwell"])


def repeats(dwell: pl.Series, threshold: float, most: int | None = None) -> pl.Series:
    """How often each event stands in the augmented set: floor(dwell / threshold) + 1, at most ``most``; Int64.

    dwell: microseconds, null for a last event. threshold: seconds. Raises ValueError for a threshold below a
    microsecond or ``most`` below 1.
    """
    check(threshold, most)
    times = (dwell // round(threshold * MICRO) + 1).fill_null(1)
    return times if most is None else times.clip(upper_bound=most)


def check(threshold: float, most: int | None) -> None:
    """Raise ValueError for a threshold or a limit of :func:`repeats` that is not accepted."""
    if not 1 / MICRO <= threshold <= LATEST:
        raise ValueError(f"--threshold {threshold:g}: seconds from 0.000001 to {LATEST:.0f} are accepted")
    if most is not None and most < 1:
        raise ValueError(f"--most {most}: at least 1 is accepted")
