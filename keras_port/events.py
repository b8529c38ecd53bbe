"""Events: a frame read once, at the door, into arrays. No column name and no frame travels further."""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from keras_port import item_ids
from keras_port.settings import Settings

_SESSIONS = 2**16  # that are hashed at a time


class Columns(NamedTuple):
    """The names of the three columns of a frame; any other column is ignored."""

    session: str
    item: str
    time: str

    @classmethod
    def of(cls, settings: Settings) -> "Columns":
        """The columns that the settings name."""
        return cls(settings.session_key, settings.item_key, settings.time_key)


class Fingerprint(NamedTuple):
    """SHA-256 digests of what a training depends on in its data."""

    items: str  # the item ids and their supports, whatever their order
    sessions: str  # which items are in which session, whatever their order
    order: str  # of events within sessions, of sessions, of the items' first appearances
    times: str  # empty where only the order of the times matters

    def as_array(self) -> np.ndarray:
        """The digests as bytes, for a file."""
        return np.frombuffer(json.dumps(self).encode(), np.uint8)

    @classmethod
    def read(cls, array: np.ndarray) -> "Fingerprint":
        """The digests of :meth:`as_array`. Raises ValueError for anything else."""
        found = json.loads(np.asarray(array).tobytes())
        if not isinstance(found, list) or len(found) != 4 or not all(isinstance(part, str) for part in found):
            raise ValueError("fingerprint: four digests are accepted")
        return cls(*found)


@dataclass(frozen=True, eq=False)
class Events:
    """Events sorted by session, then time. E events of S sessions, n items.

    items: (E,) int32, the item index of each event. offsets: (S + 1,) the first event of each session, sessions by
    ascending id. times: (E,) numbers or datetime64. session_ids: (S,). item_ids: (n,) ids in index order. support:
    (n,) events of each item. read_as: the events as their frame alone numbers the items, where a model's numbers are
    others.
    """

    items: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    session_ids: np.ndarray
    item_ids: np.ndarray
    support: np.ndarray
    read_as: "Events | None" = None
    _digests: dict[tuple[bool, bool], Fingerprint] = field(default_factory=dict, repr=False)

    @classmethod
    def of_arrays(
        cls, items: np.ndarray, offsets: np.ndarray, times: np.ndarray, session_ids: np.ndarray, item_ids: np.ndarray,
        support: np.ndarray,
    ) -> "Events":  # fmt: skip
        """Events that were read, sorted and numbered before; the arrays, mapped or not, stay as they are."""
        return cls(items, offsets, times, session_ids, item_ids, support)

    @property
    def first_times(self) -> np.ndarray:
        """(S,) smallest time of each session."""
        return self.times[self.offsets[:-1]]

    def numbered(self, known: np.ndarray, columns: Columns) -> "Events":
        """The same events with the indices of the ids ``known``, to which unseen ids are appended in their order.

        Raises:
            ValueError: the ids are numbers and the known ones texts, or the other way round.
        """
        index = pd.Index(known)
        item_ids.check_same_type(self.item_ids, index, f"data: column {columns.item!r}")
        places = np.array(item_ids.find(index, self.item_ids))
        new = places < 0
        places[new] = len(known) + np.arange(new.sum())
        ids = item_ids.joined(known, self.item_ids[new])
        support = np.zeros(len(ids), np.int64)
        support[places] = self.support
        items = places.astype(np.int32)[self.items]
        return replace(self, items=items, item_ids=ids, support=support, read_as=self.read_as or self, _digests={})

    @property
    def fingerprint(self) -> str:
        """SHA-256 over items, sessions and order, the order of the sessions by time included."""
        return hashlib.sha256("".join(self._digested(True, False)).encode()).hexdigest()

    def digests(self, settings: Settings) -> Fingerprint:
        """What has to be the same for a training of these settings to go on as it would have."""
        return self._digested(settings.time_sort and not settings.train_random_order, settings.reads_times)

    def _digested(self, by_time: bool, with_times: bool) -> Fingerprint:
        """The digests, computed once."""
        key = by_time, with_times
        if key not in self._digests:
            self._digests[key] = self._digest_all(*key)
        return self._digests[key]

    def _digest_all(self, by_time: bool, with_times: bool) -> Fingerprint:
        read = self.read_as or self
        rank = item_ids.factorized(read.item_ids, sort=True)[0]
        support = np.zeros_like(read.support)
        support[rank] = read.support
        content = [np.add.reduceat(_mixed(ranks), begins) for ranks, begins in _in_blocks(rank, read)]
        ranks = _Blocks(rank.dtype, read.items.shape, (ranks for ranks, _ in _in_blocks(rank, read)))
        sessions = np.argsort(read.first_times, kind="stable") if by_time else np.arange(0)
        ids = item_ids.to_arrays(item_ids.same_numbers_same_type(np.sort(read.item_ids)))
        return Fingerprint(
            items=_digest(*ids.values(), support),
            sessions=_digest(read.offsets, np.concatenate(content)),
            order=_digest(rank, ranks, sessions),
            times=_digest(read.times.astype(np.float64)) if with_times else "",
        )


