"""A SYNTHETIC clickstream in the format and the shape of RSC15's ``yoochoose-clicks.dat``.

No click in it was made by a person and no figure measured on it says anything about the real data. It is there so that
everything runs without a download, and so that big files can be had for timing. One line a click, no header::

    session,timestamp,item,category
    1,2014-04-06T10:51:09.277Z,214536502,0

What it takes after, with values measured on the first 100,000 clicks of the real file:

- session lengths: the least whole number above a log-normal value (median 2.4, sigma 0.866): 15% of one click, mean
  near 4, 1% above 18;
- gaps between clicks: log-normal, median 56 s, 10% above 5 minutes;
- days: few clicks by night, most in the early evening, and weekdays that differ;
- popularity: a long tail, with departments going in and out of favour from day to day;
- every fourth click stays on the item.

What there is to learn: items stand in small clusters, and those of a cluster in a ring. A session walks its ring in
ONE direction, which nothing but its earlier clicks tells, with detours inside the cluster and jumps to another one. The
next item thus depends on the sequence; popularity predicts little of it, and the last item alone leaves the direction
open.

Files are made in chunks of sessions, each with its own random stream: the memory does not grow with the size, and the
same seed, items and days give a longer file that begins with the shorter one's sessions.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from gru4rec.datasets.synthetic import Catalogue, times
from gru4rec.files import written_whole

CLICKS, ITEMS, DAYS, SEED = 30_000, 1_200, 6, 42

SESSIONS_PER_CHUNK = 50_000
FIRST_DAY = np.datetime64("2014-04-01T00:00:00.000", "ms")
DAY_MS = 86_400_000
FIRST_ITEM_ID = 214_500_000
CLUSTER_SIZES = (8, 25)  # from, to (exclusive)
LONGEST_SESSION = 200

# Share of each hour of the day, and of each weekday from the Monday on, among session starts; normalised where used.
HOURS = np.array([3, 4, 13, 25, 37, 51, 53, 52, 58, 58, 56, 53, 53, 54, 58, 71, 87, 82, 65, 34, 18, 9, 5, 3])
WEEKDAYS = np.array([1.15, 1.05, 1.0, 1.0, 0.9, 0.85, 1.1])

MOVES = (0.26, 0.50, 0.16)  # same item; next in the ring; same cluster by popularity; what is left: a jump


def session_lengths(n: int, rng: np.random.Generator) -> np.ndarray:
    lengths = np.ceil(np.exp(rng.normal(np.log(2.4), 0.866, n))).astype(np.int64)
    return np.clip(lengths, 1, LONGEST_SESSION)


def session_starts(n: int, n_days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Day (0..n_days-1) and first timestamp (ms since 1970) of n sessions."""
    first_weekday = (FIRST_DAY.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    day_weight = WEEKDAYS[(first_weekday + np.arange(n_days)) % 7]
    day = rng.choice(n_days, n, p=day_weight / day_weight.sum())
    hour = rng.choice(24, n, p=HOURS / HOURS.sum())
    ms = FIRST_DAY.astype(np.int64) + day * DAY_MS + hour * 3_600_000 + rng.integers(0, 3_600_000, n)
    return day, ms


def click_chunk(shop: Catalogue, n_days: int, n_sessions: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Clicks of ``n_sessions`` sessions, session by session: lengths (n_sessions,), item (clicks,), ms (clicks,)."""
    lengths = session_lengths(n_sessions, rng)
    day, start = session_starts(n_sessions, n_days, rng)
    direction = rng.choice((-1, 1), n_sessions)
    gaps = np.maximum(np.exp(rng.normal(np.log(56), 1.31, lengths.sum())) * 1000, 1).astype(np.int64)
    items = shop.sessions(lengths, direction, np.repeat(day, lengths), MOVES, rng)
    return lengths, items, times(start, gaps, lengths)


def click_frames(clicks: int, items: int, days: int, seed: int) -> Iterator[pl.DataFrame]:
    """Frames of session, time, item and category with ``clicks`` rows in all; the last session may be cut short."""
    shop = Catalogue.build(items, days, np.random.default_rng([seed, 0]), FIRST_ITEM_ID, CLUSTER_SIZES)
    last_id, chunk = 0, 0
    while clicks > 0:
        chunk += 1
        rng = np.random.default_rng([seed, chunk])
        lengths, item, ms = click_chunk(shop, days, SESSIONS_PER_CHUNK, rng)
        ids = last_id + np.cumsum(rng.choice((1, 2), len(lengths), p=(0.8, 0.2)))  # the real ids have holes
        last_id = int(ids[-1])
        kind = rng.random(len(item))
        department = shop.cluster[item] % 12 + 1
        frame = pl.DataFrame(
            {"session": np.repeat(ids, lengths), "time": ms, "item": shop.item_ids[item], "category": department}
        ).with_columns(
            pl.col("time").cast(pl.Datetime("ms")),
            pl.when(pl.Series(kind < 0.5)).then(pl.lit("0"))
            .when(pl.Series(kind < 0.8)).then(pl.lit("S"))
            .otherwise(pl.col("category").cast(pl.String)).alias("category"),
        )  # fmt: skip
        frame = frame.head(clicks)
        clicks -= len(frame)
        yield frame


def write_sample(
    path: Path | str, clicks: int = CLICKS, items: int = ITEMS, days: int = DAYS, seed: int = SEED
) -> None:
    """Write ``clicks`` synthetic clicks on ``items`` items over ``days`` days to ``path``, in the raw file's format.

    The file appears under its name only when it is whole. Raises ValueError when a number is below 1 (seed: below 0).
    """
    for name, value, least in (("clicks", clicks, 1), ("items", items, 1), ("days", days, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; at least {least} is needed")
    with written_whole(Path(path)) as temporary, open(temporary, "wb") as file:
        for frame in click_frames(clicks, items, days, seed):
            frame.write_csv(file, include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
