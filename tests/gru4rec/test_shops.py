"""Yoochoose, Rees46, Coveo, RetailRocket, Diginetica: against plain pandas, by worked cases, and bad input."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import plain_shops
import polars as pl
import pytest

from gru4rec import cli
from gru4rec.datasets import shop_sample, shops, steps
from gru4rec.datasets.registry import SHOPS

PARTS = ("train_full", "test", "train_tr", "train_valid")
ROOT = Path(__file__).parents[2]


def main(*arguments):
    return cli.main(["prepare", *map(str, arguments)])


def sample(key, folder, events=20_000, items=800, seed=3, days=None):
    folder.mkdir(exist_ok=True)
    return shop_sample.write_sample(SHOPS[key], folder, events, items, days, seed)


def shuffled(paths, header):
    """The same lines in another order: nothing is to lean on the order of a file, but Coveo's numbers."""
    for path in paths:
        first, *lines = path.read_text().splitlines(keepends=True)
        lines = lines if header else [first, *lines]
        path.write_text((first if header else "") + "".join(lines[::2] + lines[1::2]))


@pytest.mark.parametrize("part_events", [1_500, 10**9], ids=["in parts", "in one"])
@pytest.mark.parametrize("key", SHOPS)
def test_files_equal_those_of_plain_pandas(tmp_path, key, part_events):
    raw = sample(key, tmp_path / "raw")
    shuffled(raw, header=not SHOPS[key].layout.names)
    (tmp_path / "out").mkdir()
    account = shops.prepare(SHOPS[key], raw, tmp_path / "out", part_events=part_events)
    assert (account.parts > 1) == (part_events < 10**9)
    compare(key, raw, tmp_path / "out", account)


@pytest.mark.slow
@pytest.mark.parametrize("key", SHOPS)
def test_a_million_lines_equal_those_of_plain_pandas(tmp_path, key):
    raw = sample(key, tmp_path / "raw", events=1_000_000, items=30_000)
    (tmp_path / "out").mkdir()
    compare(key, raw, tmp_path / "out", shops.prepare(SHOPS[key], raw, tmp_path / "out", part_events=150_000))


def compare(key, raw, out, account):
    plain = plain_shops.PREPARE[key](*raw)
    for part in PARTS:
        path = out / f"{key}_{part}.tsv"
        assert path.read_text() == plain[part].to_csv(sep="\t", index=False), part
        assert account.counts[part] == (
            len(plain[part]), plain[part].SessionId.nunique(), plain[part].ItemId.nunique()
        )  # fmt: skip
        assert len(plain[part]) > 100
    straddling = set(plain["train_full"].SessionId) & set(plain["test"].SessionId)
    assert not straddling


def test_parquet_holds_the_same(tmp_path):
    raw = sample("retailrocket", tmp_path / "raw")
    for form in ("tsv", "parquet"):
        assert main("retailrocket", *raw, "--out", tmp_path / "out", "--format", form, "--part-events", "4000") == 0
    for part in PARTS:
        text, binary = (tmp_path / "out" / f"retailrocket_{part}.{form}" for form in ("tsv", "parquet"))
        assert pl.read_csv(text, separator="\t").equals(pl.read_parquet(binary))


def frame(*events, key="SessionId"):
    return pl.DataFrame(events, schema=[key, "ItemId", "Time"], orient="row")


def test_a_gap_of_one_hour_cuts_nothing_and_more_does():
    events = frame((1, 7, 0), (1, 8, 3600), (1, 9, 7201), (2, 7, 7201), key="Key").with_columns(View=pl.lit(True))
    made, next_session = steps.sessions(events, 3600, first=10)
    assert made["SessionId"].to_list() == [10, 10, 11, 12] and next_session == 13


def test_events_of_other_kinds_bridge_a_gap_and_go():
    events = frame((1, 7, 0), (1, 8, 3000), (1, 9, 6000), key="Key").with_columns(View=pl.Series([True, False, True]))
    made, _ = steps.sessions(events, 3600, first=1)
    assert made.rows() == [(1, 7, 0), (1, 9, 6000)]


