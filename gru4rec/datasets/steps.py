"""The steps that Yoochoose, Rees46, Coveo, RetailRocket and Diginetica have in common, on frames.

They are those of the authors' comparison study (arXiv 2307.14956). Every function takes and returns Polars frames whose
events stand by session (or by Key, before there are sessions), then time, then item; so a session's events are
neighbours, and what a step asks of a session is asked of neighbours.

==========  =====  ====================================================
Key         Int64  a user, or a session of the raw file
SessionId   Int64  a session
ItemId      Int64  an item
Time        Int64  since 1970, in seconds or milliseconds
View        bool   whether the event is one of those that are kept
==========  =====  ====================================================
"""

from typing import NamedTuple

import polars as pl

LEAST_SUPPORT = 5
GAP_SECONDS = 3600
DAY_SECONDS = 86_400
COLUMNS = ("SessionId", "ItemId", "Time")

_SAME_SESSION_BEFORE = pl.col("SessionId") == pl.col("SessionId").shift(1)
_SAME_SESSION_AFTER = pl.col("SessionId") == pl.col("SessionId").shift(-1)


def sessions(events: pl.DataFrame, gap: int | None, first: int) -> tuple[pl.DataFrame, int]:
    """Step 2: the events of each Key, in sessions, less those that are no View.

    Args:
        events: Key, ItemId, Time, View, in any order.
        gap: a new session begins after more than so much time between two events of a Key, whatever their kind; None
            where the Key is the session.
        first: the number of the first session that is made.

    Returns:
        SessionId, ItemId, Time, and the number of the session that comes next.
    """
    events = events.sort("Key", "Time", "ItemId", nulls_last=True)
    if gap is None:
        made = events.with_columns(SessionId="Key")
    else:
        same = (pl.col("Key") == pl.col("Key").shift(1)) & (pl.col("Time") - pl.col("Time").shift(1) <= gap)
        begins = ~same.fill_null(False)
        made = events.with_columns(SessionId=begins.cast(pl.Int64).cum_sum() + (first - 1))
        first = int(made["SessionId"][-1]) + 1 if len(made) else first
    return made.filter("View").select(COLUMNS), first


def drop_repeats(events: pl.DataFrame) -> pl.DataFrame:
    """Step 4: of an item's events that follow each other in a session, the first."""
    repeats = _SAME_SESSION_BEFORE & (pl.col("ItemId") == pl.col("ItemId").shift(1))
    return events.filter(~repeats.fill_null(False))


def drop_single_events(events: pl.DataFrame) -> pl.DataFrame:
    """Step 5, first half: the events of sessions of two or more."""
    return events.filter(_SAME_SESSION_BEFORE.fill_null(False) | _SAME_SESSION_AFTER.fill_null(False))


def supports(events: pl.DataFrame) -> pl.DataFrame:
    """ItemId, n: the number of events of each item."""
    return events.group_by("ItemId").agg(n=pl.len())


def rare_items(supports_of_parts: list[pl.DataFrame]) -> pl.Series:
    """Step 5, second half: the items with too few events in all parts together."""
    whole = pl.concat(supports_of_parts).group_by("ItemId").agg(pl.col("n").sum())
    return whole.filter(pl.col("n") < LEAST_SUPPORT)["ItemId"]


def drop_items(events: pl.DataFrame, items: pl.Series) -> pl.DataFrame:
    """The events of other items than these."""
    return events.filter(~pl.col("ItemId").is_in(items.implode()))


class Parts(NamedTuple):
    """The four parts of a split, SessionId, ItemId, Time each; in a field's place may also stand what is said of it."""

    train_full: pl.DataFrame
    test: pl.DataFrame
    train_tr: pl.DataFrame
    train_valid: pl.DataFrame


def split(events: pl.DataFrame, last: int, test_time: int) -> Parts:
    """Steps 6 and 7.

    Args:
        events: whole sessions.
        last: the time at which the data end.
        test_time: how long before it the test begins; the validation part begins twice as long before it.
    """
    train_full, test = _split_once(events, last - test_time)
    train_tr, train_valid = _split_once(train_full, last - 2 * test_time)
    return Parts(train_full, test, train_tr, train_valid)


def _split_once(events: pl.DataFrame, begin: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The EVENTS before ``begin``, so that a session which straddles it is cut, and the sessions that begin later."""
    start = pl.when(~_SAME_SESSION_BEFORE.fill_null(False)).then("Time").forward_fill()
    later = events.filter(start >= begin)
    return drop_single_events(events.filter(pl.col("Time") < begin)), later
