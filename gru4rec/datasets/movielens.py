"""MovieLens: from the ratings of a MovieLens release to files of sessions: each user's history is one session.

A rating becomes an event, whatever its stars. The sets are spans of days (UTC, the last day included), and in each set
stand the users with 6 to 100 ratings IN THAT SET:

===========================  =======================================
``movielens_all_train.txt``  1995-01-09 to 2013-03-01
``movielens_train.txt``      2008-01-01 to 2013-03-01
``movielens_dev.txt``        2013-04-01 to 2014-04-01
``movielens_test.txt``       2014-04-02 to 2015-04-01
===========================  =======================================

These days are those of the 20M release. Where a release has no rating in one of the spans (100k is of 1997 and 1998, 1M
of 2000 to 2003), the sets are spans by quantiles of the ratings' times: dev begins on the day when 80% of the ratings
are there, test at 90%, train at 40%, and all_train with the first rating. 25M and 32M go on after 2015; they too have
the days of the 20M release unless ``--dates`` or ``--quantiles`` says otherwise.

Files are tab separated with the header ``SessionId ItemId Time``, sorted by user and time; ratings of the same second
stay in the file's order. SessionId is the user, ItemId the movie, Time in Unix seconds. A user may be in several sets,
with other ratings in each.

The ratings are read twice, in a stream: first the number of ratings of each user on each day, then the ratings of those
who stay. The memory grows with what is kept, not with the file.

A file of ratings has one line a rating, in one of three layouts:

===============  =====================  =====================================================================
file             releases               a line
===============  =====================  =====================================================================
``u.data``       100k                   user, movie, rating, timestamp, between tabs
``ratings.dat``  1M, 10M                the same between double colons
``ratings.csv``  20M, 25M, 32M, latest  the same between commas, under the header userId,movieId,rating,timestamp
===============  =====================  =====================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gru4rec import textfiles
from gru4rec.datasets import writing
from gru4rec.datasets.movielens_spans import DATES, DAY, QUANTILES, SETS, Quantiles, Spans, by_quantiles
from gru4rec.datasets.prepared import Counts
from gru4rec.datasets.writing import About, Format
from gru4rec.parquet import source
from gru4rec.terminal import quoted, shortened

# 100k has 1,682 movies and 20M 27,278, where RSC15 has 37,483 items: 2,048 samples would hold most of the small ones.
_COMMON = dict(
    hidden_act="tanh",
    layers=[100],
    adapt="adagrad",
    batch_size=32,
    n_sample=512,
    sample_alpha=0.5,
    dropout_p_hidden=0.3,
    learning_rate=0.05,
    momentum=0.3,
    n_epochs=10,
)

# Settings for MovieLens. They are this project's choice: none was published for these sets.
CONFIGS: dict[str, dict[str, Any]] = {
    "cross-entropy": _COMMON | dict(loss="cross-entropy", final_act="softmax"),
    "bpr-max": _COMMON | dict(loss="bpr-max", final_act="elu-0.5", bpreg=1.0),
}

HEADER = "userId,movieId,rating,timestamp"


@dataclass(frozen=True)
class Layout:
    """How a line is written. ``file`` is its name in an archive, ``separator`` stands between its four fields."""

    file: str
    separator: str
    has_header: bool


LAYOUTS = (Layout("ratings.csv", ",", True), Layout("ratings.dat", "::", False), Layout("u.data", "\t", False))
NAMES = ", ".join(layout.file for layout in LAYOUTS)


def find(path: Path) -> Path:
    """The ratings file: ``path`` itself, or the one in folder ``path`` or right below it, as archives unpack.

    Raises FileNotFoundError when there is none, ValueError when a folder holds several.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; a file of ratings or a release's folder is needed")
    if not path.is_dir():
        return path
    found = [path / layout.file for layout in LAYOUTS if (path / layout.file).is_file()]
    found = found or sorted(file for layout in LAYOUTS for file in path.glob(f"*/{layout.file}"))
    if not found:
        raise FileNotFoundError(f"{path} holds no file of ratings; {NAMES} are accepted")
    if len(found) > 1:
        raise ValueError(f"{path} holds {' and '.join(map(str, found))}; name one of the files")
    return found[0]


