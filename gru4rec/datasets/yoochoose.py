"""Yoochoose: the clicks of the RecSys Challenge 2015, prepared as the comparison study of 2023 does.

``yoochoose-clicks.dat`` and ``yoochoose-test.dat``, one after the other; no header, a line a click::

    session,timestamp,item,category
    1,2014-04-07T10:51:09.277Z,214536502,0

Sessions are given. Times are whole seconds, the fraction is cut off. RSC15 (:mod:`gru4rec.datasets.rsc15`) is
the first of the two files prepared otherwise, and results on the two are not comparable; for new work the authors
advise this one.
"""

import polars as pl

from gru4rec.datasets.rawfiles import Field, Layout, whole_number
from gru4rec.datasets.shops import Shop

TIMESTAMP = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]+)?Z"

LAYOUT = Layout(
    separator=",",
    names=("session", "timestamp", "item", "category"),
    fields={
        "session": whole_number(),
        "timestamp": Field(pl.String, TIMESTAMP, "a time as 2014-04-07T10:51:09.277Z"),
        "item": whole_number(),
    },
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Key, the session; ItemId; Time in seconds; View, true."""
    time = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms", strict=False)
    return lines.select(Key="session", ItemId="item", Time=time.to_physical() // 1000, View=pl.lit(True), extra="extra")


SHOP = Shop(
    key="yoochoose",
    name="Yoochoose",
    raw=("yoochoose-clicks.dat", "yoochoose-test.dat"),
    layout=LAYOUT,
    events=events,
    units=1,
    cut=False,
    last=None,
    test_days=1,
    settings="yoochoose-xe",
    homepage="https://recsys.acm.org/recsys15/challenge/",
    lines=33_003_944 + 8_251_791,
)
