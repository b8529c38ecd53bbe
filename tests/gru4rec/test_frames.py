"""Files of sessions in every form are the same events, and a file that is none says why."""

import re

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gru4rec import frames, parquet, textfiles
from gru4rec.frames import Columns

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
    events = frames.read(written(tmp_path, name))
    assert events.frame.to_dict("list") == {name: ROWS[name] for name in Columns()}
    assert events.remarks == () and not events.has_text_items
    assert "4 events, 2 sessions, 3 items" in events.describe()


def test_a_csv_that_is_tab_separated_is_read_as_such(tmp_path):
    path = written(tmp_path, "a.tsv").rename(tmp_path / "a.csv")
    assert frames.read(path).frame["Time"].tolist() == ROWS["Time"]


def test_columns_by_other_names(tmp_path):
    path = written(tmp_path, "a.csv", {"s": [1, 1], "i": ["x", "y"], "t": [1, 2]})
    frame = frames.read(path, Columns("s", "i", "t")).frame
    assert frame.columns.tolist() == ["s", "i", "t"] and frame["i"].tolist() == ["x", "y"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_text_ids(tmp_path, name):
    events = frames.read(written(tmp_path, name, ROWS | {"SessionId": list("aabb"), "ItemId": ["x", "1", "x", "y"]}))
    assert events.has_text_items
    assert events.frame["ItemId"].tolist() == ["x", "1", "x", "y"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_ids_that_look_like_numbers_are_texts_where_the_model_s_are(tmp_path, name):
    events = frames.read(written(tmp_path, name), text_items=True)
    assert events.frame["ItemId"].tolist() == ["7", "8", "7", "9"]


def test_leading_zeros_survive_as_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("SessionId,ItemId,Time\n1,007,1\n1,7,2\n")
    assert frames.read(path, text_items=True).frame["ItemId"].tolist() == ["007", "7"]


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
    events = frames.read(path)
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
    events = frames.read(path)
    assert events.frame["Time"].tolist() == [1396867869.277, 1396867870.0]
    assert "seconds since 1970" in events.remarks[0]


HEADER = "SessionId\tItemId\tTime\n"
COMMAS = HEADER.replace("\t", ",")


def text_file(folder, content, name="a.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.pickle", "x", " a file named .tsv, .txt, .csv, .dat, .parquet is accepted"),
        ("a.tsv", "", " is empty"),
        ("a.tsv", "SessionId\tItem\tTime\n1\t2\t3\n", " has no column 'ItemId'; its columns are SessionId, Item, Time"),
        ("a.tsv", "SessionId\tItemId\tItemId\tTime\n1\t2\t2\t3\n", " 2 columns are named 'ItemId'; one is accepted"),
        ("a.tsv", HEADER, " holds no event"),
        ("a.tsv", HEADER.rstrip(), " holds no event"),
        ("a.tsv", "\n" + HEADER + "1\t2\t3\n", ", line 1: a blank line"),
        ("a.tsv", HEADER + "1\t1\t3\n1\t\t3\n", ", line 3: no value in column 'ItemId'"),
        ("a.csv", COMMAS + '1,1,3\n1,"",3\n', ", line 3: no value in column 'ItemId'"),
        ("a.tsv", HEADER + "1\t1\t3\n1\t7\n", ", line 3: no value in column 'Time'"),
        ("a.tsv", HEADER + "1\t1\n1\t7\t3\n", ", line 2: no value in column 'Time'"),
        ("a.tsv", HEADER + "1\t1\t3\n1\t2\t3\t4\n", ", line 3: 4 fields, the header has 3: '1\\t2\\t3\\t4'"),
        ("a.tsv", HEADER + "1\t2\tyesterday\n", ", line 2: Time='yesterday': Unix numbers, or dates and times of ISO"),
        ("a.tsv", HEADER + "1\t2\t2014-04-07\n1\t2\tx\n", ", line 3: Time='x': Unix numbers, or"),
        ("a.tsv", HEADER + "1\t2\t5\n1\t2\t2014-04-07\n", ", line 3: Time='2014-04-07': Unix numbers, or"),
        ("a.tsv", HEADER + "1\t2\t2014-13-07\n", ", line 2: Time='2014-13-07': Unix numbers, or"),
        ("a.tsv", HEADER + "1\t2\t1\n1\t2\tinf\n", ", line 3: Time='inf': a finite number is needed"),
        ("a.tsv", HEADER + "1\t2\tnan\n", ", line 2: Time='nan': a finite number is needed"),
        ("a.tsv", HEADER.encode() + b"1\t2\t3\n1\t\xff\t3\n", ", line 3: no text in UTF-8"),
        ("a.csv", b"\xff\xfe\x00\n", ", line 1: no text in UTF-8"),
        ("a.tsv", (HEADER + "1\t2\t3\n").replace("\n", "\r"), ": its lines end with CR alone; LF or CR LF is needed"),
        ("a.parquet", HEADER + "1\t2\t3\n", " is no Parquet file, unlike its name says"),
        ("a.csv", "PAR1", " is a Parquet file, unlike its name says"),
    ],
)
def test_a_file_that_is_none_of_sessions_says_why(tmp_path, name, text, message):
    path = text_file(tmp_path, text, name)
    with pytest.raises(ValueError, match=re.escape(message.strip(": "))) as problem:
        frames.read(path)
    assert str(problem.value).startswith(str(path)) and len(str(problem.value)) < len(str(path)) + 250


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_blank_lines_at_the_end_are_nothing(tmp_path, end, line_end):
    path = text_file(tmp_path, (HEADER + "1\t2\t3\n1\t3\t4" + end).replace("\n", line_end))
    assert frames.read(path).frame.to_numpy().tolist() == [[1, 2, 3], [1, 3, 4]]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [1, 5, 30, 2**20])
