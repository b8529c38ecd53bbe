"""The four prepared files of RSC15, against a plain pandas version and against worked cases."""

from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from gru4rec import cli
from gru4rec.datasets.rsc15 import FILES, Counts, equal_published, in_seconds, preprocess, split_clicks
from gru4rec.datasets.rsc15 import PUBLISHED_COUNTS as PUBLISHED
from gru4rec.datasets.rsc15_sample import write_sample

DAY = 86_400_000


def main(arguments):
    return cli.main(["prepare", "rsc15", *arguments])


def plain_pandas(raw: Path, out: Path) -> None:
    """The published steps, one line each."""
    clicks = pd.read_csv(raw, names=["SessionId", "Time", "ItemId", "Category"], usecols=[0, 1, 2])
    clicks["Time"] = [pd.Timestamp(text).timestamp() for text in clicks.Time]
    clicks = clicks[["SessionId", "ItemId", "Time"]]

    def at_least(frame, column, n):
        sizes = frame.groupby(column).size()
        return frame[frame[column].isin(sizes[sizes >= n].index)]

    def split(frame):
        ends = frame.groupby("SessionId").Time.max()
        last_day = frame.SessionId.isin(ends[ends >= frame.Time.max() - 86400].index)
        train, test = frame[~last_day], frame[last_day]
        return train, at_least(test[test.ItemId.isin(train.ItemId)], "SessionId", 2)

    clicks = at_least(at_least(at_least(clicks, "SessionId", 2), "ItemId", 5), "SessionId", 2)
    train, test = split(clicks)
    train_tr, train_valid = split(train)
    out.mkdir()
    for name, frame in [("train_full", train), ("test", test), ("train_tr", train_tr), ("train_valid", train_valid)]:
        frame.to_csv(out / f"rsc15_{name}.txt", sep="\t", index=False)


def prepare(raw: Path, out: Path) -> dict[str, Counts]:
    with open(raw, "rb") as file:
        return preprocess(file, str(raw), out)


@pytest.mark.parametrize(
    "clicks, items, seed",
    [(20_000, 2_000, 1), (3_000, 300, 2), pytest.param(1_000_000, 20_000, 3, marks=pytest.mark.slow)],
)
def test_files_equal_those_of_plain_pandas(tmp_path, clicks, items, seed):
    raw = tmp_path / "clicks.dat"
    write_sample(raw, clicks=clicks, items=items, days=7, seed=seed)
    # The real file keeps each session together; the steps must not lean on it.
    lines = raw.read_text().splitlines(keepends=True)
    raw.write_text("".join(lines[::2] + lines[1::2]))

    counts = prepare(raw, tmp_path / "ours")
    plain_pandas(raw, tmp_path / "plain")
    for part, name in FILES.items():
        ours = (tmp_path / "ours" / name).read_bytes()
        assert ours == (tmp_path / "plain" / name).read_bytes(), name
        assert counts[part].events == ours.count(b"\n") - 1 > 0


def clicks_frame(*events) -> pl.DataFrame:
    return pl.DataFrame(events, schema=["SessionId", "ItemId", "Milliseconds"], orient="row")


def three_days(*events) -> dict[str, pl.DataFrame]:
    """``events`` among sessions of items 1 and 2 on each of three days."""
    often = [(100 * day + s, item, day * DAY + s) for day in (0, 1, 2) for s in range(1, 4) for item in (1, 2)]
    return split_clicks(clicks_frame(*often, *events))


def session_ids(part: pl.DataFrame) -> set[int]:
    return set(part["SessionId"])


def test_the_test_day_is_counted_from_the_last_click_and_by_a_sessions_end():
    end = 2 * DAY + 3  # the last click of three_days()
    parts = three_days(
        (7, 1, end - DAY), (7, 2, 5),  # ends on the very edge: test, though it begins two days before
        (8, 1, end - DAY - 1), (8, 2, 5),
    )  # fmt: skip
    assert 7 in session_ids(parts["test"])
    assert 8 in session_ids(parts["train_full"])


def test_items_of_support_below_5_go_and_take_short_sessions_with_them():
    rare = [(n, 9, n) for n in range(10, 14)]  # item 9 four times
    kept = [(n, 8, n) for n in range(20, 25)]  # item 8 five times
    beside = [(n, 1, n + 1) for n in (*range(10, 14), *range(20, 25))]
    train = three_days(*rare, *kept, *beside)["train_full"]
    assert 9 not in set(train["ItemId"]) and 8 in set(train["ItemId"])
    assert not session_ids(train) & set(range(10, 14))


