"""Rees46: the events of a multi-category shop, October and November 2019.

``2019-Oct.csv`` and ``2019-Nov.csv``, one after the other; a line an event, in the order of time, under the header::

    event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
    2019-11-01 00:00:00 UTC,view,1003461,2053013555631882655,electronics.smartphone,xiaomi,489.07,520088904,4d3b30da-...

Views are selected first. Users are cut into sessions, whatever ``user_session`` says.
"""

import polars as pl

from gru4rec.datasets.rawfiles import Field, Layout, whole_number
from gru4rec.datasets.shops import Shop

TIMESTAMP = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-5][0-9] UTC"
END = 1_575_158_400  # 2019-12-01 00:00:00 UTC

LAYOUT = Layout(
    separator=",",
    fields={
        "event_time": Field(pl.String, TIMESTAMP, "a time as 2019-11-01 00:00:00 UTC"),
        "event_type": Field(pl.String, r"[a-z_]+", "a kind of event"),
        "product_id": whole_number(),
        "user_id": whole_number(),
    },
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Key, the user; ItemId; Time in seconds; View."""
    time = pl.col("event_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC", time_unit="ms", strict=False)
    return lines.select(
        Key=pl.when(pl.col("event_type").is_not_null()).then("user_id"), ItemId="product_id",
        Time=time.to_physical() // 1000, View=(pl.col("event_type") == "view").fill_null(False), extra="extra",
    )  # fmt: skip


SHOP = Shop(
    key="rees46",
    name="Rees46",
    raw=("2019-Oct.csv", "2019-Nov.csv"),
    layout=LAYOUT,
    events=events,
    units=1,
    cut=True,
    views_first=True,
    last=END,
    test_days=1,
    settings="rees46-xe",
    homepage="https://www.kaggle.com/datasets/mkechinov/ecommerce-behavior-data-from-multi-category-store",
    lines=42_448_764 + 67_501_979,
)