def test_a_blank_line_within_is_refused_with_its_number(tmp_path, monkeypatch, line_end, block):
    monkeypatch.setattr(textfiles, "_BLOCK", block)
    path = text_file(tmp_path, (HEADER + "1\t2\t3\n1\t3\t4\n\n1\t3\t4\n\n").replace("\n", line_end))
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 4: a blank line")):
        frames.read(path)


@pytest.mark.parametrize("start", ["", HEADER, HEADER + "1\t2\t3\n"])
@pytest.mark.parametrize("block", [2**18, 2**24])
def test_a_line_without_an_end_is_refused_unread(tmp_path, monkeypatch, start, block):
    monkeypatch.setattr(textfiles, "_BLOCK", block)
    path = text_file(tmp_path, start + "x\x1b[31m" * 600_000)
    with pytest.raises(ValueError, match=f"line {start.count(chr(10)) + 1}: longer than 1,048,576 bytes") as problem:
        frames.read(path)
    assert len(str(problem.value)) < len(str(path)) + 100 and "\x1b" not in str(problem.value)


def test_control_characters_of_a_header_are_escaped(tmp_path):
    with pytest.raises(ValueError, match=re.escape(r"its columns are Item\x1b[31m, Time")):
        frames.read(text_file(tmp_path, "Item\x1b[31m\tTime\n1\t2\n"))


def test_a_lone_quotation_mark_swallows_no_line_of_a_tsv(tmp_path):
    path = text_file(tmp_path, HEADER + '1\t"7\t3\n1\t8\t4\n2\t9"\t5\n')
    assert frames.read(path).frame["ItemId"].tolist() == ['"7', "8", '9"']


@pytest.mark.parametrize("block", [1, 20, 2**20])
def test_a_quotation_mark_that_its_line_does_not_close_is_refused_in_a_csv(tmp_path, monkeypatch, block):
    monkeypatch.setattr(textfiles, "_BLOCK", block)
    path = text_file(tmp_path, COMMAS + '1,"7",3\n1,"8,4\n2,9",5\n', "a.csv")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 3: a quotation mark that this line does not close")):
        frames.read(path)


def test_quoted_fields_of_a_csv(tmp_path):
    path = text_file(tmp_path, '"SessionId","ItemId","Time"\n1,"a,b",3\n"1","x""y","4.5"\n', "a.csv")
    assert frames.read(path).frame.to_dict("list") == {
        "SessionId": [1, 1], "ItemId": ["a,b", 'x"y'], "Time": [3.0, 4.5],
    }  # fmt: skip


# Ids.


