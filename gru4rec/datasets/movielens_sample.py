"""SYNTHETIC ratings in the format and the shape of MovieLens 20M's ``ratings.csv``.

No rating in it was given by a person and no figure measured on it says anything about the real data. It is there so
that everything runs without a download, and so that big files can be had for timing. One line a rating, under a header,
by ascending user and movie, as in the real file; the order of a user's ratings is in the timestamps alone::

    userId,movieId,rating,timestamp
    1,1249,3.5,1112486027

What it takes after:

- histories: every user rates about 20 movies or more, the half of them fewer than 60, a few many hundreds, and nobody
  a movie twice;
- times: users join between 1995-01-09 and 2015-03-31, rate a movie every few seconds in a sitting, and come back, or do
  not, after weeks; now and then two ratings fall on the same second;
- popularity: a long tail, with shelves of movies (a genre of a time) in and out of favour from quarter to quarter, and
  a part of them new in the course of the years, so that later ratings name movies that earlier ones do not know.

What there is to learn: the movies of a shelf stand in a ring. A user goes through a shelf in ONE direction, which
nothing but the earlier ratings tells, with detours on the shelf and jumps to another one. The next movie thus depends
on the sequence, and popularity predicts little of it.

Files are made in chunks of users, each with its own random stream: the memory does not grow with the size, and the same
seed and movies give a longer file that begins with the shorter one's ratings.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from gru4rec.datasets.synthetic import Catalogue, times
from gru4rec.files import written_whole

RATINGS, MOVIES, SEED = 160_000, 1_200, 42

USERS_PER_CHUNK = 5_000
DAY = 86_400  # seconds
FIRST, LAST = (np.datetime64(text, "s").astype(np.int64) for text in ("1995-01-09", "2015-03-31"))
QUARTER = 91 * DAY
QUARTERS = -int(-(LAST - FIRST) // QUARTER)
SHELF_SIZES = (15, 40)  # from, to (exclusive)
SHARE_NEW = 0.4  # of the shelves
COME_BACK = 0.03  # probability that a rating is the first of another sitting

MOVES = (0.0, 0.5, 0.2)  # same movie; next in the ring; same shelf by popularity; what is left: a jump


def history_lengths(n: int, rng: np.random.Generator) -> np.ndarray:
    """Ratings of ``n`` users, before those that fall on a movie twice or after the last day are dropped."""
    return 24 + np.exp(rng.normal(np.log(45), 1.1, n)).clip(max=2000).astype(np.int64)


def rating_times(lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unix seconds of the ratings of users with histories of ``lengths``, user by user, each in ascending order."""
    n = lengths.sum()
    start = rng.integers(FIRST, LAST, len(lengths))
    in_sitting = np.exp(rng.normal(np.log(8), 1.2, n))
    between = np.exp(rng.normal(np.log(15 * DAY), 1.5, n))
    return times(start, np.where(rng.random(n) < COME_BACK, between, in_sitting).astype(np.int64), lengths)


def rating_chunk(catalogue: Catalogue, liking: np.ndarray, n_users: int, rng: np.random.Generator) -> pl.DataFrame:
    """All ratings of ``n_users`` users, numbered from 0 on: userId, movieId, rating, timestamp.

    liking: (n,), the mean rating of each movie of the catalogue.
    """
    lengths = history_lengths(n_users, rng)
    seconds = rating_times(lengths, rng)
    direction = rng.choice((-1, 1), n_users)
    quarter = np.minimum((seconds - FIRST) // QUARTER, QUARTERS - 1)
    movie = catalogue.sessions(lengths, direction, quarter, MOVES, rng)
    rating = np.clip(np.round(2 * (liking[movie] + rng.normal(0, 0.9, len(movie)))) / 2, 0.5, 5.0)
    frame = pl.DataFrame(
        {
            "userId": np.repeat(np.arange(n_users), lengths),
            "movieId": catalogue.item_ids[movie],
            "rating": rating,
            "timestamp": seconds,
        }
    )
    once = frame.filter(pl.col("timestamp") < LAST).unique(["userId", "movieId"], keep="first", maintain_order=True)
    return once.sort("userId", "movieId")


def rating_frames(ratings: int, movies: int, seed: int) -> Iterator[pl.DataFrame]:
    """Frames with ``ratings`` rows in all; the last user's history may be cut short."""
    rng = np.random.default_rng([seed, 0])
    catalogue = Catalogue.build(movies, QUARTERS, rng, 1, SHELF_SIZES, SHARE_NEW)
    liking = rng.normal(3.5, 0.5, len(catalogue.item_ids))
    users, chunk = 0, 0
    while ratings > 0:
        chunk += 1
        frame = rating_chunk(catalogue, liking, USERS_PER_CHUNK, np.random.default_rng([seed, chunk]))
        numbered = frame.with_columns(userId=pl.col("userId").rank("dense").cast(pl.Int64) + users)
        users = numbered.select(pl.col("userId").max()).item()
        yield numbered.head(ratings)
        ratings -= len(numbered)


def write_sample(path: Path | str, ratings: int = RATINGS, movies: int = MOVIES, seed: int = SEED) -> None:
    """Write ``ratings`` synthetic ratings of at most ``movies`` movies to ``path``, in the format of ratings.csv.

    The file appears under its name only when it is whole. Raises ValueError when a number is below 1 (seed: below 0).
    """
    for name, value, least in (("ratings", ratings, 1), ("movies", movies, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; at least {least} is needed")
    with written_whole(Path(path)) as temporary, open(temporary, "wb") as file:
        for number, frame in enumerate(rating_frames(ratings, movies, seed)):
            frame.write_csv(file, include_header=number == 0, float_precision=1)