def read(frame: Any, columns: Columns, what: str = "data") -> Events:
    """The events of a training frame; the sort by (session, time) is stable. The frame is left as it is.

    Args:
        frame: a pandas or Polars DataFrame, or events that were read before, which stay as they are.
        columns: names of its columns of sessions, items and times.
        what: name of the frame, for errors.

    Raises:
        TypeError: ``frame`` is no frame.
        ValueError: a column is missing, named twice, empty, or holds what cannot be read.
    """
    if isinstance(frame, Events):
        return frame
    session, item, time = _columns_of(frame, columns, what)
    codes, session_ids = _sessions(session, columns.session, what)
    items, ids = item_ids.factorized(item)  # by first appearance in the frame as given, before any sorting
    order = np.lexsort((time, codes))
    return Events(
        items=items[order].astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(codes))]),
        times=time[order],
        session_ids=session_ids,
        item_ids=ids,
        support=np.bincount(items),
    )


def item_map(frame: Any, columns: Columns, what: str = "data") -> pd.Series:
    """The item map of a frame: ids in order of first appearance as given, and 0..n-1. Errors as :func:`read`."""
    return item_ids.item_map(item_ids.factorized(_columns_of(frame, columns, what)[1])[1], columns.item)


def read_known(frame: Any, columns: Columns, known: pd.Index, what: str = "test_data") -> Events:
    """The events of items that are ``known``, sorted by (session, time, item id); the others are dropped first.

    Args and errors as in :func:`read`; sessions of which nothing is known are left out.
    """
    session, item, time = _columns_of(frame, columns, what)
    item_ids.check_same_type(item, known, f"{what}: column {columns.item!r}")
    indices = item_ids.find(known, item)
    is_known = indices >= 0
    session, item, time, indices = session[is_known], item[is_known], time[is_known], indices[is_known]
    codes, session_ids = _sessions(session, columns.session, what)
    order = np.lexsort((item_ids.factorized(item, sort=True)[0], time, codes))
    return Events(
        items=indices[order].astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64),
        times=time[order],
        session_ids=session_ids,
        item_ids=known.to_numpy(),
        support=np.bincount(indices, minlength=len(known)),
    )


def _columns_of(frame: Any, columns: Columns, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    polars = sys.modules.get("polars")
    if not isinstance(frame, pd.DataFrame) and not (polars and isinstance(frame, polars.DataFrame)):
        raise TypeError(f"{what} is a {type(frame).__name__}; a pandas or Polars DataFrame is accepted")
    names = list(frame.columns)
    for name in columns:
        if name not in names:
            raise ValueError(f"{what}: no column {name!r}; its columns are {', '.join(map(repr, names))}")
        if names.count(name) > 1:
            raise ValueError(f"{what}: {names.count(name)} columns are named {name!r}; one is accepted")
    if not len(frame):
        raise ValueError(f"{what}: no events; a frame with at least one event is accepted")
    found = {name: _values(frame[name], f"{what}: column {name!r}") for name in columns}
    return (
        found[columns.session],
        _checked_ids(found[columns.item], f"{what}: column {columns.item!r}"),
        _checked_times(found[columns.time], f"{what}: column {columns.time!r}"),
    )


def _values(series: Any, where: str) -> np.ndarray:
    """A column as a NumPy array: of numbers, datetime64, or objects. Raises ValueError where a value is missing."""
    if isinstance(series, pd.Series):
        missing = series.isna().to_numpy(bool)
        plain = _pandas_values
    else:
        missing = series.is_null().to_numpy()
        if series.dtype.is_float():
            missing = missing | series.is_nan().fill_null(False).to_numpy()
        plain = _polars_values
    if missing.any():
        raise ValueError(f"{where} has no value in {missing.sum()} rows, the first is row {missing.argmax()} (from 0)")
    values = plain(series)
    if values.dtype.kind == "O":
        return _without_objects(values)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _pandas_values(series: pd.Series) -> np.ndarray:
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _pandas_values(pd.Series(series.cat.categories))[series.cat.codes.to_numpy()]
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.dt.tz_convert(None).to_numpy()
    values = series.to_numpy()
    # a dictionary of Arrow gives its values as objects, other extension types numbers
    return values if values.dtype.kind in "iufbMO" else np.asarray(series, dtype=object)


def _polars_values(series: Any) -> np.ndarray:
    import polars

    if series.dtype in (polars.Categorical, polars.Enum):
        series = series.cast(polars.String)
    values = series.to_numpy()
    plain = values.dtype.kind in "iufbMO" and values.ndim == 1
    return values if plain else np.array([*series.to_list(), None], object)[:-1]


def _without_objects(values: np.ndarray) -> np.ndarray:
    """Objects that are all whole numbers, numbers or datetimes as an array of that type; others as they are."""
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind == "integer":
        low, high = min(values), max(values)
        fits = next((t for t in (np.int64, np.uint64) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), object)
        return values.astype(fits)
    if kind in ("floating", "mixed-integer-float"):
        return values.astype(np.float64)
    if kind == "boolean":
        return values.astype(bool)
    without_zone = {getattr(value, "tzinfo", None) is None for value in values}
    if kind in ("datetime", "datetime64", "date") and len(without_zone) == 1:
        return pd.to_datetime(values, utc=True).tz_convert(None).to_numpy()
    return values


def _sessions(values: np.ndarray, name: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(codes (E,), ids (S,)), ids ascending."""
    try:
        return item_ids.factorized(values, sort=True)
    except TypeError:
        found = _types_in(values)
        raise ValueError(f"{what}: column {name!r} holds {found}; ids that have an order are accepted") from None


def _checked_ids(values: np.ndarray, where: str) -> np.ndarray:
    """Item ids that a file can keep: whole numbers, as integers or floats, or texts."""
    kind = values.dtype.kind
    if kind in "iu" or (kind == "f" and np.isfinite(values).all() and (values == np.trunc(values)).all()):
        return values.astype(np.float64) if values.dtype.itemsize < 4 and kind == "f" else values
    if kind == "O" and pd.api.types.infer_dtype(values, skipna=False) == "string":
        return values
    found = "numbers that are not whole" if kind == "f" else _types_in(values)
    raise ValueError(f"{where} holds {found}; whole numbers or texts are accepted")


def _checked_times(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "iufM":
        is_text = values.dtype.kind == "O" and any(isinstance(value, str) for value in values)
        found = "texts" if is_text else _types_in(values)
        raise ValueError(f"{where} holds {found}; numbers or datetimes are accepted")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        wrong = ~np.isfinite(values)
        raise ValueError(
            f"{where} is infinite in {wrong.sum()} rows, the first is row {wrong.argmax()} (from 0); "
            "finite numbers or datetimes are accepted"
        )
    return values


def _types_in(values: np.ndarray) -> str:
    if values.dtype.kind != "O":
        return str(values.dtype)
    names = sorted({type(value).__name__ for value in values})
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def _mixed(values: np.ndarray) -> np.ndarray:
    """(N,) 64-bit numbers that spread whole numbers at random (splitmix64), so that sums of them tell sets apart."""
    mixed = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class _Blocks(NamedTuple):
    """An array that is not in memory as a whole."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterator[np.ndarray]


def _in_blocks(rank: np.ndarray, events: Events) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The ranks of the events' items, some whole sessions at a time, and where in them each session begins."""
    for first in range(0, len(events.session_ids), _SESSIONS):
        offsets = events.offsets[first : first + _SESSIONS + 1]
        yield rank[events.items[offsets[0] : offsets[-1]]], offsets[:-1] - offsets[0]


def _digest(*arrays: "np.ndarray | _Blocks") -> str:
    found = hashlib.sha256()
    for values in arrays:
        found.update(f"{values.dtype.str}{values.shape}".encode())
        for block in values.blocks if isinstance(values, _Blocks) else (values,):
            found.update(np.ascontiguousarray(block).data)
    return found.hexdigest()
