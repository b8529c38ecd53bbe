"""``gru4rec check``: each fault that files of sessions can have, put into good ones."""

import json

import pandas as pd
import polars as pl
import pytest

from gru4rec import cli


def write(path, frame):
    frame.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def good():
    """(train, test): 160 sessions of 4 events on four days, 40 on the fifth."""
    rows = [(session, 100 + (session + 3 * k) % 11, 1_400_000_000 + 86_400 * (session // 40) + 500 * session + 60 * k)
            for session in range(200) for k in range(4)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])
    frame.iloc[3, 1] = frame.iloc[0, 1]  # one session comes back to an item
    is_test = frame.SessionId >= 160
    return frame[~is_test], frame[is_test]


def check(tmp_path, train, test=None, *options):
    named = (("train", train), ("test", test))
    paths = [write(tmp_path / f"{name}.tsv", frame) for name, frame in named if frame is not None]
    return cli.main(["check", *map(str, paths), *options])


def found(tmp_path, capsys, train, test=None, *options):
    """({(check, train, test or both): level}, what is found, the exit status)"""
    capsys.readouterr()
    status = check(tmp_path, train, test, "--json", *options)
    content = json.loads(capsys.readouterr().out)
    assert content["bad"] == (status == 1)
    levels, words = {}, {}
    for each in content["findings"]:
        files = [name for name in ("train", "test") if f"{name}.tsv" in each["where"]]
        place = files[0] if len(files) == 1 else "both"
        levels[each["what"], place] = each["level"]
        words[each["what"], place] = each["found"]
    return levels, words, status


def test_good_files_are_fine(tmp_path, capsys, good):
    levels, _, status = found(tmp_path, capsys, *good)
    assert status == 0 and set(levels.values()) == {"fine"} and len(levels) == 2 * 7 + 5


def test_a_table_and_a_verdict_are_printed(tmp_path, capsys, good):
    assert check(tmp_path, *good) == 0
    printed = capsys.readouterr().out
    assert "train.tsv: 640 events, 160 sessions, 11 items" in printed and "Verdict: nothing bad." in printed
    train, test = good
    assert check(tmp_path, pd.concat([train, test.head(4)]), test) == 1
    assert "Verdict: bad: straddling sessions; what is measured on these files misleads." in capsys.readouterr().out


def change(frame, **columns):
    return frame.assign(**columns)


def both(train, test, make):
    return make(train), make(test)


def every_fifth_session(train, test):
    whole = pd.concat([train, test])
    return whole[whole.SessionId % 5 > 0], whole[whole.SessionId % 5 == 0]


# What is done to good files; which check is to find it, where; how bad that is; words of it.
FAULTS = {
    "order": (lambda train, test: (train.iloc[::-1], test), "order", "train", "note", "events are earlier"),
    "scattered": (
        lambda train, test: (pd.concat([train[::2], train[1::2]]), test),
        "order", "train", "note", "pieces of sessions stand apart",
    ),
    "ties": (
        lambda train, test: (change(train, Time=train.Time // 500 * 500), test),
        "equal times", "train", "note", "events have the time of the one before",
    ),
    "one duplicate": (
        lambda train, test: (pd.concat([train.head(1), train]), test), "duplicates", "train", "note", "1 of 641"
    ),
    "duplicates": (
        lambda train, test: (pd.concat([train, train]), test), "duplicates", "train", "bad", "640 of 1,280 (50.0%)"
    ),
    "one-event sessions": (
        lambda train, test: (pd.concat([train, train.tail(1).assign(SessionId=999)]), test),
        "one-event sessions", "train", "note", "1 of 161",
    ),
    "nothing but one-event sessions": (
        lambda train, test: (train, test.drop_duplicates("SessionId")),
        "one-event sessions", "test", "bad", "40 of 40",
    ),
    "zeros in front": (
        lambda train, test: both(train, test, lambda each: change(each, ItemId="0" + each.ItemId.astype(str))),
        "ids", "train", "note", "item ids are texts: 11 of 11 (100.0%) look like numbers and are none, as '0100'",
    ),
    "ids that numbers would merge": (
        lambda train, test: (change(train, ItemId=["0" * (k % 2) + str(i) for k, i in enumerate(train.ItemId)]), test),
        "ids", "train", "bad", "read as numbers, 11 ids would be another's",
    ),
    "milliseconds": (
        lambda train, test: both(train, test, lambda each: change(each, Time=each.Time * 1000)),
        "unit of time", "train", "note", "milliseconds",
    ),
    "two units in one file": (
        lambda train, test: (change(train, Time=train.Time.where(train.SessionId <= 3, train.Time * 1000)), test),
        "unit of time", "train", "bad", "624 of 640 (97.5%) times look like milliseconds",
    ),
    "two units": (
        lambda train, test: (change(train, Time=train.Time * 1000), test),
        "units of both", "both", "bad", "one is in seconds, the other in milliseconds",
    ),
    "straddling": (
        lambda train, test: (train, pd.concat([train.tail(4), test])),
        "straddling sessions", "both", "bad", "1 of 41",
    ),
    "a random split": (
        every_fifth_session, "leakage through time", "both", "bad", "are not before the first event of the test"
    ),
    "one long test session": (
        lambda train, test: (train, pd.concat([test, test.tail(1).assign(Time=train.Time.iloc[-2])])),
        "leakage through time", "both", "note", "2 of 640 (0.3%)",
    ),
    "unknown items": (
        lambda train, test: (train, change(test, ItemId=test.ItemId.where(test.SessionId > 161, 999))),
        "unknown items", "both", "note", "8 of 160 (5.0%) test events",
    ),
    "no item is known": (
        lambda train, test: (train, change(test, ItemId=test.ItemId + 5000)),
        "unknown items", "both", "bad", "0 are predicted",
    ),
    "the same file": (lambda train, test: (train, train), "two files", "both", "bad", "a copy"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(tmp_path, capsys, good, name):
    make, what, place, level, words = FAULTS[name]
    where = what, place
    levels, said, status = found(tmp_path, capsys, *make(*good))
    assert levels[where] == level and words in said[where], (levels[where], said[where])
    assert status == (1 if "bad" in levels.values() else 0)


def test_ratings_are_recognised_by_two_signs(tmp_path, capsys):
    rows = [(user, 7 * k + user % 5, 1_000_000_000 + 86_400 * (40 * k + user)) for user in range(130) for k in range(8)]
    frame = pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])
    levels, said, status = found(tmp_path, capsys, frame)
    assert status == 1 and levels["ratings", "train"] == "bad"
    assert "no session has an item twice; half of the sessions last more than 280 days" in said["ratings", "train"]
    at_once = frame.assign(Time=frame.Time // (86_400 * 80) * 86_400 * 80)
    _, said, _ = found(tmp_path, capsys, at_once)
    assert "44% of the events have the time of the one before" in said["ratings", "train"]
    frame["Time"] = frame.Time // 100_000
    levels, said, status = found(tmp_path, capsys, frame)
    assert levels["ratings", "train"] == "note" and status == 0
    frame["rating"] = [0.5 + k % 10 / 2 for k in range(len(frame))]
    levels, said, status = found(tmp_path, capsys, frame)
    assert levels["ratings", "train"] == "bad" and "column 'rating' holds stars" in said["ratings", "train"]


@pytest.mark.parametrize("column", ["price", "rating"])
def test_other_numbers_are_no_stars(tmp_path, capsys, good, column):
    train, test = good
    levels, _, _ = found(tmp_path, capsys, train.assign(**{column: range(len(train))}), test)
    assert levels["ratings", "train"] == "fine"


def test_what_is_no_file_of_sessions_is_a_message_and_status_2(tmp_path, capsys, good):
    assert cli.main(["check", str(tmp_path / "none.tsv")]) == 2
    assert "none.tsv" in capsys.readouterr().err
    path = write(tmp_path / "train.tsv", good[0].rename(columns={"ItemId": "item"}))
    assert cli.main(["check", str(path)]) == 2
    assert "no column 'ItemId'" in capsys.readouterr().err
    assert cli.main(["check", str(path), "-ik", "item"]) == 0


def test_parquet_is_checked_alike(tmp_path, capsys, good):
    paths = []
    for name, frame in zip(("train", "test"), good):
        paths.append(str(tmp_path / f"{name}.parquet"))
        pl.DataFrame({column: frame[column].to_numpy() for column in frame}).write_parquet(paths[-1])
    assert cli.main(["check", *paths]) == 0
    assert "Verdict: nothing bad." in capsys.readouterr().out
