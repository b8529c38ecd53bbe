"""Files of sessions into frames: TSV, CSV or Parquet, with a session, an item and a time column, and any others.

What a text file holds is decided by all of its values. Ids are whole numbers where every one is the plain decimal of
its number, else texts: one ``07`` makes a column of texts. Only an empty field is missing, and it is refused. Times are
Unix numbers, or dates and times of ISO 8601 (``2014-04-07T10:51:09.277Z``, ``2019-11-01 00:00:00 UTC``); any other form
has to be named. Every refusal names the file and the line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from gru4rec import files, parquet, textfiles
from gru4rec.terminal import quoted

TEXT_SUFFIXES, PARQUET_SUFFIXES = (".tsv", ".txt", ".csv", ".dat"), (".parquet",)
Ids = Literal["auto", "text", "number"]
Type = pl.DataType | type[pl.DataType]

_INTEGERS = (pl.Int64, pl.UInt64)  # of ids, the first that holds them all
_ROW = "\0row"  # no name of a column that a file has
_MILLISECONDS = 1e11  # as seconds, the year 5138
# date; time of day to the minute, the second or a fraction of it; zone
_ISO = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2}(?:[.,][0-9]{1,9})?))?(Z| ?UTC|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_TIMES = "Unix numbers, or dates and times of ISO 8601 as 2014-04-07T10:51:09Z or 2014-04-07 10:51:09 UTC"


class Columns(NamedTuple):
    """Names of the three columns."""

    session: str = "SessionId"
    item: str = "ItemId"
    time: str = "Time"


@dataclass(frozen=True)
class EventFile:
    """The events of a file, in its order.

    Attributes:
        path: the file.
        columns: the names of its three columns.
        frame: the three columns under their own names: session and item ids as int64, uint64 or texts, times as
            float64, in seconds where they were dates.
        remarks: what is to be said of the times: how dates were converted, and what looks like milliseconds.
        sha256: of the file's content.
    """

    path: Path
    columns: Columns
    frame: pd.DataFrame
    remarks: tuple[str, ...]
    sha256: str

    @property
    def has_text_items(self) -> bool:
        return not pd.api.types.is_integer_dtype(self.frame[self.columns.item])

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of events, sessions and items."""
        sessions, items = (self.frame[name].nunique() for name in self.columns[:2])
        return len(self.frame), sessions, items

    def describe(self) -> str:
        events, sessions, items = self.counts
        return "; ".join((f"{self.path}: {events:,} events, {sessions:,} sessions, {items:,} items", *self.remarks))


def read(
    path: Path,
    columns: Columns = Columns(),
    ids: Ids = "auto",
    time_format: str | None = None,
    text_items: bool | None = None,
) -> EventFile:
    """Read a file by its suffix.

    Args:
        path: a text, whose separator is the one, tab, comma or semicolon, that its header uses most, or Parquet.
        columns: the names of the three columns.
        ids: whether session and item ids are texts or whole numbers; ``auto`` decides by all of a column's values.
        time_format: of times that are no ISO 8601, as ``%d/%m/%Y %H:%M``.
        text_items: whether the model's item ids are texts; None where there is no model yet.

    Raises:
        ValueError: for content that is not that of sessions, or item ids of another type than the model's.
        OSError: for a file that cannot be read.
    """
    if len(set(columns)) < 3:
        raise ValueError(f"{', '.join(columns)}: three different columns are needed")
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise ValueError(f"{path}: a file named {', '.join(TEXT_SUFFIXES + PARQUET_SUFFIXES)} is accepted")
    with path.open("rb") as file:
        is_parquet = file.read(4) == parquet.MAGIC
    if is_parquet != (suffix in PARQUET_SUFFIXES):
        raise ValueError(f"{path} {'is a' if is_parquet else 'is no'} Parquet file, unlike its name says")
    source = _ParquetSource(path, columns) if is_parquet else _TextSource(path, columns)
    if text_items and ids == "auto":
        kinds: dict[str, Ids] = {columns.session: ids, columns.item: "text"}
    else:
        kinds = dict.fromkeys(columns[:2], ids)
    arrays: dict[str, pl.Series] = {name: _ids(source, name, kind) for name, kind in kinds.items()}
    if text_items is False and arrays[columns.item].dtype == pl.String:
        row, value = next(source.bad(columns.item, ~_is_plain_number(columns.item, pl.Int64)), (0, ""))
        raise ValueError(f"{source.where(row)}: item id {quoted(value)}: the ids of this file are texts, those of the "
                         "training are whole numbers; --ids text reads both as texts")  # fmt: skip
    if text_items and arrays[columns.item].dtype != pl.String:
        raise ValueError(f"{path}: item ids are read as whole numbers, those of the training are texts")
    arrays[columns.time], remarks = _seconds(source, columns.time, time_format)
    frame = pd.DataFrame({name: arrays[name].to_numpy() for name in columns})
    return EventFile(path, columns, frame, tuple(remarks), source.sha256)


