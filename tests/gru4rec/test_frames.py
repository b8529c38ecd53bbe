"""Files of sessions in every form are the same events, and a file that is none says why."""

import re

import pandas as pd
import polars as pl
import pytest

from experiments import sessions
from experiments.sessions import Columns

ROWS = {
    "SessionId": [1, 1, 2, 2],
    "ItemId": [7, 8, 7, 9],
    "Time": [10.5, 20.0, 5.25, 6.0],
    "Other": ["a", "b", "c", "d"],
}


def written(folder, name, rows=ROWS):
    path = folder / name
    frame = pl.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="," if path.suffix == ".csv" else "\t")
    return path


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.csv", "a.parquet", "A.TSV"])
def test_every_form_holds_the_same_events(tmp_path, name):
    events = sessions.read(written(tmp_path, name))
    assert events.frame.to_dict("list") == {name: ROWS[name] for name in Columns()}
    assert events.remark == "" and not events.has_text_items
    assert "4 events, 2 sessions, 3 items" in events.describe()


def test_a_csv_that_is_tab_separated_is_read_as_such(tmp_path):
    path = written(tmp_path, "a.tsv").rename(tmp_path / "a.csv")
    assert sessions.read(path).frame["Time"].tolist() == ROWS["Time"]


def test_columns_by_other_names(tmp_path):
    path = written(tmp_path, "a.csv", {"s": [1, 1], "i": ["x", "y"], "t": [1, 2]})
    frame = sessions.read(path, Columns("s", "i", "t")).frame
    assert frame.columns.tolist() == ["s", "i", "t"] and frame["i"].tolist() == ["x", "y"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_text_ids(tmp_path, name):
    events = sessions.read(written(tmp_path, name, ROWS | {"SessionId": list("aabb"), "ItemId": ["x", "1", "x", "y"]}))
    assert events.has_text_items
    assert events.frame["ItemId"].tolist() == ["x", "1", "x", "y"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_ids_that_look_like_numbers_are_texts_where_the_model_s_are(tmp_path, name):
    events = sessions.read(written(tmp_path, name), text_items=True)
    assert events.frame["ItemId"].tolist() == ["7", "8", "7", "9"]


def test_leading_zeros_survive_as_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("SessionId,ItemId,Time\n1,007,1\n1,7,2\n")
    assert sessions.read(path, text_items=True).frame["ItemId"].tolist() == ["007", "7"]


@pytest.mark.parametrize(
    "times, seconds",
    [
        (["2014-04-07T10:51:09.277Z", "2014-04-07T10:51:10Z"], [1396867869.277, 1396867870.0]),
        (["2014-04-07 10:51:09.277", "2014-04-07 10:51:10"], [1396867869.277, 1396867870.0]),
        (["2014-04-07T12:51:09.277+02:00", "2014-04-07T12:51:10+02:00"], [1396867869.277, 1396867870.0]),
    ],
)
def test_iso_times_become_seconds_and_it_is_said(tmp_path, times, seconds):
    path = written(tmp_path, "a.tsv", {"SessionId": [1, 1], "ItemId": [1, 2], "Time": times})
    events = sessions.read(path)
    assert events.frame["Time"].tolist() == seconds
    assert "seconds since 1970, UTC" in events.describe()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Budapest"])
def test_parquet_timestamps_become_seconds(tmp_path, unit, zone):
    times = pl.Series(["2014-04-07 10:51:09.277", "2014-04-07 10:51:10"]).str.to_datetime(
        time_unit=unit, time_zone="UTC"
    )
    times = times.dt.replace_time_zone(None) if zone is None else times.dt.convert_time_zone(zone)
    path = written(tmp_path, "a.parquet", {"SessionId": [1, 1], "ItemId": [1, 2], "Time": times})
    events = sessions.read(path)
    assert events.frame["Time"].tolist() == [1396867869.277, 1396867870.0]
    assert "seconds since 1970" in events.remark


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.pickle", "x", "a file named .tsv, .txt, .csv, .parquet is accepted"),
        ("a.tsv", "", "has no column 'SessionId'"),
        ("a.tsv", "SessionId\tItem\tTime\n1\t2\t3\n", "has no column 'ItemId'; its columns are SessionId, Item, Time"),
        ("a.tsv", "SessionId\tItemId\tTime\n", "holds no event"),
        ("a.tsv", "SessionId\tItemId\tTime\n1\t\t3\n", "1 value(s) missing in column 'ItemId'"),
        ("a.tsv", "SessionId\tItemId\tTime\n1\t2.5\t3\n", "'ItemId' holds Float64: whole numbers or texts"),
        ("a.tsv", "SessionId\tItemId\tTime\n1\t2\tyesterday\n", "Time='yesterday': a number or an ISO 8601"),
        ("a.tsv", "SessionId\tItemId\tTime\n1\t2\t2014-04-07\n1\t2\tx\n", "Time='x': a number or an ISO 8601"),
        ("a.tsv", "SessionId\tItemId\tTime\n1\t2\tinf\n", "not a finite number"),
        ("a.parquet", "SessionId\tItemId\tTime\n1\t2\t3\n", "is no Parquet file, unlike its name says"),
        ("a.parquet", "PAR1 and then nothing", "a.parquet: "),
        ("a.csv", "PAR1", "is a Parquet file, unlike its name says"),
        ("a.csv", b"\xff\xfe\x00\n", "no text in UTF-8"),
    ],
)
def test_a_file_that_is_none_of_sessions_says_why(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(message)) as problem:
        sessions.read(path)
    assert str(path) in str(problem.value)


def test_nothing_to_predict(tmp_path):
    events = sessions.read(written(tmp_path, "a.tsv"))
    sessions.check_predictable(events, pd.Index([7, 8]))
    with pytest.raises(ValueError, match="nothing to predict"):
        sessions.check_predictable(events, pd.Index([7]))
