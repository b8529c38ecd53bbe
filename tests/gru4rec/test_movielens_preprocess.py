"""MovieLens' ratings to sessions: each layout, the edges of days and of history lengths, splits, bad input."""

import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec import cli
from gru4rec.datasets import movielens as module
from gru4rec.datasets.movielens import FILES, HEADER, find, layout_of, preprocess
from gru4rec.datasets.movielens_spans import DATES, SETS, Span, by_dates, by_quantiles

WRITERS = {  # by the file's name in the archive: header, separator
    "ratings.csv": (HEADER + "\n", ","),
    "ratings.dat": ("", "::"),
    "u.data": ("", "\t"),
}


def main(arguments):
    return cli.main(["prepare", "movielens", *arguments])


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def write(path: Path, ratings: list[tuple[int, int, int]], layout: str = "ratings.csv") -> Path:
    """Ratings of (user, movie, Unix seconds)."""
    header, separator = WRITERS[layout]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(f"{separator.join(map(str, (u, m, 3.5, t)))}\n" for u, m, t in ratings))
    return path


def history(user: int, length: int, start: str, step: int = 1) -> list[tuple[int, int, int]]:
    return [(user, 100 + i, seconds(start) + step * i) for i in range(length)]


def something_in_every_set() -> list[tuple[int, int, int]]:
    """Eight ratings of user 1 in each of train, dev and test."""
    return [event for year in (2010, 2013, 2014) for event in history(1, 8, f"{year}-06-01T12:00:00")]


def events(folder: Path, part: str) -> list[tuple[int, int, int]]:
    lines = (folder / FILES[part]).read_text().splitlines()
    assert lines[0] == "SessionId\tItemId\tTime"
    return [tuple(map(int, line.split("\t"))) for line in lines[1:]]


def prepare(tmp_path: Path, ratings: list[tuple[int, int, int]], **split) -> Path:
    preprocess(write(tmp_path / "ratings.csv", ratings), tmp_path / "out", **split)
    return tmp_path / "out"


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("given_as", ["file", "file of another name", "folder", "folder above"])
def test_each_layout_gives_the_same_sessions(tmp_path, layout, given_as):
    name = "renamed.txt" if given_as == "file of another name" else layout
    file = write(tmp_path / "data" / "ml" / name, something_in_every_set(), layout)
    (file.parent / "README.txt").write_text("a file beside it")
    path = {"folder": file.parent, "folder above": file.parent.parent}.get(given_as, file)
    prepared = preprocess(path, tmp_path / "out")
    assert prepared.layout.file == layout and prepared.ratings == 24
    for part, year in {"all_train": 2010, "train": 2010, "dev": 2013, "test": 2014}.items():
        assert events(tmp_path / "out", part) == history(1, 8, f"{year}-06-01T12:00:00")
    assert [tuple(prepared.counts[part]) for part in SETS] == 4 * [(8, 1, 8)]


@pytest.mark.parametrize("part", SETS)
def test_the_last_second_of_the_last_day_is_in_a_set_and_the_next_one_is_not(tmp_path, part):
    first, last = DATES[part]
    inside = [seconds(f"{first}T00:00:00"), seconds(f"{last}T23:59:59")]
    outside = [inside[0] - 1, inside[1] + 1]
    edges = [(2, 7 + i, time) for i, time in enumerate(inside + outside)]
    filling = [(2, 50 + i, inside[0] + 1) for i in range(4)]
    out = prepare(tmp_path, something_in_every_set() + edges + filling)
    assert [time for user, _, time in events(out, part) if user == 2] == [inside[0], *4 * [inside[0] + 1], inside[1]]


def test_the_sets_are_those_of_the_20m_release():
    days = {part: (str(span.first), str(span.last)) for part, span in DATES.items()}
    assert days == {
        "all_train": ("1995-01-09", "2013-03-01"),
        "train": ("2008-01-01", "2013-03-01"),
        "dev": ("2013-04-01", "2014-04-01"),
        "test": ("2014-04-02", "2015-04-01"),
    }


