"""The synthetic clickstream: its format, its shape, and that it holds what a sequence model can learn."""

import numpy as np
import pandas as pd
import pytest

from gru4rec import cli
from gru4rec.datasets.rsc15 import read_clicks
from gru4rec.datasets.rsc15_sample import SESSIONS_PER_CHUNK, click_frames, write_sample


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "clicks.dat"
    write_sample(path, clicks=60_000)
    return path


def read_frame(path) -> pd.DataFrame:
    with open(path, "rb") as file:
        return pd.DataFrame(read_clicks(file, "clicks.dat").to_dict(as_series=False))


@pytest.fixture(scope="module")
def clicks(raw) -> pd.DataFrame:
    return read_frame(raw)


def test_the_file_has_the_lines_asked_for_in_the_raw_format(raw, clicks):
    lines = raw.read_text().splitlines()
    assert len(lines) == len(clicks) == 60_000
    assert all(line.count(",") == 3 and line.split(",")[3] for line in lines)


def test_same_seed_same_file_and_another_seed_another(tmp_path, raw):
    write_sample(tmp_path / "again.dat", clicks=60_000)
    write_sample(tmp_path / "other.dat", clicks=60_000, seed=7)
    assert (tmp_path / "again.dat").read_bytes() == raw.read_bytes()
    assert (tmp_path / "other.dat").read_bytes() != raw.read_bytes()


def test_a_longer_file_begins_with_the_shorter_one(tmp_path, raw):
    write_sample(tmp_path / "long.dat", clicks=70_000)
    assert (tmp_path / "long.dat").read_bytes().startswith(raw.read_bytes())


def test_chunks_go_on_with_new_sessions():
    first, second = click_frames(clicks=300_000, items=600, days=3, seed=1)
    assert first["session"].n_unique() == SESSIONS_PER_CHUNK
    assert first["session"].max() < second["session"].min()
    assert not first["item"].head(100).equals(second["item"].head(100))


def test_sessions_are_contiguous_and_in_time_order(clicks):
    starts = clicks.SessionId != clicks.SessionId.shift()
    assert starts.sum() == clicks.SessionId.nunique()
    assert (clicks.Milliseconds.diff()[~starts] > 0).all()


def test_shape_of_the_real_data(clicks):
    lengths = clicks.groupby("SessionId").size()
    assert 3.5 < lengths.mean() < 4.5
    assert 0.1 < (lengths == 1).mean() < 0.2
    assert lengths.quantile(0.99) > 4 * lengths.mean()

    within = clicks.SessionId.eq(clicks.SessionId.shift())
    assert 0.2 < clicks.ItemId.eq(clicks.ItemId.shift())[within].mean() < 0.33

    support = clicks.ItemId.value_counts()
    assert support.iloc[:120].sum() > 0.4 * len(clicks) and support.median() < 0.5 * support.mean()

    time = pd.to_datetime(clicks.Milliseconds, unit="ms")
    by_hour = time.dt.hour.value_counts()
    assert by_hour[16] > 5 * by_hour[1]
    assert time.dt.date.nunique() >= 6


def test_the_sequence_tells_more_than_the_last_item_and_that_more_than_popularity(tmp_path):
    """Share of next items guessed right, on the second half of the sessions, by tables counted on the first half."""
    write_sample(tmp_path / "clicks.dat", clicks=60_000, items=600)
    clicks = read_frame(tmp_path / "clicks.dat")
    session, item = clicks.SessionId.to_numpy(), clicks.ItemId.to_numpy()
    t = np.arange(2, len(item))
    t = t[(session[t] == session[t - 2]) & (item[t] != item[t - 1]) & (item[t - 1] != item[t - 2])]
    events = pd.DataFrame({"two_ago": item[t - 2], "last": item[t - 1], "next": item[t]})
    half = len(events) // 2

    def share_right(*known: str) -> float:
        if not known:
            return (events.next[half:] == events.next[:half].mode()[0]).mean()
        table = events[:half].groupby(list(known)).next.agg(lambda column: column.mode()[0]).rename("guess")
        guesses = events[half:].merge(table, left_on=list(known), right_index=True, how="left").guess
        return (guesses == events.next[half:]).mean()

    popularity, last, sequence = share_right(), share_right("last"), share_right("two_ago", "last")
    assert popularity < 0.05
    assert last > 4 * popularity
    assert sequence > 1.2 * last


@pytest.mark.parametrize("items, days", [(1, 1), (3, 2), (9, 1), (5_000, 40)])
def test_any_size_of_shop(tmp_path, items, days):
    write_sample(tmp_path / "clicks.dat", clicks=500, items=items, days=days)
    clicks = read_frame(tmp_path / "clicks.dat")
    assert len(clicks) == 500 and clicks.ItemId.nunique() <= items


@pytest.mark.parametrize("option", ["clicks", "items", "days"])
def test_a_size_below_one_is_refused(tmp_path, option):
    with pytest.raises(ValueError, match=f"{option} is 0"):
        write_sample(tmp_path / "clicks.dat", **{option: 0})
    with pytest.raises(SystemExit) as caught:
        cli.main(["sample", "rsc15", f"--{option}", "0", "--out", str(tmp_path / "clicks.dat")])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []
