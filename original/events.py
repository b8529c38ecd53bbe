"""A frame of events, read once, at the door: below it nothing knows of frames or column names.

Frames of pandas and Polars are read by their three columns alone: index, order and type of a frame, further columns,
categories, nullable and Arrow types do not matter, and the caller's frame is never changed.
"""

import hashlib
import sys
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Columns(NamedTuple):
    """Names of a frame's columns."""

    session: str
    item: str
    time: str


class Table(NamedTuple):
    """The three columns of a frame as checked arrays, a row an event, in the frame's order.

    Attributes:
        session: ids of one type that can be sorted.
        item: whole numbers, as integers or floats, or texts.
        time: finite numbers or datetimes.
    """

    session: pd.Index
    item: pd.Index
    time: np.ndarray


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a frame, sorted by (session, time), events of equal times as the frame has them.

    Sessions are numbered by ascending session id; session s holds the events offsets[s]:offsets[s+1].

    Attributes:
        items: (E,) int32, item indices.
        offsets: (S+1,) int64.
        times: (E,), numbers or datetimes.
        session_ids: (S,).
        item_ids: (n,), the ids that the indices stand for.
        support: (n,) int64, events of each item.
    """

    items: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    session_ids: pd.Index
    item_ids: pd.Index
    support: np.ndarray

    @classmethod
    def of_arrays(
        cls, items: np.ndarray, offsets: np.ndarray, times: np.ndarray, session_ids: np.ndarray, item_ids: np.ndarray,
        support: np.ndarray,
    ) -> "Events":  # fmt: skip
        """Events that were read, sorted and numbered before; the arrays, mapped or not, stay as they are."""
        return cls(items, offsets, times, pd.Index(session_ids), pd.Index(item_ids), support)

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self.offsets) - 1

    @property
    def n_steps(self) -> int:
        """How many events follow another one in their session: what an epoch trains on."""
        return len(self.items) - len(self)

    @cached_property
    def by_time(self) -> np.ndarray:
        """(S,) the sessions by their first timestamp, those of one timestamp by id."""
        return np.argsort(self.times[self.offsets[:-1]], kind="stable")

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each thing that a training depends on; :meth:`difference` compares them."""
        known = self.support > 0
        return {
            "items": _sha256(_bytes_of(self.item_ids[known]), np.flatnonzero(known)),
            "sessions": _sha256(self.offsets),
            "supports": _sha256(self.support),
            "order": _sha256(self.items),
            "times": _sha256(self.by_time),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it: item ids in index order, item indices, offsets and the sessions' order."""
        return hashlib.sha256("".join(self.digests.values()).encode()).hexdigest()

    def difference(self, digests: dict[str, str], times_matter: bool) -> str | None:
        """What is not as in the events that ``digests`` are of, in words; None where all is."""
        for name, words in _WORDS.items():
            if digests.get(name) != self.digests[name] and (times_matter or name != "times"):
                return words
        return None


_WORDS = {
    "items": "the items",
    "sessions": "the sessions",
    "supports": "the items",
    "order": "the order of the events",
    "times": "the order of the events",  # of the sessions' first events
}


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).view(np.uint8).data)
    return digest.hexdigest()


def _bytes_of(ids: pd.Index) -> np.ndarray:
    """Ids as bytes, numbers of any type alike."""
    return np.frombuffer("\x00".join(map(str, ids.tolist())).encode("utf-8", "surrogatepass"), np.uint8)


def read(
    frame: Any, columns: Columns, itemidmap: pd.Series | None = None, what: str = "data", grow: bool = False
) -> Events:
    """The events of a frame.

    Args:
        frame: a pandas or Polars DataFrame, or events that were read before.
        columns: its columns.
        itemidmap: the items known already, id -> index; None makes the map of the frame's own items.
        what: the frame's name in errors.
        grow: whether items that are not known are appended to the map, in order of first appearance.

    Raises:
        TypeError: for what is no frame.
        ValueError: for a frame that cannot be read, which names column and reason; for unknown items.
    """
    if isinstance(frame, Events):
        if itemidmap is not None and not itemidmap.index.equals(frame.item_ids):
            raise ValueError(f"{what}: the items of these events are numbered otherwise than the model's")
        return frame
    table = read_table(frame, columns, what)
    if itemidmap is None:
        ids = table.item.unique()
    else:
        label = f"{what}: column {columns.item!r}"
        check_same_kind(table.item, itemidmap.index, label)
        table = table._replace(item=in_type_of(itemidmap.index, table.item, label))
        ids = itemidmap.index
        if grow:
            ids = ids.append(table.item.unique().difference(ids, sort=False))
    items = item_indices(id_map(ids, columns.item), table.item)
    codes, session_ids = factorize(table.session, what, columns.session)
    order = np.lexsort((table.time, codes))
    lengths = np.bincount(codes)
    return Events(
        items[order],
        np.r_[0, lengths.cumsum()],
        table.time[order],
        session_ids,
        ids,
        np.bincount(items, minlength=len(ids)),
    )


def item_map(frame: Any, columns: Columns) -> pd.Series:
    """Item ids of a frame in order of first appearance -> 0..n-1."""
    return id_map(read_table(frame, columns).item.unique(), columns.item)


def id_map(ids: pd.Index, name: Any) -> pd.Series:
    """Item ids -> 0..n-1."""
    return pd.Series(np.arange(len(ids)), index=ids.rename(name), name="ItemIdx")


def item_indices(itemidmap: pd.Series, ids: Any, what: str = "data") -> np.ndarray:
    """Indices (len(ids),) int32 of item ids. Raises ValueError naming the first that the model does not know."""
    ids = ids if isinstance(ids, pd.Index) else pd.Index(ids)
    indices = itemidmap.index.get_indexer(ids)
    if (indices < 0).any():
        unknown = ids.tolist()[int((indices < 0).argmax())]
        raise ValueError(f"{what}: item {unknown!r} is not among the {len(itemidmap)} items of the model")
    return indices.astype(np.int32)


def check_indices(name: str, indices: Any, n_items: int) -> np.ndarray:
    """Item indices given by a user, (indices,) int32. Raises ValueError for what is none."""
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(f"{name} has shape {indices.shape} and type {indices.dtype}: a vector of integers is accepted")
    if not len(indices):
        raise ValueError(f"{name} is empty: one or more item indices are accepted")
    if not (indices.min() >= 0 and indices.max() < n_items):
        raise ValueError(f"{name} names item index {indices.min()}..{indices.max()}: 0..{n_items - 1} are accepted")
    return np.ascontiguousarray(indices, np.int32)


def factorize(ids: pd.Index, what: str, column: str) -> tuple[np.ndarray, pd.Index]:
    """Ids as codes in ascending order of the ids, and the id of each code."""
    try:
        codes, values = pd.factorize(ids, sort=True)
    except TypeError as problem:
        words = f"{what}: column {column!r} cannot be sorted ({problem}); ids with an order are accepted"
        raise ValueError(words) from None
    return codes, pd.Index(values)


def check_same_kind(ids: pd.Index, known: pd.Index, what: str) -> None:
    """Raise ValueError where ids are texts and the model's are numbers, or the other way round."""
    given, wanted = (_kind(index) for index in (ids, known))
    if len(ids) and given != wanted:
        raise ValueError(f"{what} holds {given}, but the model's items are {wanted}")


def in_type_of(known: pd.Index, ids: pd.Index, what: str) -> pd.Index:
    """``ids`` in the type of ``known``: pandas compares numbers of two types as floats, which merges large ids.

    Raises:
        ValueError: an id that this type does not hold exactly.
    """
    if ids.dtype == known.dtype or ids.dtype.kind not in "iuf" or known.dtype.kind not in "iuf":
        return ids
    values = ids.to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(known.to_numpy().dtype)
    lost = [value for value, other in zip(values.tolist(), cast.tolist()) if value != other]
    if lost:
        raise ValueError(f"{what} holds {lost[0]!r}, which {known.dtype}, the type of the model's items, does not hold")
    return pd.Index(cast, name=ids.name)


def _kind(ids: pd.Index) -> str:
    return "numbers" if ids.dtype.kind in "iuf" else "texts"


# Reading a frame's columns.


def read_table(frame: Any, columns: Columns, what: str = "data") -> Table:
    """The three columns of a frame, checked; see :func:`read` for the errors."""
    _check_frame(frame, columns, what)
    present = {key: _values(frame, key, what) for key in columns}
    return Table(
        pd.Index(_one_type(present[columns.session], columns.session, what)),
        pd.Index(_ids(present[columns.item], columns.item, what)),
        _times(present[columns.time], columns.time, what),
    )


def _check_frame(frame: Any, columns: Columns, what: str) -> None:
    polars = sys.modules.get("polars")
    if not isinstance(frame, pd.DataFrame) and not (polars and isinstance(frame, polars.DataFrame)):
        raise TypeError(f"{what} is a {type(frame).__name__}; a pandas or Polars DataFrame is accepted")
    names = list(frame.columns)
    for key in columns:
        if key not in names:
            raise ValueError(f"{what}: no column {key!r}; its columns are {', '.join(map(repr, names))}")
        if names.count(key) > 1:
            raise ValueError(f"{what}: {names.count(key)} columns are named {key!r}; one is accepted")
    if len(frame) == 0:
        raise ValueError(f"{what}: no events; a frame with at least one event is accepted")