class _TextSource:
    """Columns of a text file, all of them texts."""

    def __init__(self, path: Path, columns: Columns):
        self.text = textfiles.look(path, columns)
        self.path, self.sha256 = path, self.text.sha256
        if not self.text.rows:
            raise ValueError(f"{path} holds no event")
        missing = {name: pl.col(name).is_null() | (pl.col(name) == "") for name in columns}
        found = self._collect(self.text.scan().select(each.any().alias(name) for name, each in missing.items()))
        for name in columns:
            for row, _ in self.bad(name, missing[name]) if found[name].item() else ():
                raise ValueError(f"{self.where(row)}: no value in column {name!r}")

    def column(self, name: str, dtype: Type = pl.String) -> pl.Series:
        return self._collect(self.text.scan({name: dtype}).select(name))[name]

    def first(self, name: str) -> pl.Series:
        return self._collect(self.text.scan().select(name).head(1))[name]

    def all(self, condition: pl.Expr) -> bool:
        return self._collect(self.text.scan().select(condition.all())).item()

    def bad(self, name: str, condition: pl.Expr) -> Iterator[tuple[int, str]]:
        """(row, from 0; text) of the first value of column ``name`` that fulfils the condition, where there is one."""
        rows = self.text.scan().select(name).with_row_index(_ROW).filter(condition).head(1)
        yield from ((row, value or "") for row, value in self._collect(rows).rows())

    def where(self, row: int) -> str:
        return f"{self.path}, line {row + 2}"

    def _collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect(engine="streaming")
        except pl.exceptions.PolarsError as problem:
            found = textfiles.ragged_line(self.text) or f"{self.path}: {quoted(str(problem).splitlines()[0], 200)}"
            raise ValueError(found) from None


class _ParquetSource:
    """Columns of a Parquet file."""

    def __init__(self, path: Path, columns: Columns):
        self.path, self.sha256 = path, files.sha256(path)
        self.frame = parquet.read(path, list(columns))
        if self.frame.is_empty():
            raise ValueError(f"{path} holds no event")
        for name in columns:
            values = self.frame[name]
            missing = values.is_null() | (values == "") if values.dtype == pl.String else values.is_null()
            if missing.any():
                raise ValueError(f"{self.where(missing.arg_max() or 0)}: no value in column {name!r}")

    def column(self, name: str, dtype: Type | None = None) -> pl.Series:
        values = self.frame[name]
        return values if dtype is None else values.cast(dtype)

    def first(self, name: str) -> pl.Series:
        return self.frame[name].head(1)

    def all(self, condition: pl.Expr) -> bool:
        return self._collect(self.frame.lazy().select(condition.all())).item()

    def bad(self, name: str, condition: pl.Expr) -> Iterator[tuple[int, str]]:
        """(row, from 0; text) of the first value of column ``name`` that fulfils the condition, where there is one."""
        rows = self.frame.lazy().select(name).with_row_index(_ROW).filter(condition).head(1)
        yield from ((row, str(value)) for row, value in self._collect(rows).rows())

    def _collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect()
        except pl.exceptions.PolarsError as problem:
            raise ValueError(f"{self.path}: {quoted(str(problem).splitlines()[0], 200)}") from None

    def where(self, row: int) -> str:
        return f"{self.path}, row {row + 1}"


Source = _TextSource | _ParquetSource


def _is_plain_number(name: str, dtype: Type) -> pl.Expr:
    """Whether a text is the plain decimal of a number: no sign but a minus, no zero before it, no blank."""
    return (pl.col(name).cast(dtype, strict=False).cast(pl.String) == pl.col(name)).fill_null(False)