@pytest.mark.parametrize(
    "ids, expected",
    [
        (["7", "8"], [7, 8]),
        (["7", "07", "007"], ["7", "07", "007"]),
        (["7", "+7"], ["7", "+7"]),
        (["7", "7.0"], ["7", "7.0"]),
        (["0", "-0"], ["0", "-0"]),
        (["-7", "0"], [-7, 0]),
        (["1", str(2**63 - 1)], [1, 2**63 - 1]),
        (["1", str(2**64 - 1)], [1, 2**64 - 1]),
        (["-1", str(2**64 - 1)], ["-1", str(2**64 - 1)]),
        (["1", str(2**64)], ["1", str(2**64)]),
        (["7", " 7"], ["7", " 7"]),
    ],
)
@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
def test_ids_are_numbers_only_where_all_are_plain_decimals(tmp_path, column, ids, expected):
    rows = {"SessionId": ["1"] * len(ids), "ItemId": ["1"] * len(ids), "Time": ["1"] * len(ids)} | {column: ids}
    assert frames.read(written(tmp_path, "a.tsv", rows)).frame[column].tolist() == expected


@pytest.mark.parametrize("suffix", ["tsv", "csv", "parquet"])
@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
@pytest.mark.parametrize("value", ["NA", "null", "None", "NaN", "<NA>", "\\N"])
def test_what_stands_for_no_id_is_refused_with_its_line_unless_ids_are_texts(tmp_path, suffix, column, value):
    rows = {"SessionId": ["1", "2"], "ItemId": ["1", "2"], "Time": ["1", "2"]} | {column: ["7", value]}
    path = written(tmp_path, f"a.{suffix}", rows)
    where = "row 2" if suffix == "parquet" else "line 3"
    with pytest.raises(ValueError, match=re.escape(f"{path}, {where}: {column}={value!r} stands for no value; --ids")):
        frames.read(path)
    assert frames.read(path, ids="text").frame[column].tolist() == ["7", value]


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|", " "])
def test_every_separator(tmp_path, separator):
    lines = (("SessionId", "ItemId", "Time"), ("1", "7", "3"), ("01", "007", "4.5"))
    path = text_file(tmp_path, "".join(separator.join(line) + "\n" for line in lines), "a.txt")
    assert frames.read(path).frame.to_dict("list") == {"SessionId": ["1", "01"], "ItemId": ["7", "007"],
                                                       "Time": [3.0, 4.5]}  # fmt: skip


@pytest.mark.parametrize(
    "content, message",
    [
        ("SessionId,ItemId,Time\n1,7,1\n1,8\0,2\n", "line 3: a NUL byte"),
        ("S\0e\0s\0s\0i\0o\0n\0I\0d\0,\0\n", "line 1: a NUL byte; a text in UTF-8 is needed"),
        ("Time,SessionId,ItemId\n1,1,7\n2,1,8\r\r\n", "line 3: a CR within the line"),
        ("Time,SessionId,ItemId\n1,1,7\r2,1,8\n", "line 2: a CR within the line"),
        ("SessionId,ItemId,Time\n1,7,1\n1, ,2\n", "line 3: no value in column 'ItemId'"),
    ],
)
def test_characters_that_no_text_of_sessions_has(tmp_path, content, message):
    path = text_file(tmp_path, content, "a.csv")
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        frames.read(path)


def test_ids_by_hand(tmp_path):
    path = text_file(tmp_path, HEADER + "1\t07\t3\n1\t7\t4\n")
    assert frames.read(path, ids="number").frame["ItemId"].tolist() == [7, 7]
    assert frames.read(path, ids="text").frame[["SessionId", "ItemId"]].to_numpy().tolist() == [["1", "07"], ["1", "7"]]
    bad = text_file(tmp_path, HEADER + "1\t7\t3\n1\tx7\t4\n")
    with pytest.raises(ValueError, match=re.escape(f"{bad}, line 3: ItemId='x7': with --ids number a whole number")):
        frames.read(bad, ids="number")


def test_ids_of_another_type_than_the_model_s_are_refused(tmp_path):
    path = text_file(tmp_path, HEADER + "1\t7\t3\n1\tx7\t4\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 3: item id 'x7': the ids of this file are texts")):
        frames.read(path, text_items=False)


def test_numbers_by_hand_for_a_model_of_texts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="item ids are read as whole numbers, those of the training are texts"):
        frames.read(written(tmp_path, "a.tsv"), ids="number", text_items=True)