def test_where_views_come_first_other_kinds_bridge_nothing(tmp_path):
    """In Rees46's data a cart between two views leaves the gap between them; in RetailRocket's it does not."""
    views = [(user, item, 1_570_000_000 + 86_400 * day + minute * 60)
             for user, day in enumerate([0, 20, 57, 57.5, 58.5, 58.6, 59.2, 59.7])
             for item, minute in ((1, 0), (2, 1), (3, 2))]  # fmt: skip
    # user 0 comes back within the hour by a cart only
    day_0 = [(0, "cart", 4, 1_570_000_000 + 50 * 60), (0, "view", 1, 1_570_000_000 + 100 * 60),
             (0, "view", 2, 1_570_000_000 + 101 * 60)]  # fmt: skip
    rows = [(user, "view", item, time) for user, item, time in views] + day_0
    events = pd.DataFrame(rows, columns=["user_id", "event_type", "product_id", "time"])
    events["event_time"] = pd.to_datetime(events.time, unit="s").dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    raw = [tmp_path / name for name in SHOPS["rees46"].raw]
    for path, month in zip(raw, (10, 11)):
        events[events.event_time.str[5:7] == str(month)].drop(columns="time").to_csv(path, index=False)
    (tmp_path / "out").mkdir()
    account = shops.prepare(SHOPS["rees46"], raw, tmp_path / "out")
    assert account.sessions == 9 and account.views == 26 and account.raw == 27
    compare_sessions = pl.read_csv(tmp_path / "out" / "rees46_train_full.tsv", separator="\t")
    assert compare_sessions.filter(pl.col("SessionId") <= 2).rows()[-2:] == [
        (2, 1, 1_570_000_000 + 6000), (2, 2, 1_570_000_000 + 6060)
    ]  # fmt: skip


def test_of_repeats_the_first_stays_and_each_session_has_its_own():
    events = frame((1, 7, 0), (1, 7, 1), (1, 8, 2), (1, 7, 3), (2, 7, 4), (2, 7, 5))
    assert steps.drop_repeats(events).rows() == [(1, 7, 0), (1, 8, 2), (1, 7, 3), (2, 7, 4)]


def test_a_session_that_straddles_is_cut_and_its_later_part_is_nowhere():
    events = frame((1, 1, 0), (1, 2, 99), (1, 3, 100), (2, 1, 99), (2, 2, 100), (3, 1, 100), (3, 2, 101), (4, 1, 0),
                   (4, 2, 49), (4, 3, 50), (5, 1, 50), (5, 2, 60))  # fmt: skip
    parts = steps.split(events, last=150, test_time=50)
    assert parts.test.rows() == [(3, 1, 100), (3, 2, 101)]
    assert parts.train_full.rows() == [(1, 1, 0), (1, 2, 99), (4, 1, 0), (4, 2, 49), (4, 3, 50), (5, 1, 50), (5, 2, 60)]
    assert parts.train_valid.rows() == [(5, 1, 50), (5, 2, 60)]
    assert parts.train_tr.rows() == [(4, 1, 0), (4, 2, 49)]


