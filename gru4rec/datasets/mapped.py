"""Sessions on the disk as an engine reads them: memory-mapped, not parsed, sorted and numbered anew at every start.

A folder with

====================  ====================================  ==========================================================
``items.npy``         (E,) int32, item indices              by session, then time; events of one time as they were
``times.npy``         (E,) int64 or float64                 the same
``sessions.parquet``  SessionId, First                      by ascending id; the session's first event
``catalogue.parquet`` ItemId, Support                       by index: in order of first appearance in the file
``about.json``        columns, hashes, remarks
====================  ====================================  ==========================================================

NumPy maps ``.npy`` files; Polars, as of 2.1, reads an Arrow file into memory whatever its form. An engine that is given
these arrays makes the batches of an epoch that it makes of the file they came from, bit for bit; it reads the events
page by page, as the epoch comes to them.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from gru4rec import files, frames
from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns, EventFile, Ids

ITEMS, TIMES, SESSIONS, CATALOGUE, ABOUT = (
    "items.npy", "times.npy", "sessions.parquet", "catalogue.parquet", "about.json"
)  # fmt: skip
NAMES = (ITEMS, TIMES, SESSIONS, CATALOGUE, ABOUT)
FORMAT = "gru4rec.mapped/1"


class Arrays(NamedTuple):
    """What both engines' Events hold: E events of S sessions and n items.

    Attributes:
        items: (E,) int32. offsets: (S + 1,) int64. times: (E,). session_ids: (S,). item_ids: (n,). support: (n,) int64.
    """

    items: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    session_ids: np.ndarray
    item_ids: np.ndarray
    support: np.ndarray


@dataclass(frozen=True)
class MappedFile:
    """A folder of mapped sessions, in the place of an :class:`~gru4rec.frames.EventFile` to train on.

    Attributes:
        path: the folder.
        columns: the names that its columns have for a model.
        arrays: mapped, but for the sessions and the items.
        sha256: of the file that it was made of.
        remarks: what is to be said of the times.
    """

    path: Path
    columns: Columns
    arrays: Arrays
    sha256: str
    remarks: tuple[str, ...]

    @property
    def has_text_items(self) -> bool:
        """Whether the item ids are texts."""
        return self.arrays.item_ids.dtype == object

    @property
    def items(self) -> np.ndarray:
        """Every item id, once."""
        return self.arrays.item_ids

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of events, sessions and items."""
        return len(self.arrays.items), len(self.arrays.session_ids), len(self.arrays.item_ids)

    def describe(self) -> str:
        """Counts and remarks in a line."""
        events, sessions, items = self.counts
        words = f"{self.path}: {events:,} events, {sessions:,} sessions, {items:,} items, memory-mapped"
        return "; ".join((words, *self.remarks))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All events in memory, by session and time, for what takes a frame alone."""
        session, item, time, lengths = *self.columns, np.diff(self.arrays.offsets)
        return pd.DataFrame(
            {
                session: np.repeat(self.arrays.session_ids, lengths),
                item: self.arrays.item_ids[self.arrays.items],
                time: np.array(self.arrays.times),
            }
        )

    def data_for(self, spec: EngineSpec) -> Any:
        """What the engine trains on: its own Events where it has such, else the frame."""
        made = spec.events_type()
        return self.frame if made is None else made.of_arrays(*self.arrays)


def write(
    source: Path, folder: Path, columns: Columns, ids: Ids = "auto", time_format: str | None = None
) -> MappedFile:
    """Sort and number the events of a file of sessions, as an engine does, and write them to a folder.

    All files of it appear together, each whole.

    Raises:
        ValueError: for a file that cannot be read as sessions.
        OSError: where a file cannot be read or written.
    """
    file = frames.read(source, columns, ids, time_format)
    arrays = _arrays(file)
    lengths = np.diff(arrays.offsets)
    with files.written_together({name: folder / name for name in NAMES}) as temporary:
        for name, values in ((ITEMS, arrays.items), (TIMES, arrays.times)):
            with temporary[name].open("wb") as target:
                np.save(target, values, allow_pickle=False)
        first = np.cumsum(lengths) - lengths
        pl.DataFrame({"SessionId": _column(arrays.session_ids), "First": first}).write_parquet(temporary[SESSIONS])
        catalogue = pl.DataFrame({"ItemId": _column(arrays.item_ids), "Support": arrays.support})
        catalogue.write_parquet(temporary[CATALOGUE])
        hashes = {name: files.sha256(temporary[name]) for name in NAMES if name != ABOUT}
        about = {"format": FORMAT, "columns": columns._asdict(), "sha256": file.sha256, "remarks": list(file.remarks),
                 "files": hashes}  # fmt: skip
        temporary[ABOUT].write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return read(folder)


def _arrays(file: EventFile) -> Arrays:
    """Sorted and numbered as the engines do."""
    session, item, time = (file.frame[name] for name in file.columns)
    codes, item_ids = pd.factorize(item)
    session_codes, session_ids = pd.factorize(session, sort=True)
    times = time.to_numpy()
    if (times == np.trunc(times)).all() and np.abs(times).max() < 2**53:
        times = times.astype(np.int64)
    order = np.lexsort((times, session_codes))
    return Arrays(
        items=codes.astype(np.int32)[order],
        offsets=np.append(0, np.bincount(session_codes).cumsum()),
        times=times[order],
        session_ids=np.asarray(session_ids),
        item_ids=np.asarray(item_ids),
        support=np.bincount(codes),
    )


def _column(ids: np.ndarray) -> pl.Series:
    return pl.Series(ids if ids.dtype.kind in "iu" else [str(each) for each in ids])


def is_mapped(path: Path) -> bool:
    """Whether a path is a folder that :func:`write` made."""
    return path.is_dir() and (path / ABOUT).is_file()


def read(folder: Path) -> MappedFile:
    """Map the files of a folder.

    Raises:
        ValueError: where it does not hold what :func:`write` writes.
        OSError: where a file cannot be read.
    """
    about = files.read_json(folder / ABOUT, "description of mapped sessions")
    try:
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r}; {FORMAT} is accepted")
        columns, sha256 = Columns(**about["columns"]), str(about["sha256"])
        remarks = tuple(map(str, about["remarks"]))
        hashes = {name: str(about["files"][name]) for name in NAMES if name != ABOUT}
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"{folder / ABOUT} is no description of mapped sessions: {problem!r}"[:300]) from None
    for name, known in hashes.items():
        if files.sha256(folder / name) != known:
            raise ValueError(f"{folder / name} is damaged: it is not what {ABOUT} says")
    sessions, catalogue = (pl.read_parquet(folder / name, glob=False) for name in (SESSIONS, CATALOGUE))
    items, times = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (ITEMS, TIMES))
    found = Arrays(
        # a plain array over the mapped pages: a memmap's own class takes a part in every look-up
        items=np.asarray(items),
        offsets=np.append(sessions["First"].to_numpy(), len(items)),
        times=np.asarray(times),
        session_ids=_ids(sessions["SessionId"]),
        item_ids=_ids(catalogue["ItemId"]),
        support=catalogue["Support"].to_numpy(),
    )
    _check(folder, found)
    return MappedFile(folder, columns, found, sha256, remarks)


def _ids(values: pl.Series) -> np.ndarray:
    return np.array(values.to_list(), object) if values.dtype == pl.String else values.to_numpy()


def _check(folder: Path, found: Arrays) -> None:
    """Raise ValueError where the arrays do not belong together."""
    n = len(found.item_ids)
    lengths = np.diff(found.offsets)
    if found.items.dtype != np.int32 or not len(lengths) or found.offsets[0] or lengths.min() < 1:
        raise ValueError(f"{folder} is damaged: its sessions do not fit its events")
    if len(found.support) != n or found.support.sum() != len(found.items):
        raise ValueError(f"{folder} is damaged: its items do not fit its events")
