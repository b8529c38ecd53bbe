"""Diginetica: the item views of the CIKM Cup 2016.

``train-item-views.csv``; a line a view, under the header (some copies name the columns ``session_id`` and so on)::

    sessionId;userId;itemId;timeframe;eventdate
    1;NA;81766;526309;2016-05-09

Sessions are given. ``timeframe`` counts milliseconds from the session's start; the time of an event is the midnight
(UTC) of the session's earliest ``eventdate`` and the ``timeframe``.
"""

import polars as pl

from gru4rec.datasets.rawfiles import Field, Layout, whole_number
from gru4rec.datasets.shops import Shop

LAYOUT = Layout(
    separator=";",
    fields={
        "sessionId": whole_number(),
        "itemId": whole_number(),
        "timeframe": whole_number(),
        "eventdate": Field(pl.String, r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", "a date as 2016-05-09"),
    },
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Key, the session; ItemId; Time in milliseconds; View, true."""
    date = pl.col("eventdate").str.to_date("%Y-%m-%d", strict=False)
    dated = lines.with_columns(midnight=date.cast(pl.Datetime("ms")).to_physical())
    starts = dated.group_by("sessionId").agg(start=pl.col("midnight").min())
    # an event without a date of its own has no time, for its line to be named
    time = pl.when(pl.col("midnight").is_not_null()).then(pl.col("start") + pl.col("timeframe"))
    joined = dated.join(starts, "sessionId", "left")
    return joined.select(Key="sessionId", ItemId="itemId", Time=time, View=pl.lit(True), extra="extra")


SHOP = Shop(
    key="diginetica",
    name="Diginetica",
    raw=("train-item-views.csv",),
    layout=LAYOUT,
    events=events,
    units=1000,
    cut=False,
    last=None,
    test_days=7,
    settings="diginetica-bprmax",
    homepage="https://competitions.codalab.org/competitions/11161",
)