def layout_of(file: Path) -> Layout:
    """The layout of a file, whatever its name, by its first line. Raises ValueError when it has none of the three."""
    with open(file, encoding="utf-8-sig", errors="replace") as lines:
        line = lines.readline(1000).rstrip("\r\n")
    if not line:
        raise ValueError(f"{file} is empty")
    for layout in LAYOUTS:
        if line == HEADER if layout.has_header else _fault(line, layout) is None:
            return layout
    raise ValueError(
        f"{file} is no file of ratings: its first line is {quoted(line)}; accepted are the header {HEADER}, "
        "and lines of user, movie, rating and timestamp between :: or tabs without a header"
    )


def scan(file: Path, layout: Layout) -> pl.LazyFrame:
    """SessionId (the user), ItemId (the movie) and Time (Unix seconds), all Int64, in the file's order.

    A field that is missing is null; ``extra`` is true where a line has more fields than four. When the frame is
    collected, Polars raises an error of its own for a field that is not a whole number.
    """
    # Polars takes a separator of one byte: between two colons it sees one more field, an empty one.
    step = len(layout.separator)
    columns = dict.fromkeys(map(str, range(4 * step + 1)), pl.String)  # up to a fifth field, one too many
    session, item, time = "0", str(step), str(3 * step)
    frame = pl.scan_csv(
        source(file),
        separator=layout.separator[0],
        has_header=False,
        skip_rows=int(layout.has_header),
        quote_char=None,
        schema=columns | dict.fromkeys((session, item, time), pl.Int64),
        missing_columns="insert",
    )
    superfluous = [name for name in columns if int(name) % step or int(name) > int(time)]
    extra = pl.any_horizontal(pl.col(superfluous).is_not_null())
    return frame.select(SessionId=session, ItemId=item, Time=time, extra=extra)


