"""Files of sessions: tab separated, a header, and one line an event."""

from pathlib import Path
from typing import NamedTuple

import polars as pl


class Columns(NamedTuple):
    """Names of the three columns of a sessions file."""

    session: str = "SessionId"
    item: str = "ItemId"
    time: str = "Time"


class Counts(NamedTuple):
    """What a set of sessions holds. None for a number that is not known, as in published counts."""

    events: int
    sessions: int
    items: int | None

    def agree(self, published: "Counts") -> bool:
        return all(theirs is None or ours == theirs for ours, theirs in zip(self, published))


def count(sessions: pl.DataFrame, columns: Columns = Columns()) -> Counts:
    return Counts(len(sessions), sessions[columns.session].n_unique(), sessions[columns.item].n_unique())


def read_sessions(path: Path, columns: Columns = Columns()) -> pl.DataFrame:
    """The three columns of a tab-separated file with a header, in the file's order. The time is in seconds, Float64.

    Raises OSError when the file cannot be read, ValueError when its content is not that of sessions.
    """
    try:
        frame = pl.scan_csv(path, separator="\t", quote_char=None, infer_schema_length=None)
        present = frame.collect_schema().names()
        for column in columns:
            if column not in present:
                raise ValueError(f"{path} has no column {column!r}; its columns are {', '.join(present)}")
        sessions = frame.select(columns).collect()
    except pl.exceptions.NoDataError:
        raise ValueError(f"{path} is empty") from None
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    if sessions.is_empty():
        raise ValueError(f"{path} holds no event")
    for column in columns:
        if nulls := sessions[column].null_count():
            raise ValueError(f"{path}: {nulls} value(s) missing in column {column!r}")
    if not sessions.schema[columns.time].is_numeric():
        raise ValueError(f"{path}: column {columns.time!r} must hold numbers, seconds since 1970")
    return sessions.with_columns(pl.col(columns.time).cast(pl.Float64))
