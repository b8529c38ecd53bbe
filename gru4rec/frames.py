"""Files of sessions into frames: TSV, CSV or Parquet, with a session, an item and a time column, and any others.

What a text file holds is decided by all of its values. Ids are whole numbers where every one is the plain decimal of
its number, else texts: one ``07`` makes a column of texts. A missing id is refused: an empty field, and what stands for
one, as ``NA`` or ``null``, unless the ids are said to be texts. Times: :mod:`gru4rec.times`. Every refusal names the
file and the line.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from gru4rec import parquet, times
from gru4rec.sources import ParquetSource, Source, TextSource, Type
from gru4rec.terminal import quoted

TEXT_SUFFIXES, PARQUET_SUFFIXES = (".tsv", ".txt", ".csv", ".dat"), (".parquet",)
Ids = Literal["auto", "text", "number"]

_INTEGERS = (pl.Int64, pl.UInt64)  # of ids, the first that holds them all
# in lower case: what programs write where there is no value
_NO_VALUE = ("na", "n/a", "#n/a", "#na", "<na>", "null", "none", "nan", "-nan", "nat", "nil", "undefined", "\\n")


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

    @property
    def items(self) -> np.ndarray:
        """Every item id, once."""
        return self.frame[self.columns.item].unique()

    def data_for(self, spec: Any) -> pd.DataFrame:
        """What an engine trains on."""
        return self.frame

    def describe(self) -> str:
        events, sessions, items = self.counts
        return "; ".join((f"{self.path}: {events:,} events, {sessions:,} sessions, {items:,} items", *self.remarks))


def read(
    path: Path,
    columns: Columns = Columns(),
    ids: Ids = "auto",
    time_format: str | None = None,
    text_items: bool | None = None,
    any_unit: bool = False,
) -> EventFile:
    """Read a file by its suffix.

    Args:
        path: a text, whose separator is the one, tab, comma or semicolon, that its header uses most, or Parquet.
        columns: the names of the three columns.
        ids: whether session and item ids are texts or whole numbers; ``auto`` decides by all of a column's values.
        time_format: of times that are no ISO 8601, as ``%d/%m/%Y %H:%M``; or the unit of Unix numbers, s, ms, us or ns.
        text_items: whether the model's item ids are texts; None where there is no model yet.
        any_unit: take numbers as they are, be they of two units or like dates, as one who looks into a file does.

    Raises:
        ValueError: for content that is not that of sessions, or item ids of another type than the model's.
        OSError: for a file that cannot be read.
    """
    if len(set(columns)) < 3:
        raise ValueError(f"{', '.join(columns)}: three different columns are needed")
    times.check_format(time_format)
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise ValueError(f"{path}: a file named {', '.join(TEXT_SUFFIXES + PARQUET_SUFFIXES)} is accepted")
    with path.open("rb") as file:
        is_parquet = file.read(4) == parquet.MAGIC
    if is_parquet != (suffix in PARQUET_SUFFIXES):
        raise ValueError(f"{path} {'is a' if is_parquet else 'is no'} Parquet file, unlike its name says")
    source = ParquetSource(path, columns) if is_parquet else TextSource(path, columns)
    if text_items and ids == "auto":
        kinds: dict[str, Ids] = {columns.session: ids, columns.item: "text"}
    else:
        kinds = dict.fromkeys(columns[:2], ids)
    if ids == "auto":
        _refuse_missing(source, columns[:2])
    arrays: dict[str, pl.Series] = {name: _ids(source, name, kind) for name, kind in kinds.items()}
    if text_items is False and arrays[columns.item].dtype == pl.String:
        row, value = next(source.bad(columns.item, ~_is_plain_number(columns.item, pl.Int64)), (0, ""))
        raise ValueError(f"{source.where(row)}: item id {quoted(value)}: the ids of this file are texts, those of the "
                         "training are whole numbers; --ids text reads both as texts")  # fmt: skip
    if text_items and arrays[columns.item].dtype != pl.String:
        raise ValueError(f"{path}: item ids are read as whole numbers, those of the training are texts")
    arrays[columns.time], remarks = times.seconds(source, columns.time, time_format, any_unit)
    frame = pd.DataFrame({name: arrays[name].to_numpy() for name in columns})
    return EventFile(path, columns, frame, tuple(remarks), source.sha256)


def _refuse_missing(source: Source, names: tuple[str, ...]) -> None:
    """Raise ValueError for an id that is written as programs write a missing value."""
    for name in names:
        if isinstance(source, ParquetSource) and source.column(name).dtype not in (pl.String, pl.Categorical, pl.Enum):
            continue
        stands = pl.col(name).cast(pl.String).str.to_lowercase().is_in(_NO_VALUE)
        for row, value in source.bad(name, stands) if not source.all(~stands) else ():
            said = f"{name}={quoted(value)} stands for no value"
            raise ValueError(f"{source.where(row)}: {said}; --ids text takes it for an id")


def _is_plain_number(name: str, dtype: Type) -> pl.Expr:
    """Whether a text is the plain decimal of a number: no sign but a minus, no zero before it, no blank."""
    return (pl.col(name).cast(dtype, strict=False).cast(pl.String) == pl.col(name)).fill_null(False)


def _ids(source: Source, name: str, kind: Ids) -> pl.Series:
    values = source.column(name) if isinstance(source, ParquetSource) else None
    if values is not None and values.dtype.is_integer():
        if kind == "text":
            return values.cast(pl.String)
        for dtype in _INTEGERS:
            numbers = values.cast(dtype, strict=False)
            if not numbers.has_nulls():
                return numbers
        raise ValueError(f"{source.path}: column {name!r} holds ids that 64 bits cannot; --ids text takes them")
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


def check_predictable(test: EventFile, items: pd.Index | np.ndarray) -> None:
    """Raise ValueError unless a session of ``test`` has two events of ``items``, those that a model knows."""
    known = test.frame[test.frame[test.columns.item].isin(items)]
    if not known[test.columns.session].duplicated().any():
        raise ValueError(
            f"{test.path}: no session has two events of items of the training data, so there is nothing to predict"
        )
