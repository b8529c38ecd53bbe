"""Coveo: browsing of a fashion shop, the data of "Shopper intent prediction from clickstream e-commerce data".

``release_10_23_2020.csv``; a line an event, under a header of which these columns are read::

    session_id_hash,event_type,product_action,product_skus_hash,server_timestamp_epoch_ms,...
    00000114e1075962f022114fcfc17f2d874e694ac5d201ca3ad6a5fb0e8b5b2f,event_product,detail,e81c6a5d...,1550885210881

Sessions and items are numbered, from 0, in the order in which they first appear in the file. Views are the events
whose ``product_action`` is ``detail``. A session is cut where more than an hour passes between two of its events of
whatever kind; views are selected then.
"""

import polars as pl

from gru4rec.datasets.rawfiles import Field, Layout, whole_number
from gru4rec.datasets.shops import Shop

LAYOUT = Layout(
    separator=",",
    fields={
        "session_id_hash": Field(pl.String, r"[^,]+", "a hash"),
        "product_action": Field(pl.String, r"[^,]+", "a kind of event", empty=True),
        "product_skus_hash": Field(pl.String, r"[^,]+", "a hash", empty=True),
        "server_timestamp_epoch_ms": whole_number(),
    },
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Key, the session's number; ItemId, the item's; Time in milliseconds; View, whether the action is ``detail``."""
    numbered = lines.with_row_index("row")
    sessions, items = (_numbers(numbered, column) for column in ("session_id_hash", "product_skus_hash"))
    joined = numbered.join(sessions, "session_id_hash", "left").join(items, "product_skus_hash", "left")
    return joined.select(
        Key="session_id_hash_number", ItemId="product_skus_hash_number", Time="server_timestamp_epoch_ms",
        View=(pl.col("product_action") == "detail").fill_null(False), extra="extra",
    )  # fmt: skip


def _numbers(lines: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """The values of a column, numbered in the order of their first rows."""
    present = lines.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
    first = present.group_by(column).agg(pl.col("row").min())
    return first.sort("row").select(column).with_row_index(f"{column}_number").cast({f"{column}_number": pl.Int64})


SHOP = Shop(
    key="coveo",
    name="Coveo",
    raw=("release_10_23_2020.csv",),
    layout=LAYOUT,
    events=events,
    units=1000,
    cut=True,
    may_lack_items=True,
    last=None,
    test_days=1,
    settings="coveo-bprmax",
    homepage="https://github.com/coveooss/shopper-intent-prediction-nature-2020",
)
