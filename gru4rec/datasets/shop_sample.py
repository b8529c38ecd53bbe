"""SYNTHETIC events in the raw formats of Yoochoose, Rees46, Coveo, RetailRocket and Diginetica.

No event in them was made by a person and no figure measured on them says anything about the real data. They are there
so that everything runs without a download, and so that big files can be had for timing.

All are made of the clicks of :mod:`gru4rec.datasets.rsc15_sample`, so what is said there of lengths, gaps, days and of
what there is to learn holds here too. What a format adds to that:

- users: three sessions in a row, which may lie days apart, belong to one; their numbers are strewn over a wide range;
- kinds of events: every twelfth is no view, but a cart or a purchase, or, in Coveo's, every fourth a page without item;
- the last event falls right before the time at which the real data end, so that the test part is the last days.

As many events as wanted are written; the same seed, items and days give a longer file that begins with the shorter
one's events.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl

from gru4rec.datasets import rees46, retailrocket, rsc15_sample
from gru4rec.datasets.registry import SHOPS
from gru4rec.datasets.shops import Shop
from gru4rec.files import written_together

EVENTS, ITEMS, SEED = 60_000, 1_200, 42
SESSIONS_PER_USER = 3
_STREWN, _RANGE = 1_000_003, 2**31 - 1  # a prime times n modulo a prime: each n has a number of its own
_SECOND, _DAY = 1000, 86_400_000

# The times, in milliseconds, right before which the samples end.
_END = {
    "yoochoose": 1_412_035_200_000,  # 2014-09-30
    "rees46": rees46.END * _SECOND,
    "coveo": 1_556_668_800_000,  # 2019-05-01
    "retailrocket": retailrocket.END,
    "diginetica": 1_464_739_200_000,  # 2016-06-01
}


def default_days(shop: Shop) -> int:
    """Enough for a test and a validation part after a training part, and for both of Rees46's months."""
    return 6 * shop.test_days if len(shop.raw) == 1 or shop.key == "yoochoose" else 36


def frames(shop: Shop, events: int, items: int, days: int, seed: int) -> Iterator[pl.DataFrame]:
    """Frames with ``events`` rows in all: session, user, item, ms (since 1970), kind (0 to 11, 0 being no view)."""
    end = _END[shop.key]
    first_day = end - days * _DAY
    rng = np.random.default_rng([seed, 1])
    for clicks in rsc15_sample.click_frames(10**15, items, days, seed):
        ms = pl.col("time").to_physical() - int(rsc15_sample.FIRST_DAY.astype(np.int64)) + first_day
        user = pl.col("session") // SESSIONS_PER_USER
        kind = pl.Series("kind", rng.integers(0, 12, len(clicks)))
        made = clicks.select("session", "item", kind, ms=ms, user=user * _STREWN % _RANGE).filter(pl.col("ms") < end)
        yield made.head(events)
        events -= len(made)
        if events <= 0:
            return


def _yoochoose(made: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Every fifth session is in the second file, which covers the same days."""
    time = pl.col("ms").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    lines = made.select("session", time.alias("timestamp"), "item", category=pl.lit(0))
    in_second = made["session"] % 5 == 0
    return dict(zip(SHOPS["yoochoose"].raw, (lines.filter(~in_second), lines.filter(in_second))))


def _rees46(made: pl.DataFrame) -> dict[str, pl.DataFrame]:
    kind = pl.when(pl.col("kind") > 0).then(pl.lit("view")).otherwise(pl.lit("cart"))
    lines = made.select(
        event_time=pl.col("ms").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M:%S UTC"), event_type=kind,
        product_id="item", category_id=pl.lit(2053013555631882655), category_code=pl.lit("electronics.smartphone"),
        brand=pl.lit(None, pl.String), price=pl.lit("489.07"), user_id="user",
        user_session=pl.format("{}-4b1c", "session"),
    )  # fmt: skip
    november = made["ms"] >= rees46.END * _SECOND - 30 * _DAY
    return dict(zip(SHOPS["rees46"].raw, (lines.filter(~november), lines.filter(november))))


def _coveo(made: pl.DataFrame) -> dict[str, pl.DataFrame]:
    has_item = pl.col("kind") >= 3
    action = pl.when(pl.col("kind") > 3).then(pl.lit("detail")).when(has_item).then(pl.lit("add"))
    lines = made.select(
        session_id_hash=pl.col("session").cast(pl.String).str.zfill(64),
        event_type=pl.when(has_item).then(pl.lit("event_product")).otherwise(pl.lit("pageview")),
        product_action=action,
        product_skus_hash=pl.when(has_item).then(pl.col("item").cast(pl.String).str.zfill(64)),
        server_timestamp_epoch_ms="ms",
    )  # fmt: skip
    return {SHOPS["coveo"].raw[0]: lines}


def _retailrocket(made: pl.DataFrame) -> dict[str, pl.DataFrame]:
    kind = pl.when(pl.col("kind") > 0).then(pl.lit("view")).otherwise(pl.lit("addtocart"))
    lines = made.select(
        timestamp="ms", visitorid="user", event=kind, itemid="item", transactionid=pl.lit(None, pl.String)
    )
    return {SHOPS["retailrocket"].raw[0]: lines}


def _diginetica(made: pl.DataFrame) -> dict[str, pl.DataFrame]:
    midnight = pl.col("ms") // _DAY * _DAY
    start = midnight.min().over("session")
    lines = made.select(
        sessionId="session", userId=pl.lit("NA"), itemId="item", timeframe=pl.col("ms") - start,
        eventdate=midnight.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d"),
    )  # fmt: skip
    return {SHOPS["diginetica"].raw[0]: lines}


_FORMS: Mapping[str, Callable[[pl.DataFrame], dict[str, pl.DataFrame]]] = {
    "yoochoose": _yoochoose,
    "rees46": _rees46,
    "coveo": _coveo,
    "retailrocket": _retailrocket,
    "diginetica": _diginetica,
}


def write_sample(
    shop: Shop, folder: Path, events: int = EVENTS, items: int = ITEMS, days: int | None = None, seed: int = SEED
) -> list[Path]:
    """Write the raw files of ``events`` synthetic events to a folder; returns their paths, in the order of reading.

    The files appear under their names only when they are whole. Raises ValueError when a number is below 1 (seed: 0).
    """
    days = default_days(shop) if days is None else days
    for name, value, least in (("events", events, 1), ("items", items, 1), ("days", days, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; at least {least} is needed")
    paths = {name: folder / name for name in shop.raw}
    with written_together(paths) as temporary, ExitStack() as stack:
        open_files = {name: stack.enter_context(open(path, "wb")) for name, path in temporary.items()}
        for number, made in enumerate(frames(shop, events, items, days, seed)):
            for name, lines in _FORMS[shop.key](made).items():
                has_header = number == 0 and not shop.layout.names
                lines.write_csv(open_files[name], include_header=has_header, separator=shop.layout.separator)
    return list(paths.values())
