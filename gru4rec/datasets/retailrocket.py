"""RetailRocket: views, carts and purchases of an online shop, May to September 2015.

``events.csv``; a line an event, in no order, under the header::

    timestamp,visitorid,event,itemid,transactionid
    1433221332117,257597,view,355908,

A visitor's events are cut into sessions where more than an hour passes between two of them, of whatever kind; views are
selected then.
"""

import polars as pl

from gru4rec.datasets.rawfiles import Field, Layout, whole_number
from gru4rec.datasets.shops import Shop

END = 1_442_545_200_000  # 2015-09-18 03:00:00 UTC

LAYOUT = Layout(
    separator=",",
    fields={
        "timestamp": whole_number(),
        "visitorid": whole_number(),
        "event": Field(pl.String, r"[a-z]+", "a kind of event"),
        "itemid": whole_number(),
    },
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Key, the visitor; ItemId; Time in milliseconds; View."""
    return lines.select(
        Key=pl.when(pl.col("event").is_not_null()).then("visitorid"), ItemId="itemid", Time="timestamp",
        View=(pl.col("event") == "view").fill_null(False), extra="extra",
    )  # fmt: skip


SHOP = Shop(
    key="retailrocket",
    name="RetailRocket",
    raw=("events.csv",),
    layout=LAYOUT,
    events=events,
    units=1000,
    cut=True,
    last=END,
    test_days=7,
    settings="retailrocket-bprmax",
    homepage="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
    lines=2_756_101,
)