@pytest.mark.parametrize(
    "key, line, message",
    [
        ("yoochoose", "7,2014-09-24 09:05,1,0", "timestamp '2014-09-24 09:05': a time as 2014-04-07T10:51:09.277Z"),
        ("yoochoose", "x,2014-09-24T09:05:40.434Z,1,0", "session 'x': a whole number is needed"),
        ("yoochoose", "7,2014-09-24T09:05:40.434Z", "2 field(s) instead of 4"),
        ("retailrocket", "1439208340434,3,view,,", "itemid is empty; a whole number is needed"),
        ("yoochoose", "7,2014-09-24T09:05:40.434Z,1,0,9", "5 field(s) instead of 4"),
        ("retailrocket", "1439208340434,,view,1,", "visitorid is empty; a whole number is needed"),
        ("retailrocket", "1439208340434,3,,1,", "event is empty; a kind of event is needed"),
        ("diginetica", "1;NA;81766;526309;9.5.2016", "eventdate '9.5.2016': a date as 2016-05-09 is needed"),
        ("coveo", "abc,event_product,detail,def,soon", "server_timestamp_epoch_ms 'soon': a whole number is needed"),
        ("rees46", "2019-11-01,view,1,2,,,3.5,4,5", "event_time '2019-11-01': a time as 2019-11-01 00:00:00 UTC"),
    ],
)
def test_a_line_that_is_no_event_is_named_and_leaves_the_files_of_an_earlier_run(tmp_path, capsys, key, line, message):
    raw = sample(key, tmp_path / "raw", events=5_000)
    assert main(key, *raw, "--out", tmp_path / "out") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    number = len(raw[-1].read_text().splitlines()) + 1
    with raw[-1].open("a") as file:
        file.write(line + "\n")
    assert main(key, *raw, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err.replace("\n", "")
    assert f"{raw[-1]}, line {number}: {message}" in said and "Traceback" not in said
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_views_without_an_item_are_left_out_and_counted(tmp_path, capsys):
    raw = sample("coveo", tmp_path / "raw", events=5_000)
    with raw[0].open("a") as file:
        file.write("abc,event_product,detail,,1556593347805\n")
    assert main("coveo", *raw, "--out", tmp_path / "out") == 0
    assert "1 events to keep name no item" in capsys.readouterr().out


def test_files_are_given_one_by_one_or_by_their_folder(tmp_path, capsys):
    raw = sample("rees46", tmp_path / "raw", events=5_000)
    assert main("rees46", tmp_path / "raw", "--out", tmp_path / "one") == 0
    assert main("rees46", *raw, "--out", tmp_path / "two") == 0
    for part in PARTS:
        one, two = (tmp_path / name / f"rees46_{part}.tsv" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    assert main("rees46", raw[0], "--out", tmp_path / "three") == 2
    assert "1 file(s) given; rees46 needs 2, in this order: 2019-Oct.csv 2019-Nov.csv" in capsys.readouterr().err


def test_a_header_without_a_column_is_said(tmp_path, capsys):
    file = tmp_path / "events.csv"
    file.write_text("timestamp,visitorid,event\n1,2,view\n")
    assert main("retailrocket", file, "--out", tmp_path / "out") == 2
    assert "no column 'itemid'; its header is 'timestamp,visitorid,event'" in capsys.readouterr().err.replace("\n", "")


def test_too_few_days_are_said(tmp_path, capsys):
    raw = sample("diginetica", tmp_path / "raw", events=3_000, days=5)
    assert main("diginetica", *raw, "--out", tmp_path / "out") == 2
    assert "the events leave none for train_full: they have to cover more than 14 days" in capsys.readouterr().err


def test_the_raw_counts_are_compared(tmp_path, capsys, monkeypatch):
    raw = sample("retailrocket", tmp_path / "raw", events=5_000)
    assert main("retailrocket", *raw, "--out", tmp_path / "out") == 0
    assert "DIFFERS from the publisher's 2,756,101" in capsys.readouterr().out.replace("\n", " ")
    full = replace(SHOPS["retailrocket"], lines=5_000)
    monkeypatch.setitem(SHOPS, "retailrocket", full)
    assert main("retailrocket", *raw, "--out", tmp_path / "out") == 0
    assert "EQUALS that of the publisher" in capsys.readouterr().out


def test_a_longer_sample_begins_with_the_shorter_one(tmp_path):
    shorter, longer = (sample("coveo", tmp_path / str(n), events=n)[0].read_text() for n in (1_000, 3_000))
    assert longer.startswith(shorter) and shorter.count("\n") == 1_001 and longer.count("\n") == 3_001


def test_a_killed_prepare_leaves_nothing_and_the_next_one_cleans_up(tmp_path):
    raw = sample("retailrocket", tmp_path / "raw", events=300_000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "gru4rec", "prepare", "retailrocket", *map(str, raw), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "--part-events", "2000"], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not list(out.glob(".gru4rec-scratch-*/parts")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = [path.name for path in out.iterdir()]
    assert len(left) == 1 and left[0].startswith(".gru4rec-scratch-")
    assert main("retailrocket", *raw, "--out", out) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {f"retailrocket_{part}.tsv" for part in PARTS} | {"retailrocket_croissant.json"}


@pytest.mark.parametrize("limit", [50_000, 250_000], ids=["the spool", "the prepared files"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, limit):
    raw = sample("retailrocket", tmp_path / "raw")
    program = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "from gru4rec import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "prepare", "retailrocket", *map(str, raw), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and "nothing was prepared" in said and "File too large" in said
    assert "events.csv" not in said and not list((tmp_path / "out").iterdir())