def test_histories_of_6_to_100_ratings_in_the_set_stay(tmp_path):
    ratings = something_in_every_set()
    for user, length in {5: 5, 6: 6, 100: 100, 101: 101}.items():
        ratings += history(user, length, "2014-06-01T00:00:00")
    # Many elsewhere, few here; and together with those elsewhere too many, but not here.
    ratings += history(200, 90, "2010-01-01T00:00:00") + history(200, 5, "2014-06-01T00:00:00")
    ratings += history(300, 90, "2010-01-01T00:00:00") + history(300, 20, "2014-06-01T00:00:00")
    out = prepare(tmp_path, ratings)
    assert {user for user, _, _ in events(out, "test")} == {1, 6, 100, 300}
    assert {user for user, _, _ in events(out, "train")} == {1, 200, 300}


def test_sorted_by_user_and_time_and_the_same_second_in_the_order_of_the_file(tmp_path):
    time = seconds("2014-06-01T00:00:00")
    test = [(9, 3, time + 2), (2, 8, time), (9, 1, time), (9, 7, time), (9, 2, time), (2, 9, time - 1)]
    test += [(user, 20 + i, time + 5) for i in range(4) for user in (9, 2)]
    out = prepare(tmp_path, something_in_every_set() + test)
    kept = [event for event in events(out, "test") if event[0] != 1]
    assert kept == sorted(test, key=lambda event: (event[0], event[2]))
    assert [movie for user, movie, _ in kept if user == 9][:4] == [1, 7, 2, 3]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(-3, 30).map(lambda n: n * 43_200)),
        min_size=100, max_size=300,
    )
)  # fmt: skip
def test_the_sets_are_those_of_a_plain_loop(tmp_path_factory, ratings):
    start = date(2001, 1, 1)
    dates = {
        "all_train": Span(start, start + timedelta(6)),
        "train": Span(start + timedelta(2), start + timedelta(6)),
        "dev": Span(start + timedelta(8), start + timedelta(10)),
        "test": Span(start + timedelta(11), start + timedelta(14)),
    }
    ratings = [(user, movie, seconds(f"{start}T00:00:00") + offset) for user, movie, offset in ratings]
    expected = {}
    for part, (first, last) in dates.items():
        histories = defaultdict(list)
        for user, movie, time in ratings:
            if first <= datetime.fromtimestamp(time, UTC).date() <= last:
                histories[user].append((user, movie, time))
        kept = (sorted(h, key=lambda event: event[2]) for _, h in sorted(histories.items()) if 6 <= len(h) <= 100)
        expected[part] = [event for h in kept for event in h]
    folder = tmp_path_factory.mktemp("loop")
    if all(expected.values()):
        out = prepare(folder, ratings, dates=dates)
        assert {part: events(out, part) for part in SETS} == expected
    else:
        with pytest.raises(ValueError, match="no user has 6 to 100 ratings in"):
            prepare(folder, ratings, dates=dates)


def test_a_release_of_other_years_is_split_by_quantiles_and_the_output_says_so(tmp_path, capsys):
    ratings = [event for day in range(1, 21) for event in history(day, 10, f"1997-10-{day:02}T08:00:00")]
    file = write(tmp_path / "u.data", ratings, "u.data")
    assert main([str(file), "--out", f"{tmp_path}/out"]) == 0
    printed = capsys.readouterr().out
    assert "by quantiles 0.4 0.8 0.9 of the times" in printed and "1997-10-17" in printed
    users = {part: sorted({user for user, _, _ in events(tmp_path / "out", part)}) for part in SETS}
    assert users == {
        "all_train": list(range(1, 17)),
        "train": list(range(9, 17)),
        "dev": [17, 18],
        "test": [19, 20],
    }


def test_the_dates_that_quantiles_give_are_dates_that_can_be_given(tmp_path):
    ratings = [event for day in range(1, 21) for event in history(day, 10, f"1997-10-{day:02}T08:00:00")]
    file = write(tmp_path / "u.data", ratings, "u.data")
    spans = preprocess(file, tmp_path / "quantiles", quantiles=(0.2, 0.5, 0.75)).spans
    options = [f"--dates {part} {span.first} {span.last}".split() for part, span in spans.items()]
    assert main([str(file), "--out", f"{tmp_path}/dates", *sum(options, [])]) == 0
    for name in FILES.values():
        assert (tmp_path / "dates" / name).read_bytes() == (tmp_path / "quantiles" / name).read_bytes()