def _ids(source: Source, name: str, kind: Ids) -> pl.Series:
    values = source.column(name) if isinstance(source, _ParquetSource) else None
    if values is not None and values.dtype.is_integer():
        numbers = values.cast(pl.UInt64 if values.dtype == pl.UInt64 else pl.Int64)
        if values.dtype == pl.UInt64 and (numbers <= np.iinfo(np.int64).max).all():
            numbers = numbers.cast(pl.Int64)
        return numbers.cast(pl.String) if kind == "text" else numbers
    if values is not None and values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise ValueError(f"{source.path}: column {name!r} holds {values.dtype}: whole numbers or texts are accepted")
    if values is not None and kind != "number":
        return values.cast(pl.String)
    if kind == "text":
        return source.column(name)
    for dtype in _INTEGERS:
        is_number = pl.col(name).cast(dtype, strict=False).is_not_null()
        if source.all(is_number if kind == "number" else _is_plain_number(name, dtype)):
            return source.column(name, dtype)
    if kind == "number":
        is_number = pl.any_horizontal(*(pl.col(name).cast(dtype, strict=False).is_not_null() for dtype in _INTEGERS))
        row, value = next(source.bad(name, ~is_number), (None, ""))
        if row is None:
            raise ValueError(f"{source.path}: column {name!r} holds ids below 0 and above 2^63; --ids text takes both")
        raise ValueError(f"{source.where(row)}: {name}={quoted(value)}: with --ids number a whole number is needed")
    return source.column(name)


def _seconds(source: Source, name: str, time_format: str | None) -> tuple[pl.Series, list[str]]:
    """(times as float64, remarks)."""
    values = source.column(name) if isinstance(source, _ParquetSource) else None
    if values is not None and values.dtype in (pl.Datetime, pl.Date):
        return _epoch(values), [f"dates of column {name} as seconds since 1970, UTC"]
    if values is not None and not (values.dtype.is_numeric() or values.dtype == pl.String):
        raise ValueError(f"{source.path}: column {name!r} holds {values.dtype}: numbers or dates are accepted")
    is_text = values is None or values.dtype == pl.String
    if is_text and time_format is not None:
        return _dates(source, name, lambda: _to_utc(pl.col(name), time_format), f"of the form {time_format!r}")
    number = pl.col(name).cast(pl.Float64, strict=False)
    if is_text:
        first = source.first(name)
        if first.str.contains(_ISO).item():
            return _dates(source, name, lambda: _iso(pl.col(name)), "ISO 8601")
        for row, value in source.bad(name, number.is_null()):
            raise ValueError(f"{source.where(row)}: {_no_time(name, value)}")
    for row, value in source.bad(name, ~number.is_finite()):
        raise ValueError(f"{source.where(row)}: {name}={quoted(value)}: a finite number is needed")
    times = source.column(name, pl.Float64)
    if times.min() > _MILLISECONDS:  # type: ignore[operator]
        return times, [f"times of column {name} look like milliseconds, and are taken as the seconds they stand for"]
    return times, []


def _no_time(name: str, value: str) -> str:
    return f"{name}={quoted(value)}: {_TIMES} are accepted; --time-format names any other form"


def _dates(source: Source, name: str, dates: Callable[[], pl.Expr], form: str) -> tuple[pl.Series, list[str]]:
    for row, value in source.bad(name, dates().is_null()):
        accepted = _no_time(name, value) if form == "ISO 8601" else f"{name}={quoted(value)} is not {form}"
        raise ValueError(f"{source.where(row)}: {accepted}")
    times = source.column(name).to_frame().select(dates())[name]
    return _epoch(times), [f"{form} times of column {name} as seconds since 1970, UTC"]


def _iso(text: pl.Expr) -> pl.Expr:
    """UTC datetimes of texts of :data:`_ISO`, null for any other. Without a zone they are UTC."""
    date, minute, second, zone = (text.str.extract(_ISO, group) for group in (1, 2, 3, 4))
    clock = pl.concat_str(minute.fill_null("00:00"), pl.lit(":"), second.fill_null("00").str.replace(",", "."))
    offset = pl.when(zone.str.contains(r"[0-9]")).then(zone.str.replace(":", "")).otherwise(pl.lit("+0000"))
    whole = pl.concat_str(date, pl.lit("T"), clock, offset)
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False).alias(text.meta.output_name())


def _to_utc(text: pl.Expr, form: str) -> pl.Expr:
    """UTC datetimes of texts of a form as ``strftime`` writes them, null for any other."""
    has_clock = any(mark in form for mark in ("%H", "%I", "%T", "%R", "%s", "%X", "%c"))
    if not has_clock:
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(form, time_unit="us", strict=False)


def _epoch(dates: pl.Series) -> pl.Series:
    return dates.cast(pl.Datetime("us")).dt.epoch("us") / 1e6


def check_predictable(test: EventFile, items: pd.Index | np.ndarray) -> None:
    """Raise ValueError unless a session of ``test`` has two events of ``items``, those that a model knows."""
    known = test.frame[test.frame[test.columns.item].isin(items)]
    if not known[test.columns.session].duplicated().any():
        raise ValueError(
            f"{test.path}: no session has two events of items of the training data, so there is nothing to predict"
        )