def test_support_is_counted_without_sessions_of_one_event():
    lone = [(n, 9, n) for n in range(10, 14)]
    train = three_days(*lone, (20, 9, 1), (20, 1, 2), (20, 2, 3))["train_full"]
    assert 9 not in set(train["ItemId"])


def test_test_items_that_training_lacks_go_and_take_short_sessions_with_them():
    new = [(n, 9, 2 * DAY) for n in range(30, 36)]
    parts = three_days(*new, *((n, 1, 2 * DAY + 1) for n in range(30, 36)), (30, 2, 2 * DAY + 2))
    assert 9 not in set(parts["test"]["ItemId"])
    assert 30 in session_ids(parts["test"]) and 31 not in session_ids(parts["test"])


def test_events_stay_in_the_order_of_the_raw_file():
    parts = three_days((7, 2, 9), (6, 1, 20), (7, 1, 8), (6, 2, 10))
    rows = [row[:3] for row in parts["train_full"].rows() if row[0] in (6, 7)]
    assert rows == [(7, 2, 9), (6, 1, 20), (7, 1, 8), (6, 2, 10)]


def test_times_are_written_in_seconds_with_their_fraction(tmp_path):
    clicks = in_seconds(clicks_frame((1, 2, 1_396_867_869_270), (1, 3, 1_396_867_869_000)))
    clicks.write_csv(tmp_path / "f.txt", separator="\t")
    assert (tmp_path / "f.txt").read_text() == "SessionId\tItemId\tTime\n1\t2\t1396867869.27\n1\t3\t1396867869.0\n"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text + "1,2014-04-05T10:51:09.277Z,214\n", r"line 3001: 3 field\(s\)"),
        (lambda text: "1,2014-04-05T10:51:09.277Z,1,0\n", "nothing is left of 1 clicks"),
        (lambda text: "".join(line for line in text.splitlines(True) if "-04-01T" in line), "three days"),
        (lambda text: "", "is empty"),
    ],
)
def test_an_error_leaves_no_file_and_keeps_those_of_an_earlier_run(tmp_path, capsys, change, message):
    raw, out = tmp_path / "clicks.dat", tmp_path / "out"
    write_sample(raw, clicks=3_000, items=100, days=4)
    raw.write_text(change(raw.read_text()))
    out.mkdir()
    (out / FILES["test"]).write_text("earlier")
    with pytest.raises(ValueError, match=message):
        prepare(raw, out)
    assert [path.name for path in out.iterdir()] == [FILES["test"]]
    assert (out / FILES["test"]).read_text() == "earlier"
    assert main([str(raw), "--out", str(out)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_disk_that_fails_on_the_last_file_leaves_none(tmp_path, monkeypatch):
    raw, out = tmp_path / "clicks.dat", tmp_path / "out"
    write_sample(raw, clicks=3_000, items=100, days=4)
    sink_csv = pl.LazyFrame.sink_csv

    def failing(frame, path, **options):
        sink_csv(frame, path, **options)
        if FILES["train_valid"] in path.name:
            raise OSError("No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_csv", failing)
    with pytest.raises(OSError, match="No space"):
        prepare(raw, out)
    assert list(out.iterdir()) == []


def test_published_counts_are_recognised_and_nothing_else():
    counts = {part: Counts(1, 1, 1) for part in FILES} | PUBLISHED
    counts["test"] = PUBLISHED["test"]._replace(items=6_751)
    assert equal_published(counts)
    for part in PUBLISHED:
        for field in ("events", "sessions"):
            other = counts[part]._replace(**{field: getattr(counts[part], field) + 1})
            assert not equal_published(counts | {part: other})


def test_the_command_prints_counts_and_says_that_they_differ(tmp_path, capsys):
    raw = tmp_path / "clicks.dat"
    write_sample(raw, clicks=3_000, items=100, days=4)
    assert main([str(raw), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    events = len((tmp_path / "out" / FILES["train_full"]).read_text().splitlines()) - 1
    assert f"{events:,}" in printed and "31,637,239" in printed and "DIFFER" in printed


def test_a_missing_file_is_a_message_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path / "none.dat"), "--out", str(tmp_path)]) == 2
    assert "none.dat" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