@pytest.mark.parametrize("quantiles", [(0.4, 0.8, 0.9), (0.1, 0.2, 0.3), (0.0999, 0.35, 0.9999), (1e-9, 0.5, 0.51)])
def test_a_quantile_is_the_day_of_the_rating_at_that_place(quantiles):
    counts = {1: 10, 2: 10, 3: 10, 4: 4, 5: 16, 9: 1, 10: 39, 11: 10}
    of_two_users = [(day, part) for day, count in reversed(counts.items()) for part in (count // 2, count - count // 2)]
    days = pl.DataFrame(of_two_users, schema=["Day", "events"], orient="row")
    ratings = [day for day, count in counts.items() for _ in range(count)]
    begins = [date(1970, 1, 1) + timedelta(ratings[int(quantile * len(ratings))]) for quantile in quantiles]
    spans = by_quantiles(days, quantiles)
    assert [spans[part].first for part in ("train", "dev", "test")] == begins
    assert [spans[part].last for part in ("train", "dev")] == [begin - timedelta(1) for begin in begins[1:]]
    assert spans["all_train"] == (date(1970, 1, 2), begins[1] - timedelta(1))
    assert spans["test"].last == date(1970, 1, 12)


def test_too_few_days_for_the_quantiles(tmp_path, capsys):
    ratings = history(1, 50, "1997-10-01T00:00:00") + history(2, 50, "1997-10-02T00:00:00")
    assert main([str(write(tmp_path / "u.data", ratings, "u.data")), "--out", f"{tmp_path}/out"]) == 2
    error = capsys.readouterr().err
    assert "train, dev and test would begin on 1997-10-01, 1997-10-02, 1997-10-02" in error


def test_training_must_end_before_what_is_predicted():
    assert by_dates({"dev": Span.parse("2013-03-02", "2014-04-01")})["dev"].first == date(2013, 3, 2)
    for change in ({"train": ("2008-01-01", "2013-04-01")}, {"dev": ("2013-03-01", "2013-12-31")}):
        with pytest.raises(ValueError, match=r"train \(.*\) has to end before dev \(.*\) begins"):
            by_dates({part: Span.parse(*days) for part, days in change.items()})


GOOD = {layout: separator.join(("1", "2", "3.5", "978300760")) for layout, (_, separator) in WRITERS.items()}


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(
    "fields, fault",
    [
        (("1", "2", "3.5"), "3 field(s) instead of 4 (user, movie, rating, timestamp)"),
        (("1", "2", "3.5", "4", "5"), "5 field(s) instead of 4"),
        (("",), "1 field(s) instead of 4"),
        (("", "2", "3.5", "4"), "user '' is not a whole number"),
        (("1", "", "3.5", "4"), "movie '' is not a whole number"),
        (("1", "2", "3.5", ""), "timestamp '' is not a whole number"),
        (("one", "2", "3.5", "4"), "user 'one' is not a whole number"),
        (("1", "2.5", "3.5", "4"), "movie '2.5' is not a whole number"),
        (("1", "2", "3.5", "2001-01-01"), "timestamp '2001-01-01' is not a whole number"),
        (("1", str(2**63), "3.5", "4"), f"movie {2**63} does not fit in 64 bits"),
    ],
)
def test_a_line_that_is_no_rating_is_named(tmp_path, layout, fields, fault):
    header, separator = WRITERS[layout]
    lines = [GOOD[layout]] * 3 + [separator.join(fields)] + [GOOD[layout]]
    file = tmp_path / layout
    file.write_text(header + "\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=re.escape(f"{file}, line {5 if header else 4}: {fault}")):
        preprocess(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_extra_field_alone_in_a_file_of_many_lines_is_found(tmp_path):
    file = write(tmp_path / "ratings.csv", something_in_every_set() * 400)
    file.write_text(file.read_text() + "1,2,3.5,978300760,7\n")
    with pytest.raises(ValueError, match="line 9602: 5 field"):
        preprocess(file, tmp_path / "out")


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path, newline, start):
    text = write(tmp_path / "plain.csv", something_in_every_set()).read_text()
    (tmp_path / "ratings.csv").write_bytes(start + text.replace("\n", newline).encode())
    preprocess(tmp_path / "ratings.csv", tmp_path / "out")
    assert events(tmp_path / "out", "dev") == history(1, 8, "2013-06-01T12:00:00")


def test_what_is_no_file_of_ratings_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        find(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no file of ratings; ratings.csv, ratings.dat, u.data are accepted"):
        find(tmp_path)
    for name in ("ratings.csv", "ratings.dat"):
        write(tmp_path / name, [], name)
    with pytest.raises(ValueError, match="holds .*ratings.csv and .*ratings.dat; name one of the files"):
        find(tmp_path)
    with pytest.raises(ValueError, match="ratings.dat is empty"):
        layout_of(tmp_path / "ratings.dat")
    with pytest.raises(ValueError, match="ratings.csv holds no rating"):
        preprocess(tmp_path / "ratings.csv", tmp_path / "out")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,Toy Story (1995),Comedy\n")
    with pytest.raises(ValueError, match="movies.csv is no file of ratings: its first line is 'movieId,title,genres'"):
        preprocess(tmp_path / "movies.csv", tmp_path / "out")


@pytest.mark.parametrize(
    "options, message",
    [
        ("--dates train 2013-01-01 2012-01-01", "--dates train 2013-01-01 2012-01-01: the first day is after the last"),
        ("--dates train 2013-01-01 soon", "--dates train 2013-01-01 soon: two dates are needed"),
        ("--dates valid 2013-01-01 2013-02-01", "--dates valid: unknown; all_train, train, dev, test are accepted"),
        ("--dates test 2014-03-01 2014-04-01", "dev (2013-04-01 to 2014-04-01) has to end before test"),
        ("--quantiles 0.8 0.4 0.9", "--quantiles 0.8 0.4 0.9: three ascending numbers between 0 and 1"),
        ("--quantiles 0.4 0.8 1.0", "--quantiles 0.4 0.8 1.0: three ascending"),
        ("--quantiles 0.4 0.8 0.9 --dates dev 2013-04-01 2014-04-01", "--dates and --quantiles: one of the two"),
        ("--dates test 2015-03-01 2015-04-01", "no user has 6 to 100 ratings in test, 2015-03-01 to 2015-04-01"),
    ],
)
def test_bad_options_are_a_message_and_status_2(tmp_path, capsys, options, message):
    file = write(tmp_path / "ratings.csv", something_in_every_set())
    assert main([str(file), "--out", f"{tmp_path}/out", *options.split()]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_a_disk_that_fails_leaves_the_files_of_the_earlier_run(tmp_path, monkeypatch):
    out = prepare(tmp_path, something_in_every_set())
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def failing(sessions, path, **options):
        if "test" in path.name:
            raise OSError("no space left")
        return sink(sessions, path, **options)

    sink = pl.LazyFrame.sink_csv
    monkeypatch.setattr(module.pl.LazyFrame, "sink_csv", failing)
    with pytest.raises(OSError, match="no space"):
        prepare(tmp_path, [(user + 1, movie, time) for user, movie, time in something_in_every_set()])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_counts_are_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ratings = something_in_every_set() + history(3, 5, "2013-07-01T00:00:00")
    assert main([str(write(tmp_path / "ratings.csv", ratings)), "--out", f"{tmp_path}/out"]) == 0
    printed = capsys.readouterr().out
    assert "29 ratings, of the layout of ratings.csv" in printed and "the days of the 20M release" in printed
    dev = next(line for line in printed.splitlines() if line.split()[:1] == ["dev"])
    assert dev.split() == ["dev", "2013-04-01", "2014-04-01", "13", "8", "1", "8"]
