"""Files of sessions: TSV, CSV or Parquet, with a session, an item and a time column; any other column is ignored."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import polars as pl

TEXT_SUFFIXES, PARQUET_SUFFIXES = (".tsv", ".txt", ".csv"), (".parquet",)
_SEPARATORS = ("\t", ",")
_PARQUET_START = b"PAR1"


class Columns(NamedTuple):
    """Names of the three columns."""

    session: str = "SessionId"
    item: str = "ItemId"
    time: str = "Time"


@dataclass(frozen=True)
class Events:
    """The events of a file, in its order.

    frame: the three columns under their own names: session and item ids as int64 or as texts, times as float64, in
    seconds where they were dates. remark: how times that are no numbers were converted, else empty.
    """

    path: Path
    columns: Columns
    frame: pd.DataFrame
    remark: str

    @property
    def has_text_items(self) -> bool:
        return not pd.api.types.is_integer_dtype(self.frame[self.columns.item])

    def describe(self) -> str:
        sessions, items = (self.frame[name].nunique() for name in self.columns[:2])
        counts = f"{self.path}: {len(self.frame):,} events, {sessions:,} sessions, {items:,} items"
        return f"{counts}; {self.remark}" if self.remark else counts


def read(path: Path, columns: Columns = Columns(), text_items: bool = False) -> Events:
    """Read a file by its suffix. text_items: take item ids as texts, even where all of them look like numbers.

    The separator of a text file is the one, tab or comma, that its header uses. Raises OSError for a file that cannot
    be read, ValueError for one whose content does not fit its suffix, or is not that of sessions.
    """
    try:
        frame = _scan(path, columns, text_items).select(columns).collect()
        if frame.is_empty():
            raise ValueError(f"{path} holds no event")
        for name in columns:
            if missing := frame[name].null_count():
                raise ValueError(f"{path}: {missing} value(s) missing in column {name!r}")
        ids = {name: _ids(frame[name], path) for name in columns[:2]}
        if text_items:
            ids[columns.item] = ids[columns.item].cast(pl.String)
        times, remark = _seconds(frame[columns.time], path)
    except pl.exceptions.PolarsError as problem:
        raise ValueError(f"{path}: {str(problem).splitlines()[0]}") from None
    arrays = {name: values.to_numpy() for name, values in {**ids, columns.time: times}.items()}
    return Events(path, columns, pd.DataFrame(arrays), remark)


def _scan(path: Path, columns: Columns, text_items: bool) -> pl.LazyFrame:
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise ValueError(f"{path}: a file named {', '.join(TEXT_SUFFIXES + PARQUET_SUFFIXES)} is accepted")
    with path.open("rb") as file:
        header = file.readline()
    is_parquet = header.startswith(_PARQUET_START)
    if is_parquet != (suffix in PARQUET_SUFFIXES):
        raise ValueError(f"{path} {'is a' if is_parquet else 'is no'} Parquet file, unlike its name says")
    if is_parquet:
        frame = pl.scan_parquet(path)
        _check_columns(path, columns, frame.collect_schema().names())
        return frame
    try:
        text = header.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8") from None
    separator = max(_SEPARATORS, key=text.count)
    _check_columns(path, columns, [cell.strip('"') for cell in text.split(separator)])
    types = {columns.item: pl.String} if text_items else {}
    return pl.scan_csv(path, separator=separator, infer_schema_length=None, schema_overrides=types)


def _check_columns(path: Path, columns: Columns, present: list[str]) -> None:
    for name in columns:
        if name not in present:
            raise ValueError(f"{path} has no column {name!r}; its columns are {', '.join(present)}")


def _ids(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype.is_integer():
        return values.cast(pl.Int64)
    if values.dtype in (pl.String, pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    raise ValueError(f"{path}: column {values.name!r} holds {values.dtype}: whole numbers or texts are accepted")


def _seconds(values: pl.Series, path: Path) -> tuple[pl.Series, str]:
    """(times as float64, remark)."""
    if values.dtype.is_numeric():
        times = values.cast(pl.Float64)
        if not times.is_finite().all():
            raise ValueError(f"{path}: column {values.name!r} holds a time that is not a finite number")
        return times, ""
    if values.dtype == pl.String:
        try:
            dates = values.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        except pl.exceptions.ComputeError:  # no form of date fits the first value
            dates = pl.repeat(None, len(values), dtype=pl.Datetime("us"), eager=True)
        if dates.null_count():
            wrong = values.filter(dates.is_null())[0]
            raise ValueError(f"{path}: {values.name}={wrong!r}: a number or an ISO 8601 date and time is accepted")
        return _epoch(dates), f"ISO 8601 times of column {values.name} as seconds since 1970, UTC"
    if values.dtype in (pl.Datetime, pl.Date):
        return _epoch(values), f"dates of column {values.name} as seconds since 1970, UTC"
    raise ValueError(f"{path}: column {values.name!r} holds {values.dtype}: numbers or dates are accepted")


def _epoch(dates: pl.Series) -> pl.Series:
    return dates.cast(pl.Datetime("us")).dt.epoch("us") / 1e6


def check_predictable(test: Events, items: pd.Index) -> None:
    """Raise ValueError unless a session of ``test`` has two events of ``items``, those that a model knows."""
    known = test.frame[test.frame[test.columns.item].isin(items)]
    if not known[test.columns.session].duplicated().any():
        raise ValueError(
            f"{test.path}: no session has two events of items of the training data, so there is nothing to predict"
        )