def test_columns_of_any_name(tmp_path):
    names = Columns("row", "self", "columns")
    path = written(tmp_path, "a.tsv", dict(zip(names, ([1, 1], ["x", "y"], [1, 2]))))
    assert frames.read(path, names).frame["self"].tolist() == ["x", "y"]
    with pytest.raises(ValueError, match="row, row, columns: three different columns are needed"):
        frames.read(path, Columns("row", "row", "columns"))


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt16, pl.Int64, pl.UInt64, pl.String, pl.Categorical])
def test_types_of_ids_in_parquet(tmp_path, dtype):
    ids = (
        pl.Series([5, 7, 5]).cast(pl.String).cast(dtype)
        if dtype in (pl.String, pl.Categorical)
        else pl.Series([5, 7, 5], dtype=dtype)
    )
    path = written(tmp_path, "a.parquet", {"SessionId": [1, 1, 1], "ItemId": ids, "Time": [1, 2, 3]})
    frame = frames.read(path).frame
    assert frame["ItemId"].tolist() == ([5, 7, 5] if ids.dtype.is_integer() else ["5", "7", "5"])


@pytest.mark.parametrize(
    "rows, message",
    [
        ({"ItemId": [1.5, 2.5]}, ": column 'ItemId' holds Float64: whole numbers or texts are accepted"),
        ({"ItemId": [1, None]}, ", row 2: no value in column 'ItemId'"),
        ({"Time": [1.0, float("inf")]}, ", row 2: Time='inf': a finite number is needed"),
        ({"Time": [[1], [2]]}, ": column 'Time' holds List(Int64): numbers or dates are accepted"),
        ({"Time": ["1", "x"]}, ", row 2: Time='x': Unix numbers, or dates"),
    ],
)
def test_a_parquet_file_of_other_values_says_why(tmp_path, rows, message):
    path = written(tmp_path, "a.parquet", {"SessionId": [1, 1], "ItemId": [1, 2], "Time": [1, 2]} | rows)
    with pytest.raises(ValueError, match=re.escape(f"{path}{message}")):
        frames.read(path)


# Times.


def test_every_form_of_iso_8601_in_one_column(tmp_path):
    times = ["2019-11-01 00:00:00 UTC", "2014-04-07T10:51:09.277Z", "2014-04-07", "2014-04-07T12:51+02:00",
             "2014-04-07 10:51:09,5", "2014-04-07T10:51:09+0000", "2014-04-07 12:51:09 +02", "2014-04-07t10:51:09z"]
    path = written(tmp_path, "a.tsv", {"SessionId": [1] * 8, "ItemId": [1] * 8, "Time": times})
    assert frames.read(path).frame["Time"].tolist() == [
        1572566400.0, 1396867869.277, 1396828800.0, 1396867860.0, 1396867869.5, *[1396867869.0] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["4/7/2014 10:51", "4/8/2014", "07.04.2014", "20140407T105109Z", "Apr 7, 2014"])
def test_other_forms_of_dates_have_to_be_named(tmp_path, form):
    path = text_file(tmp_path, HEADER + f"1\t7\t{form}\n")
    with pytest.raises(ValueError, match=re.escape(f"line 2: Time='{form}': ") + ".*--time-format names any other"):
        frames.read(path)


def test_named_forms_of_dates(tmp_path):
    path = text_file(tmp_path, HEADER + "1\t7\t4/7/2014 10:51\n1\t8\t4/8/2014 10:51\n")
    assert frames.read(path, time_format="%m/%d/%Y %H:%M").frame["Time"].tolist() == [1396867860.0, 1396954260.0]
    assert frames.read(path, time_format="%d/%m/%Y %H:%M").frame["Time"].tolist() == [1404471060.0, 1407149460.0]
    with pytest.raises(ValueError, match=re.escape("line 2: Time='4/7/2014 10:51' is not of the form '%d.%m.%Y'")):
        frames.read(path, time_format="%d.%m.%Y")


@pytest.mark.parametrize("unit, words, each", [("ms", "milliseconds", 10**3), ("us", "microseconds", 10**6),
                                               ("ns", "nanoseconds", 10**9)])  # fmt: skip
@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_units_are_noticed_and_can_be_named(tmp_path, suffix, unit, words, each):
    times = [1396867869 * each, 1396867871 * each]
    path = written(tmp_path, f"a.{suffix}", {"SessionId": [1, 1], "ItemId": [7, 8], "Time": times})
    assert f"look like {words}, and are taken as the seconds" in frames.read(path).describe()
    assert frames.read(path).frame["Time"].tolist() == times
    named = frames.read(path, time_format=unit)
    assert named.frame["Time"].tolist() == [1396867869.0, 1396867871.0] and f"from {words}" in named.describe()


def test_two_units_in_one_column_are_refused(tmp_path):
    path = text_file(tmp_path, HEADER + "1\t7\t1396867869277\n1\t7\t1396867869\n")
    found = "line 2: Time='1396867869277' looks like milliseconds, and line 3 like seconds: one unit is needed"
    with pytest.raises(ValueError, match=re.escape(found)):
        frames.read(path)
    assert frames.read(path, time_format="s").remarks == ()


@pytest.mark.parametrize("time, form", [("20140407", "%Y%m%d"), ("201404071051", "%Y%m%d%H%M"),
                                        ("20140407105109", "%Y%m%d%H%M%S")])  # fmt: skip
@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_dates_without_marks_are_no_seconds(tmp_path, suffix, time, form):
    path = written(tmp_path, f"a.{suffix}", {"SessionId": [1], "ItemId": [7], "Time": [int(time)]})
    with pytest.raises(ValueError, match=re.escape(f"as {time} look like dates: --time-format {form} reads them")):
        frames.read(path)
    assert 1396828800 <= frames.read(path, time_format=form).frame["Time"][0] <= 1396867869
    assert frames.read(path, time_format="s").frame["Time"][0] == int(time)


@pytest.mark.parametrize("form", ["", "nonsense", "%Q", "%H:%M", "%Y-%m", "%d/%m %H:%M", "%Y-%m-%d %H:%M:%S.%f"])
def test_forms_that_hold_no_date_are_refused_before_a_file_is_read(tmp_path, form):
    path = text_file(tmp_path, "no text of sessions")
    with pytest.raises(ValueError, match=re.escape(f"--time-format {form!r}: ")):
        frames.read(path, time_format=form)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_times_are_read_to_the_last_bit(tmp_path, times):
    path = text_file(tmp_path, HEADER + "".join(f"1\t7\t{time!r}\n" for time in times))
    assert frames.read(path, time_format="s").frame["Time"].tolist() == times


# Damaged Parquet.


def test_a_parquet_file_that_is_cut_off(tmp_path):
    path = written(tmp_path, "a.parquet")
    content = path.read_bytes()
    for size in (4, 11, 40, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=re.escape(f"{path} is damaged: its end is missing")):
            frames.read(path)


def test_a_parquet_footer_is_not_believed(tmp_path):
    path = written(tmp_path, "a.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-8] + (2**31).to_bytes(4, "little") + content[-4:])
    with pytest.raises(ValueError, match="declares a footer of 2,147,483,648 bytes"):
        frames.read(path)


def test_damage_within_a_parquet_file_is_named(tmp_path):
    path = written(tmp_path, "a.parquet")
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:footer] + bytes(20) + content[footer + 20 :])
    with pytest.raises(ValueError, match=re.escape(f"{path} is damaged: ")):
        frames.read(path)


@pytest.mark.parametrize(
    "program, message",
    [
        ("import os; os.abort()", "is damaged: the process that read it ended by signal 6"),
        ("import sys; sys.exit(134)", "is damaged: the process that read it ended with status 134"),
    ],
)
def test_a_reader_that_dies_is_an_error_and_no_more(tmp_path, monkeypatch, program, message):
    dying = tmp_path / "dying.py"
    dying.write_text(program)
    monkeypatch.setattr(parquet, "__file__", str(dying))
    path = written(tmp_path, "a.parquet")
    with pytest.raises(ValueError, match=re.escape(f"{path} {message}")):
        frames.read(path)


def test_nothing_to_predict(tmp_path):
    events = frames.read(written(tmp_path, "a.tsv"))
    frames.check_predictable(events, pd.Index([7, 8]))
    with pytest.raises(ValueError, match="nothing to predict"):
        frames.check_predictable(events, pd.Index([7]))
