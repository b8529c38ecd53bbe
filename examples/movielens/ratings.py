"""Finding and reading the ratings of any MovieLens release. One line a rating, in one of three layouts:

===============  =====================  =====================================================================
file             releases               a line
===============  =====================  =====================================================================
``u.data``       100k                   user, movie, rating, timestamp, between tabs
``ratings.dat``  1M, 10M                the same between double colons
``ratings.csv``  20M, 25M, 32M, latest  the same between commas, under the header userId,movieId,rating,timestamp
===============  =====================  =====================================================================
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

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
        f"{file} is no file of ratings: its first line is {line[:80]!r}; accepted are the header {HEADER}, "
        "and lines of user, movie, rating and timestamp between :: or tabs without a header"
    )


def scan(file: Path, layout: Layout) -> pl.LazyFrame:
    """SessionId (the user), ItemId (the movie) and Time (Unix seconds), all Int64, in the file's order.

    A field that is missing is null; ``extra`` is true where a line has more fields than four. When the frame is
    collected, Polars raises an error of its own for a field that is not a whole number.
    """
    # Polars takes a separator of one byte: between two colons it sees one more field, an empty one.
    step = len(layout.separator)
    columns = {name: pl.String for name in map(str, range(4 * step + 1))}  # up to a fifth field, one too many
    session, item, time = "0", str(step), str(3 * step)
    frame = pl.scan_csv(
        file,
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
        return f"{len(fields)} field(s) instead of 4 (user, movie, rating, timestamp): {line[:80]!r}"
    for name, text in zip(("user", "movie", "timestamp"), (fields[0], fields[1], fields[3])):
        if not text.isascii() or not text.isdigit():
            return f"{name} {text[:40]!r} is not a whole number"
        if int(text) >= 2**63:
            return f"{name} {text[:40]} does not fit in 64 bits"
    return None
