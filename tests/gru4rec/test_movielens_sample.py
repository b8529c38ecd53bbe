"""The synthetic ratings: their format, their shape, and that they hold what a sequence model can learn."""

import numpy as np
import pandas as pd
import pytest

from gru4rec import cli
from gru4rec.datasets.movielens import HEADER
from gru4rec.datasets.movielens_sample import rating_frames, write_sample


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "ratings.csv"
    write_sample(path)
    return path


@pytest.fixture(scope="module")
def ratings(file) -> pd.DataFrame:
    return pd.read_csv(file)


def test_the_file_has_the_lines_asked_for_in_the_format_of_the_real_one(file, ratings):
    assert file.read_text().splitlines()[0] == HEADER
    assert len(ratings) == 160_000
    assert set(ratings.rating) == {stars / 2 for stars in range(1, 11)}
    assert ratings.equals(ratings.sort_values(["userId", "movieId"], kind="stable"))
    assert not ratings.duplicated(["userId", "movieId"]).any()


def test_same_seed_same_file_and_another_seed_another(tmp_path, file):
    write_sample(tmp_path / "again.csv")
    write_sample(tmp_path / "other.csv", seed=7)
    assert (tmp_path / "again.csv").read_bytes() == file.read_bytes()
    assert (tmp_path / "other.csv").read_bytes() != file.read_bytes()


def test_a_longer_file_begins_with_the_shorter_one_and_goes_on_with_new_users(file, tmp_path):
    write_sample(tmp_path / "long.csv", ratings=170_000)
    assert (tmp_path / "long.csv").read_bytes().startswith(file.read_bytes())
    first, second = rating_frames(ratings=500_000, movies=1_200, seed=42)
    assert len(first) + len(second) == 500_000 and first["userId"].max() + 1 == second["userId"].min()


def test_shape_of_the_real_data(ratings):
    lengths = ratings.groupby("userId").size()[:-1]  # the last one is cut short
    assert (lengths < 20).mean() < 0.02 and 50 < lengths.median() < 80 and lengths.max() > 5 * lengths.median()
    assert 0.1 < (lengths > 100).mean() < 0.4

    support = ratings.movieId.value_counts()
    assert support.iloc[:120].sum() > 0.3 * len(ratings) and support.median() < 0.7 * support.mean()

    time = pd.to_datetime(ratings.timestamp, unit="s")
    assert time.min() < pd.Timestamp("1995-03-01") and pd.Timestamp("2015-03-01") < time.max()
    assert time.max() < pd.Timestamp("2015-03-31")
    ordered = ratings.sort_values(["userId", "timestamp"])
    within = ordered.timestamp.diff()[ordered.userId.eq(ordered.userId.shift())]
    assert 0 < (within == 0).mean() < 0.1 and 0.8 < (within < 600).mean() < 0.99


def test_taste_drifts_and_movies_come_up(ratings):
    year = pd.to_datetime(ratings.timestamp, unit="s").dt.year
    share = pd.crosstab(year, ratings.movieId, normalize="index")

    def distance(one: int, other: int) -> float:
        return (share.loc[one] - share.loc[other]).abs().sum() / 2

    assert distance(1997, 2014) > 1.3 * distance(2013, 2014)
    known = set(ratings.movieId[year < 2005])
    assert 0.02 < (~ratings.movieId[year >= 2005].isin(known)).mean() < 0.25


def test_the_sequence_tells_more_than_the_last_movie_and_that_more_than_popularity(tmp_path):
    """Share of next movies guessed right, on the second half of the users, by tables counted on the first half."""
    write_sample(tmp_path / "ratings.csv", movies=300)
    ordered = pd.read_csv(tmp_path / "ratings.csv").sort_values(["userId", "timestamp"], kind="stable")
    user, movie = ordered.userId.to_numpy(), ordered.movieId.to_numpy()
    t = np.arange(2, len(movie))
    t = t[user[t] == user[t - 2]]
    events = pd.DataFrame({"two_ago": movie[t - 2], "last": movie[t - 1], "next": movie[t]})
    half = len(events) // 2

    def guess_from(*known: str) -> pd.Series:
        counts = events[:half].value_counts([*known, "next"]).reset_index().drop_duplicates(list(known))
        return events[half:].merge(counts, on=list(known), how="left", suffixes=("", "_guess"))["next_guess"]

    def share_right(guesses: pd.Series | int) -> float:
        return (events.next[half:].to_numpy() == guesses).mean()

    from_last = guess_from("last")
    popularity, last = share_right(events.next[:half].mode()[0]), share_right(from_last)
    sequence = share_right(guess_from("two_ago", "last").fillna(from_last))  # where these two were seen before
    assert popularity < 0.03
    assert last > 4 * popularity
    assert sequence > 1.2 * last


@pytest.mark.parametrize("movies", [1, 3, 26, 5_000])
def test_any_number_of_movies(tmp_path, movies):
    write_sample(tmp_path / "ratings.csv", ratings=500, movies=movies)
    ratings = pd.read_csv(tmp_path / "ratings.csv")
    assert len(ratings) == 500 and ratings.movieId.nunique() <= movies


@pytest.mark.parametrize("option", ["ratings", "movies"])
def test_a_size_below_one_is_refused(tmp_path, option):
    with pytest.raises(ValueError, match=f"{option} is 0"):
        write_sample(tmp_path / "ratings.csv", **{option: 0})
    with pytest.raises(SystemExit) as caught:
        cli.main(["sample", "movielens", f"--{option}", "0", "--out", str(tmp_path / "ratings.csv")])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []
