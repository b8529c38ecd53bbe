"""Reading the raw click file: what a well-formed line is, and what is said about one that is not."""

import io

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gru4rec.datasets.rsc15 import MalformedLine, parse_block, parse_lines, read_clicks

GOOD = b"11,2014-04-07T10:51:09.277Z,214536502,0\n"
GOOD_ROW = (11, 214536502, 1_396_867_869_277)


def test_a_line_becomes_ids_and_utc_milliseconds():
    clicks = read_clicks(io.BytesIO(GOOD), "clicks.dat")
    assert clicks.rows() == [GOOD_ROW]
    assert clicks.columns == ["SessionId", "ItemId", "Milliseconds"]


@pytest.mark.parametrize("block_bytes", [1, 40, 41, 100, 2**20])
def test_blocks_keep_the_order_and_lose_no_line(block_bytes):
    text = b"".join(b"%d,2014-04-07T10:51:09.%03dZ,%d,S\n" % (i % 7, i, 1000 - i) for i in range(250))
    clicks = read_clicks(io.BytesIO(text.rstrip(b"\n")), "clicks.dat", block_bytes)
    expected = [(i % 7, 1000 - i, 1_396_867_869_000 + i) for i in range(250)]
    assert clicks.rows() == expected


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"11,2014-04-07T10:51:09.277Z,214536502", "3 field(s) instead of 4"),
        (b"11,2014-04-07T10:51:09.277Z,214536502,0,0", "5 field(s) instead of 4"),
        (b"", "1 field(s) instead of 4"),
        (b",2014-04-07T10:51:09.277Z,214536502,0", "session id is empty"),
        (b"11,2014-04-07T10:51:09.277Z,,0", "item id is empty"),
        (b"11,,214536502,0", "timestamp is empty"),
        (b"eleven,2014-04-07T10:51:09.277Z,214536502,0", "session id 'eleven' is not a whole number"),
        (b"11,2014-04-07T10:51:09.277Z,2145.5,0", "item id '2145.5' is not a whole number"),
        (b"11,2014-04-07T10:51:09.277Z,99999999999999999999,0", "does not fit in 64 bits"),
        (b"11,2014-04-07T10:51:09Z,214536502,0", "not of the form 2014-04-07T10:51:09.277Z"),
        (b"11,2014-04-07T10:51:60.277Z,214536502,0", "not of the form"),
        (b"11,2014-4-007T10:51:09.277Z,214536502,0", "not of the form"),
        (b"11,+014-04-07T10:51:09.277Z,214536502,0", "not of the form"),
        (b"11,2014-02-30T10:51:09.277Z,214536502,0", "day is out of range"),
        (b"11,2014-04-07T24:51:09.277Z,214536502,0", "hour must be in 0..23"),
        (b"SessionId,Timestamp,ItemId,Category", "session id 'SessionId' is not a whole number"),
    ],
)
@pytest.mark.parametrize("block_bytes", [50, 2**20])
def test_a_malformed_line_is_named(line, reason, block_bytes):
    file = io.BytesIO(GOOD * 5 + line + b"\n" + GOOD * 3)
    with pytest.raises(MalformedLine) as caught:
        read_clicks(file, "folder/clicks.dat", block_bytes)
    assert str(caught.value).startswith("folder/clicks.dat, line 6: ")
    assert reason in str(caught.value)


def test_the_first_malformed_line_is_the_one_named():
    with pytest.raises(MalformedLine, match="line 2: .*empty"):
        read_clicks(io.BytesIO(GOOD + b",,,\n" + b"1\n"), "clicks.dat")


def test_an_empty_file_is_an_error():
    with pytest.raises(ValueError, match="clicks.dat is empty"):
        read_clicks(io.BytesIO(b""), "clicks.dat")


@pytest.mark.parametrize("text", [GOOD.replace(b",0\n", b",\n"), GOOD.replace(b"\n", b"\r\n"), GOOD.rstrip(b"\n")])
def test_an_empty_category_windows_lines_and_no_last_newline_are_fine(text):
    assert read_clicks(io.BytesIO(text), "clicks.dat").rows() == [GOOD_ROW]


def edited(alphabet: str):
    """A few good lines in which some characters were put in or replaced: near enough to the format to be a trap."""
    edit = st.tuples(st.integers(0, 3 * len(GOOD)), st.booleans(), st.sampled_from(alphabet))

    def apply(edits):
        text = list((GOOD * 3).decode())
        for position, replace, character in edits:
            text[position : position + replace] = character
        return "".join(text).encode()

    return st.lists(edit, max_size=4).map(apply)


@settings(max_examples=600, deadline=None)
@given(edited("0169,-:.+TZ \n\r\t\"'_xe\ufeff\u00a0\u0661"))
@example(b"1,2014- 4-07T10:51:09.277Z,2,0\n")
@example(b"1,2014-04-07T10:51: 9.277Z,2,0\n")
@example(b"\xef\xbb\xbf" + GOOD)
@example(b"\xef\xbb\xbf")
def test_the_fast_reader_takes_nothing_that_the_line_reader_refuses(text):
    fast = parse_block(text)
    if fast is not None:
        assert fast.equals(parse_lines(text, "clicks.dat"))


@pytest.mark.parametrize("text", [GOOD * 100, (GOOD * 100).rstrip(b"\n"), GOOD.replace(b"\n", b"\r\n")])
def test_the_fast_reader_takes_good_files(text):
    assert isinstance(parse_block(text), pl.DataFrame)