def _values(frame: Any, key: str, what: str) -> np.ndarray:
    """A column as a NumPy array without missing values."""
    series = frame[key]
    missing = np.asarray(pd.isna(series) if isinstance(series, pd.Series) else series.is_null())
    if not missing.any():
        values = _pandas_values(series) if isinstance(series, pd.Series) else _polars_values(series)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        missing = np.asarray(pd.isna(values))
    if missing.any():
        raise ValueError(
            f"{what}: column {key!r} has no value in {missing.sum()} rows, "
            f"the first is row {int(missing.argmax())} (from 0)"
        )
    return values


def _pandas_values(series: pd.Series) -> np.ndarray:
    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _pandas_values(pd.Series(kind.categories)).take(series.cat.codes)
    if isinstance(kind, pd.DatetimeTZDtype):
        return series.dt.tz_convert(None).to_numpy()
    if pd.api.types.is_extension_array_dtype(kind):
        numpy_type = getattr(kind, "numpy_dtype", np.dtype(object))
        if numpy_type.kind in "iufb":
            return series.to_numpy(numpy_type)
        if numpy_type.kind == "M":
            return pd.to_datetime(series.astype(object), utc=True).dt.tz_convert(None).to_numpy()
        return series.to_numpy(object)
    return series.to_numpy()


def _polars_values(series: Any) -> np.ndarray:
    if series.dtype.is_numeric() and not series.dtype.is_decimal():
        return series.to_numpy()
    if series.dtype.is_temporal():
        if getattr(series.dtype, "time_zone", None):
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return series.to_numpy()
    values = np.empty(len(series), object)
    values[:] = series.to_list()
    return values


def _type_names(values: np.ndarray) -> str:
    """The types in an object array, or the array's own type, in words."""
    if values.dtype != object:
        return {"b": "bool", "c": "complex"}.get(values.dtype.kind, str(values.dtype))
    names = sorted({type(value).__name__ for value in values})
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _plain(values: np.ndarray) -> np.ndarray:
    """Objects of one type as an array of that type; others as they are."""
    if values.dtype != object:
        return values
    kind = pd.api.types.infer_dtype(values, skipna=False)
    try:
        if kind == "integer":
            return pd.Index(values.tolist()).to_numpy()
        if kind == "floating":
            return values.astype(np.float64)
        if kind == "boolean":
            return values.astype(bool)
    except (OverflowError, ValueError, TypeError):
        pass
    return values


def _is_text(values: np.ndarray) -> bool:
    return values.dtype == object and pd.api.types.infer_dtype(values, skipna=False) == "string"


def _check_texts(values: np.ndarray, key: str, what: str) -> None:
    """Raise ValueError for texts that pandas, which looks no further than a NUL, would take for one."""
    if _is_text(values) and "\0" in "".join(values):
        raise ValueError(f"{what}: column {key!r} holds texts with a NUL; texts without are accepted")


def _ids(values: np.ndarray, key: str, what: str) -> np.ndarray:
    """Item ids that a model file can hold: integers, floats of whole values, texts."""
    values = _plain(values)
    _check_texts(values, key, what)
    if values.dtype.kind in "iu" or _is_text(values):
        return values
    holds = _type_names(values)
    if values.dtype.kind == "f":
        if np.isfinite(values).all() and (values == np.floor(values)).all():
            return values.astype(np.float64) if values.dtype.itemsize > 8 else values
        holds = "numbers that are not whole"
    raise ValueError(f"{what}: column {key!r} holds {holds}; whole numbers or texts are accepted")


def _one_type(values: np.ndarray, key: str, what: str) -> np.ndarray:
    """Session ids: of any one type."""
    values = _plain(values)
    _check_texts(values, key, what)
    if values.dtype == object and not _is_text(values) and len({type(value) for value in values}) > 1:
        raise ValueError(f"{what}: column {key!r} holds {_type_names(values)}; ids of one type are accepted")
    return values


def _times(values: np.ndarray, key: str, what: str) -> np.ndarray:
    """Times as an array of numbers, datetimes or durations."""
    values = _plain(values)
    if _is_text(values):
        raise ValueError(f"{what}: column {key!r} holds texts; numbers or datetimes are accepted")
    if values.dtype == object:
        kind = pd.api.types.infer_dtype(values, skipna=False)
        if kind in ("datetime", "datetime64", "date"):
            values = pd.to_datetime(pd.Series(values), utc=True).dt.tz_convert(None).to_numpy()
        elif all(isinstance(value, (int, float, Decimal, np.number)) for value in values):
            values = values.astype(np.float64)
    if values.dtype.kind not in "iufmM":
        raise ValueError(f"{what}: column {key!r} holds {_type_names(values)}; numbers or datetimes are accepted")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = ~np.isfinite(values)
        raise ValueError(
            f"{what}: column {key!r} is infinite in {bad.sum()} rows, the first is row {int(bad.argmax())} (from 0); "
            f"finite numbers or datetimes are accepted"
        )
    return values
