"""Dwell times, their statistics and augmented files, on worked cases and against a plain Python loop."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec import cli
from gru4rec.commands import augment as command
from gru4rec.datasets.prepared import Counts
from gru4rec.dwelltime import augment as module
from gru4rec.dwelltime import distribution, dwell
from gru4rec.dwelltime.augment import augment, write_repeated
from gru4rec.dwelltime.chunks import session_chunks
from gru4rec.dwelltime.tally import Statistics, Tally
from gru4rec.frames import Columns
from original.events import Columns as EngineColumns
from original.events import read as read_events

MS = 1_396_000_000_000  # a time in milliseconds
HEADER = "SessionId\tItemId\tTime\n"


def main(arguments):
    return cli.main(["augment", *arguments])


def frame(*events) -> pl.DataFrame:
    """Events (session, seconds)."""
    return pl.DataFrame(events, schema={"SessionId": pl.Int64, "Seconds": pl.Float64}, orient="row")


def dwell_seconds(*events) -> list[float | None]:
    return [d if d is None else d / 1e6 for d in dwell.with_dwell(frame(*events))["Dwell"]]


def write(path: Path, *events) -> Path:
    """A sessions file of events (session, item, time)."""
    path.write_text(HEADER + "".join("\t".join(map(str, event)) + "\n" for event in events))
    return path


def test_dwell_is_the_time_to_the_next_event_and_the_last_event_has_none():
    assert dwell_seconds((1, 10.0), (1, 12.5), (1, 90.0), (2, 500.0), (3, 7.0), (3, 7.25)) == [
        2.5, 77.5, None, None, 0.25, None,
    ]  # fmt: skip


def test_sessions_may_be_mixed_and_in_no_order():
    assert dwell_seconds((2, 30.0), (1, 12.0), (2, 10.0), (1, 10.0), (2, 20.0)) == [None, None, 10.0, 2.0, 10.0]


def test_of_equal_times_the_row_that_stands_first_comes_first():
    assert dwell_seconds((1, 10.0), (1, 5.0), (1, 10.0), (1, 10.0), (1, 40.0)) == [0.0, 5.0, 0.0, 30.0, None]


@pytest.mark.parametrize(
    "seconds, times", [(0, 1), (0.001, 1), (74.999, 1), (75, 2), (75.001, 2), (149.999, 2), (150, 3), (3600, 49)]
)
@pytest.mark.parametrize("start", [0.0, 1396437466.94, 1396860669.277, 1400000000.101])
def test_thresholds_are_met_to_the_millisecond(seconds, times, start):
    # As a difference of floats, 1396860744.277 - 1396860669.277 may fall on either side of 75.
    events = dwell.with_dwell(frame((1, start), (1, round(start + seconds, 3))))
    assert dwell.repeats(events["Dwell"], 75).to_list() == [times, 1]


def test_a_limit_caps_repeats_and_nothing_else():
    microseconds = pl.Series([0, 75_000_000, 750_000_000, None])
    assert dwell.repeats(microseconds, 75).to_list() == [1, 2, 11, 1]
    assert dwell.repeats(microseconds, 75, most=3).to_list() == [1, 2, 3, 1]
    assert dwell.repeats(microseconds, 75, most=1).to_list() == [1, 1, 1, 1]


def plain_augmented(events: list[tuple[int, int, int]], threshold_ms: int) -> list[tuple[int, int, int]]:
    """Events (session, item, milliseconds) with their repeats, in the order of the events."""
    by_session = defaultdict(list)
    for at, (session, _, ms) in enumerate(events):
        by_session[session].append((ms, at))
    times = [1] * len(events)
    for visits in by_session.values():
        visits.sort()
        for (ms, at), (next_ms, _) in zip(visits, visits[1:]):
            times[at] = Fraction(next_ms - ms, threshold_ms).__floor__() + 1
    return [event for event, n in zip(events, times) for _ in range(n)]


@given(
    events=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(MS, MS + 3000))).map(
        lambda events: [(0, 0, MS - 5), *events, (0, 1, MS)]  # a file without any dwell time is an error
    ),
    threshold_ms=st.integers(50, 4000),
    block_bytes=st.integers(1, 400),
)
def test_a_file_equals_that_of_a_plain_loop_whatever_the_chunks(tmp_path_factory, events, threshold_ms, block_bytes):
    folder = tmp_path_factory.getbasetemp()
    source = write(folder / "plain.txt", *((s, item, ms / 1000) for s, item, ms in events))
    expected = plain_augmented(events, threshold_ms)
    found = augment(source, folder / "augmented.txt", threshold_ms / 1000, block_bytes=block_bytes)
    lines = (folder / "augmented.txt").read_text().splitlines()
    assert lines[0] + "\n" == HEADER
    assert lines[1:] == [f"{s}\t{item}\t{ms / 1000}" for s, item, ms in expected]
    assert found.events == len(expected) and found.statistics.events == len(events)


def sample_events(seed=3, sessions=25):
    rng = np.random.default_rng(seed)
    for session in range(sessions):
        ms = rng.integers(1_396_000_000_000, 1_396_900_000_000)
        for _ in range(rng.integers(1, 9)):
            yield session, rng.integers(100), ms / 1000
            ms += int(rng.exponential(80_000)) * (rng.random() > 0.1)


def test_chunks_of_whole_sessions_write_what_the_whole_file_does(tmp_path, caplog):
    source = write(tmp_path / "plain.txt", *sample_events())
    whole = augment(source, tmp_path / "whole.txt")
    for block_bytes in (1, 300):
        chunks = list(session_chunks(source, block_bytes=block_bytes))
        assert len(chunks) > 1
        ids = [set(chunk["SessionId"]) for chunk in chunks]
        assert sum(map(len, ids)) == len(set().union(*ids)) == 25
        found = augment(source, tmp_path / "chunks.txt", block_bytes=block_bytes)
        assert (tmp_path / "chunks.txt").read_bytes() == (tmp_path / "whole.txt").read_bytes()
        assert (found.events, found.most) == (whole.events, whole.most)
        assert found.statistics.count == whole.statistics.count and found.statistics.mean == whole.statistics.mean
    assert not caplog.records


def test_mixed_sessions_are_one_chunk_with_a_warning(tmp_path, caplog):
    events = sorted(sample_events(), key=lambda event: event[2])
    events.append((events[0][0], 5, events[-1][2]))  # the first session goes on when all others are over
    source = write(tmp_path / "plain.txt", *events)
    assert len(list(session_chunks(source, block_bytes=50))) == 1
    assert "do not stand together" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_both_sorts_keep_repeats_beside_their_event(tmp_path, seed):
    events = [(s, item, time // 60 * 60) for s, item, time in sample_events(seed)]  # many equal times
    np.random.default_rng(seed).shuffle(events)
    augment(write(tmp_path / "plain.txt", *events), tmp_path / "augmented.txt", threshold=50)
    plain, augmented = (pd.read_csv(tmp_path / f"{name}.txt", sep="\t") for name in ("plain", "augmented"))
    assert len(augmented) > len(plain)
    items = plain["ItemId"].unique()
    assert (augmented["ItemId"].unique() == items).all()  # so that both models number their items alike

    itemidmap = pd.Series(np.arange(len(items)), index=items)
    plain, augmented = (read_events(data, EngineColumns(*Columns()), itemidmap) for data in (plain, augmented))
    for s in range(len(plain)):
        walk, longer = (part.items[part.offsets[s] : part.offsets[s + 1]] for part in (plain, augmented))
        assert collapsed(longer) == collapsed(walk)


def collapsed(items) -> list[int]:
    return [item for at, item in enumerate(items) if at == 0 or item != items[at - 1]]


def test_one_event_of_very_many_repeats_is_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    with open(tmp_path / "rows.txt", "wb") as file:
        write_repeated(pl.DataFrame({"a": ["x", "y", "z"]}), np.array([3, 20, 1]), file)
    assert (tmp_path / "rows.txt").read_text().split() == ["x"] * 3 + ["y"] * 20 + ["z"]


def test_columns_of_other_names_keep_them_and_other_columns_go(tmp_path):
    source = tmp_path / "plain.txt"
    source.write_text("Time\trow\tSeconds\tDwell\r\nx\t001\t100\t7\r\ny\t001\t260.50\t8\r\n")
    augment(source, tmp_path / "augmented.txt", columns=Columns("row", "Dwell", "Seconds"))
    assert (
        tmp_path / "augmented.txt"
    ).read_text() == "row\tDwell\tSeconds\n" + "001\t7\t100\n" * 3 + "001\t8\t260.50\n"


@given(st.lists(st.integers(0, 50), min_size=1).filter(any))
def test_statistics_are_those_of_numpy(dwells):
    tally = Tally()
    for session, microseconds in enumerate(dwells):
        tally.add(pl.DataFrame({"SessionId": [session] * 2, "Dwell": [microseconds * 250_000, None]}))
    found = tally.statistics()
    seconds = np.array([d / 4 for d in dwells if d])
    assert (found.events, found.sessions, found.zero) == (2 * len(dwells), len(dwells), dwells.count(0))
    assert found.count == len(seconds)
    assert found.mean == pytest.approx(seconds.mean())
    if len(seconds) > 1:
        assert found.deviation == pytest.approx(seconds.std(ddof=1))
    for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1):
        assert found.quantile(share) == pytest.approx(np.quantile(seconds, share))


@pytest.mark.parametrize("microseconds, counts", [([5_000_000], [3]), ([1000, 2_000_000, 90_000_000_000], [1, 7, 2])])
def test_the_figure_counts_every_dwell_time(microseconds, counts):
    found = Statistics(99, 9, 0, np.array(microseconds), np.array(counts))
    _, histogram = distribution.draw(found, 75.0, "title").axes
    assert sum(bar.get_height() for bar in histogram.patches) == sum(counts)


def test_the_command_says_what_it_did(tmp_path, capsys):
    source = write(tmp_path / "clicks.txt", (1, 5, 100), (1, 6, 250), (1, 7, 250), (1, 8, 260), (2, 5, 0))
    assert main([str(source), "--out", f"{tmp_path}/out"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for text in (
        "sessions 2", "events 5", "no dwell time 2", "left out below 1", "above zero 2", "mean 80.000 s",
        "median 80.000 s", "lower quartile 45.000 s", "max 150.000 s", "standard deviation 98.995 s",
        "5 events become 7, 1.400 times as many", "makes 3 of one event",
    ):  # fmt: skip
        assert text in printed
    assert "68,052,530" not in printed
    assert (tmp_path / "out" / "clicks-dwell.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "out" / "clicks-dwell75.txt").read_text().splitlines()
    assert lines[1:] == ["1\t5\t100"] * 3 + ["1\t6\t250", "1\t7\t250", "1\t8\t260", "2\t5\t0"]


def test_statistics_alone_write_no_training_file(tmp_path, capsys):
    source = write(tmp_path / "clicks.txt", (1, 5, 100), (1, 6, 250))
    options = ["--statistics", "--threshold", "10", "--most", "4", "--out", f"{tmp_path}/out"]
    assert main([str(source), *options]) == 0
    assert "2 events become 5, 2.500" in " ".join(capsys.readouterr().out.split())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clicks-dwell.png"]


@pytest.mark.parametrize(
    "published, options, verdict",
    [
        (5, [], "EQUAL here"),
        (4, [], "+1 here, +25.0000%"),
        (5, ["--most", "9"], None),
        (5, ["--threshold", "74"], None),
    ],
)
def test_the_published_counts_are_compared_with(tmp_path, capsys, monkeypatch, published, options, verdict):
    monkeypatch.setattr(command, "PLAIN_RSC15", Counts(2, 1, None))
    monkeypatch.setattr(command, "AUGMENTED_RSC15", published)
    source = write(tmp_path / "clicks.txt", (1, 5, 100), (1, 6, 325))
    assert main([str(source), "--statistics", "--out", f"{tmp_path}/out", *options]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert verdict in printed if verdict else "train_tr" not in printed


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "clicks.txt is empty"),
        (HEADER, "clicks.txt holds no event"),
        ("SessionId\tItemId\n1\t2\n", "no column 'Time'; its columns are SessionId, ItemId"),
        (HEADER + "1\t2\tnoon\n", "column 'Time' holds 'noon'"),
        (HEADER + "1\t2\tnan\n1\t2\t3\n", "clicks.txt: time nan: seconds since 1970"),
        (HEADER + "1\t2\t1396860669277000\n", "time 1396860669277000.0: seconds since 1970, up to 9007199255"),
        (HEADER + "1\t\t2.5\n1\t2\t2.5\n", "1 value(s) missing in column 'ItemId'"),
        (HEADER + "1\t2\t2.5\n1\t2\t2.5\t7\n", "line 3: 4 fields, the header has 3"),
        (HEADER + "1\t2\t2.5\n2\t2\t2.5\n", "none of 2 events has a dwell time above zero"),
    ],
)
def test_a_bad_file_is_a_message_and_status_2_and_keeps_what_was_there(tmp_path, capsys, content, message):
    (tmp_path / "clicks.txt").write_text(content)
    out = tmp_path / "out"
    out.mkdir()
    (out / "clicks-dwell75.txt").write_text("earlier")
    assert main([str(tmp_path / "clicks.txt"), "--out", str(out)]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error and "Traceback" not in error
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("clicks-dwell75.txt", "earlier")]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--threshold", "0"], "--threshold 0: seconds from 0.000001"),
        (["--threshold", "nan"], "--threshold nan: seconds from"),
        (["--most", "0"], "--most 0: at least 1"),
        (["--item-key", "Item"], "no column 'Item'"),
    ],
)
def test_bad_options_are_a_message_and_status_2(tmp_path, capsys, options, message):
    source = write(tmp_path / "clicks.txt", (1, 5, 100), (1, 6, 325))
    assert main([str(source), "--out", f"{tmp_path}/out", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_missing_file_is_a_message_and_status_2(tmp_path, capsys):
    assert main([f"{tmp_path}/none.txt", "--out", f"{tmp_path}/out"]) == 2
    assert "none.txt" in capsys.readouterr().err