def first_fault(file: Path, layout: Layout) -> str | None:
    """File, line number (from 1 on) and fault of the first line that is no rating; None where all are. Slow."""
    with open(file, encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1 and layout.has_header:
                continue
            if fault := _fault(line.rstrip("\r\n"), layout):
                return f"{file}, line {number}: {fault}"
    return None


def _fault(line: str, layout: Layout) -> str | None:
    fields = line.split(layout.separator)
    if len(fields) != 4:
        return f"{len(fields)} field(s) instead of 4 (user, movie, rating, timestamp): {quoted(line)}"
    for name, text in zip(("user", "movie", "timestamp"), (fields[0], fields[1], fields[3])):
        if not text.isascii() or not text.isdigit():
            return f"{name} {quoted(text, 40)} is not a whole number"
        if int(text) >= 2**63:
            return f"{name} {shortened(text, 40)} does not fit in 64 bits"
    return None


HOMEPAGE = "https://grouplens.org/datasets/movielens/"
FILES = {part: f"movielens_{part}.txt" for part in SETS}
SHORTEST_HISTORY, LONGEST_HISTORY = 6, 100


@dataclass(frozen=True)
class Prepared:
    """What came of a file of ratings. ratings: their number. ratings_in: of each span, before users are dropped."""

    file: Path
    layout: Layout
    ratings: int
    spans: Spans
    chosen: str  # how the spans came about, in words
    ratings_in: Mapping[str, int]
    counts: Mapping[str, Counts]


def names(form: Format = "tsv") -> dict[str, str]:
    """The names of the prepared files, by set."""
    return {part: name if form == "tsv" else f"{Path(name).stem}.{form}" for part, name in FILES.items()}


def preprocess(
    path: Path, out: Path, dates: Spans | None = None, quantiles: Quantiles | None = None, form: Format = "tsv"
) -> Prepared:
    """Write the four files of :func:`names`, and their description, to folder ``out``.

    All appear when all are whole; on any error none does, and those of an earlier run stay.

    Args:
        path: a file of ratings or a release's folder.
        out: the folder.
        dates: the span of each set.
        quantiles: where train, dev and test begin, :func:`by_quantiles`. With neither of them, the 20M release's days
            where each set has a rating then, else :data:`QUANTILES`.
        form: of the prepared files.

    Raises:
        ValueError: for ratings that are none (file, line number, reason), for quantiles that are not accepted, and
            where a set would be empty.
        OSError: when a file cannot be read or written.
    """
    file = find(path)
    textfiles.check_line_lengths(file)
    layout = layout_of(file)
    days = days_of_users(file, layout)
    spans, chosen = (dates, "as given") if dates else choose_spans(days, quantiles)
    kept = users_to_keep(days, spans)
    events = events_of(file, layout, spans, kept)
    parts = {part: events.lazy().filter(part).select("SessionId", "ItemId", "Time") for part in SETS}
    numbers = (pl.len(), pl.col("SessionId", "ItemId").n_unique())
    counts = {part: Counts(*frame.select(*numbers).collect().row(0)) for part, frame in parts.items()}
    days_of_sets = "; ".join(f"{part}: {span}" for part, span in spans.items())
    length = f"for users with {SHORTEST_HISTORY} to {LONGEST_HISTORY} of them"
    steps = f"a session is a user's ratings in a span of days ({days_of_sets}), {length}"
    about = About("movielens", "MovieLens", HOMEPAGE, (file,), int(days["events"].sum()), 1, steps)
    writing.write(parts, counts, {part: out / name for part, name in names(form).items()}, form, about)
    ratings_in = {part: int(days.filter(spans[part].contains(pl.col("Day")))["events"].sum()) for part in SETS}
    return Prepared(file, layout, int(days["events"].sum()), spans, chosen, ratings_in, counts)


def days_of_users(file: Path, layout: Layout) -> pl.DataFrame:
    """The number of ratings of each user on each day: SessionId, Day (from 1970-01-01 on), events.

    Raises ValueError naming the first line that is no rating, or where there is none at all.
    """
    faulty = (pl.col("ItemId").is_null() | pl.col("extra")).any()
    grouped = scan(file, layout).group_by("SessionId", Day=pl.col("Time") // DAY).agg(events=pl.len(), faulty=faulty)
    try:
        days = grouped.collect(engine="streaming")
    except pl.exceptions.PolarsError as problem:
        raise ValueError(first_fault(file, layout) or f"{file}: {str(problem).splitlines()[0]}") from None
    if days["SessionId"].has_nulls() or days["Day"].has_nulls() or days["faulty"].any():
        raise ValueError(first_fault(file, layout) or f"{file}: a line of it is no rating")
    if days.is_empty():
        raise ValueError(f"{file} holds no rating")
    return days.drop("faulty")


def choose_spans(days: pl.DataFrame, quantiles: Quantiles | None) -> tuple[Spans, str]:
    """The spans by quantiles where these are given, or where a set would have no rating on the 20M release's days."""
    if quantiles is None:
        if all(days.select(span.contains(pl.col("Day")).any()).item() for span in DATES.values()):
            return DATES, "the days of the 20M release"
        quantiles = QUANTILES
        why = "not on the days of the 20M release, which leave a set without a rating"
    else:
        why = "as given"
    return by_quantiles(days, quantiles), f"by quantiles {' '.join(map(str, quantiles))} of the times, {why}"


def users_to_keep(days: pl.DataFrame, spans: Spans) -> dict[str, pl.DataFrame]:
    """Of each set, the users with a history that is neither too short nor too long: SessionId.

    Raises ValueError where there is none.
    """
    kept = {}
    for part, span in spans.items():
        histories = days.filter(span.contains(pl.col("Day"))).group_by("SessionId").agg(pl.col("events").sum())
        length = pl.col("events").is_between(SHORTEST_HISTORY, LONGEST_HISTORY)
        kept[part] = histories.filter(length).select("SessionId")
        if kept[part].is_empty():
            raise ValueError(
                f"no user has {SHORTEST_HISTORY} to {LONGEST_HISTORY} ratings in {part}, {span}: {len(histories)} have "
                "another number; give other --dates, or --quantiles"
            )
    return kept


def events_of(file: Path, layout: Layout, spans: Spans, kept: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The ratings that a set keeps, by user and time: SessionId, ItemId, Time, and for each set whether it keeps it."""
    users = pl.concat(kept.values()).unique()
    users = users.with_columns(
        pl.col("SessionId").is_in(kept[part]["SessionId"].implode()).alias(part) for part in SETS
    )
    ratings = scan(file, layout).join(users.lazy(), on="SessionId", how="inner", maintain_order="left")
    day = pl.col("Time") // DAY
    ratings = ratings.with_columns(pl.col(part) & span.contains(day) for part, span in spans.items())
    events = ratings.filter(pl.any_horizontal(SETS)).select("SessionId", "ItemId", "Time", *SETS)
    return events.collect(engine="streaming").sort("SessionId", "Time", maintain_order=True)
