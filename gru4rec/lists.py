"""Top lists of predictions: made by a model, or read from the file of any program, and written for any.

The text form has the columns ``SessionId;Position;Recommendations;Scores``: Position is the place, from 0, of the
newest event that was seen in its session, Recommendations are item ids split by commas, the best first, and Scores
theirs. Parquet has the same columns, the last two as lists.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from gru4rec import files, parquet, sessions
from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns
from gru4rec.sessions import Sessions
from gru4rec.terminal import quoted, shortened

COLUMNS = ("SessionId", "Position", "Recommendations", "Scores")
SUFFIXES = (".csv", ".parquet")
LENGTH = 50  # items of a list that is written
_MOST = 2**31  # bytes of a file


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists for P predictions of test sessions, in the order of the test events.

    Attributes:
        events: the test sessions.
        predicted: (P,) the events that are predicted, ascending.
        items: (P, N) indices into ``ids``, the best first, -1 beyond a list's end.
        scores: (P, N) float64, NaN beyond a list's end.
        rank: (P,) of the target; infinite where it is known only that it is not in the list.
        ids: of all items that can be recommended.
        has_order_alone: whether ranks are places in lists, not counts of scores.
    """

    events: Sessions
    predicted: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    rank: np.ndarray
    ids: pd.Index
    has_order_alone: bool = False

    @property
    def length(self) -> int:
        """N."""
        return self.items.shape[1]

    @property
    def session(self) -> np.ndarray:
        """(P,) the number of each prediction's session."""
        return self.events.session[self.predicted]

    @property
    def position(self) -> np.ndarray:
        """(P,) events seen before each prediction."""
        return self.predicted - self.events.offsets[self.session]

    @property
    def targets(self) -> np.ndarray:
        """(P,) the items that came."""
        return self.events.items[self.predicted]

    def only(self, chosen: np.ndarray) -> "Lists":
        """Those of the predictions ``chosen`` (P,) bool."""
        return Lists(self.events, self.predicted[chosen], self.items[chosen], self.scores[chosen], self.rank[chosen],
                     self.ids, self.has_order_alone)  # fmt: skip


def made_by(
    spec: EngineSpec, gru: Any, test: Any, columns: Columns, length: int, mode: str, what: str = "test_data"
) -> Lists:
    """The lists of a model, and its ranks, for every event but the first of each test session.

    Args:
        spec: the engine.
        gru: the model.
        test: a pandas or Polars frame.
        columns: its columns.
        length: items of a list, at most.
        mode: how ties are ranked.
        what: the frame's name in errors.

    Raises:
        TypeError, ValueError: for a frame that cannot be read, or has nothing to predict.
        RuntimeError: for scores that are no numbers.
    """
    from gru4rec.baselines import evaluation

    ids = gru.itemidmap.index
    events = sessions.read(test, columns, ids, what)
    sessions.check_predictable(events, what)
    predicted, length = events.predicted, min(length, len(ids))
    keys = dict(session_key=columns.session, item_key=columns.item, time_key=columns.time)
    fast = getattr(spec.evaluation, "lists", None)
    if fast:
        table = spec.evaluation.ranks(gru, test, batch_size=sessions.LANES, mode=mode, **keys)
        items, scores = fast(gru, test, length=length, **keys)
        if table["item"].tolist() != ids[events.items[predicted]].tolist():
            raise RuntimeError(f"{spec.name} predicts other events of {what} than these, or in another order")
        return Lists(events, predicted, items, scores, table["rank"].to_numpy(), ids)
    place = np.zeros(len(events.items), np.int64)
    place[predicted] = np.arange(len(predicted))
    items, scores = np.zeros((len(predicted), length), np.int64), np.zeros((len(predicted), length))
    rank, noise = np.zeros(len(predicted)), np.random.RandomState(42)
    for positions, found in sessions.scored(gru, events):
        rows = place[positions]
        items[rows] = sessions.best(found, length)
        scores[rows] = np.take_along_axis(found, items[rows], axis=1)
        rank[rows] = evaluation.rank(found, events.items[positions], mode, None, noise)
    return Lists(events, predicted, items, scores, rank, ids)


def write(path: Path, lists: Lists) -> None:
    """Write lists as text or Parquet, by the name. Raises ValueError for ids that the text form cannot hold."""
    ids = lists.ids.to_numpy()
    if ids.dtype == object or ids.dtype.kind in "OUT":
        ids = np.array(ids.tolist(), object)
    frame = pl.DataFrame(
        {
            COLUMNS[0]: lists.events.ids.to_numpy()[lists.session].tolist(),
            COLUMNS[1]: lists.position - 1,
            COLUMNS[2]: [ids[row[row >= 0]].tolist() for row in lists.items],
            COLUMNS[3]: [row[~np.isnan(row)].tolist() for row in lists.scores],
        }
    )
    if path.suffix.lower() == ".parquet":
        with files.written_whole(path) as temporary:
            frame.write_parquet(temporary)
        return
    if any(isinstance(item, str) and set(item) & set(",;\"\n\r") for item in ids.tolist()):
        raise ValueError(f"{path}: an item id holds a comma, a semicolon, a quotation mark or the end of a line: a "
                         "file named .parquet takes it")  # fmt: skip
    joined = [pl.col(name).cast(pl.List(pl.String)).list.join(",") for name in COLUMNS[2:]]
    with files.written_whole(path) as temporary:
        frame.with_columns(joined).write_csv(temporary, separator=";")


def read(path: Path, events: Sessions, ids: pd.Index) -> Lists:
    """The lists of a file for test sessions, in the order of the test events.

    Args:
        path: of the file.
        events: the test sessions, in terms of ``ids``.
        ids: of the items; those of the file that are not among them are appended.

    Raises:
        ValueError: naming the file, the prediction and what is wrong with it.
        OSError: where the file cannot be read.
    """
    frame = _table(path)
    session = _session_numbers(path, frame, events)
    position = frame[COLUMNS[1]].to_numpy()
    names = [f"{path}: session {shortened(str(name))}, position {place}"
             for name, place in zip(frame[COLUMNS[0]].to_list(), position.tolist())]  # fmt: skip
    lengths = events.lengths[session]
    for row in np.flatnonzero((position < 0) | (position + 1 >= lengths))[:1].tolist():
        raise ValueError(f"{names[row]}: the session has {lengths[row]} known events in the test data, and positions "
                         "from 0 to the last but one are accepted")  # fmt: skip
    predicted = events.offsets[session] + position + 1
    order = np.argsort(predicted, kind="stable")
    for row in order[1:][np.diff(predicted[order]) == 0][:1].tolist():
        raise ValueError(f"{names[row]}: it stands there twice")
    items, scores, known = _padded(path, frame, ids, names)
    targets = events.items[predicted]
    hit = items == targets[:, None]
    rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)
    return Lists(events, predicted[order], items[order], scores[order], rank[order], known, has_order_alone=True)


def _table(path: Path) -> pl.DataFrame:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: a file of lists named {' or '.join(SUFFIXES)} is accepted")
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path}: more than {_MOST / 2**30:g} GiB; a file of lists is smaller")
    try:
        if path.suffix.lower() == ".parquet":
            frame = parquet.read(path, list(COLUMNS))
        else:
            frame = pl.read_csv(parquet.source(path), separator=";", infer_schema=False)
            if missing := [name for name in COLUMNS if name not in frame.columns]:
                raise ValueError(f"{path}, line 1: no column {missing[0]}; the header {';'.join(COLUMNS)} is needed")
            if frame.select(pl.any_horizontal(pl.col(name).is_null().any() for name in COLUMNS)).item():
                raise ValueError(f"{path}: a field is empty")
            frame = frame.with_columns(pl.col(name).str.split(",") for name in COLUMNS[2:])
        for name, dtype in ((COLUMNS[1], pl.Int64), (COLUMNS[3], pl.List(pl.Float64))):
            frame = frame.with_columns(pl.col(name).cast(dtype))
    except pl.exceptions.PolarsError as problem:
        raise ValueError(f"{path}: {quoted(str(problem).splitlines()[0], 200)}") from None
    if frame.is_empty():
        raise ValueError(f"{path} holds no list")
    return frame.select(COLUMNS)


def _session_numbers(path: Path, frame: pl.DataFrame, events: Sessions) -> np.ndarray:
    known = pd.Index([str(each) for each in events.ids.tolist()])
    given = frame[COLUMNS[0]].cast(pl.String).to_list()
    found = known.get_indexer(pd.Index(given))
    for row in np.flatnonzero(found < 0)[:1].tolist():
        raise ValueError(f"{path}: session {quoted(given[row])} is not in the test data")
    return found


def _padded(
    path: Path, frame: pl.DataFrame, ids: pd.Index, names: list[str]
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """(items (P, N), scores (P, N), ids with the file's own) of a checked table."""
    sizes = frame[COLUMNS[2]].list.len().to_numpy().astype(np.int64)
    for row in np.flatnonzero(sizes != frame[COLUMNS[3]].list.len().to_numpy())[:1].tolist():
        raise ValueError(f"{names[row]}: {sizes[row]} items and {len(frame[COLUMNS[3]][row])} scores")
    for row in np.flatnonzero(sizes == 0)[:1].tolist():
        raise ValueError(f"{names[row]}: the list is empty")
    flat = frame[COLUMNS[2]].explode().cast(pl.String).to_list()
    texts = pd.Index([str(each) for each in ids.tolist()])
    found = texts.get_indexer(pd.Index(flat))
    if (found < 0).any():
        new = pd.Index(pd.unique(np.array(flat, object)[found < 0]))
        ids, texts = pd.Index(np.array([*ids.tolist(), *new.tolist()], object)), texts.append(new)
        found = texts.get_indexer(pd.Index(flat))
    row = np.repeat(np.arange(len(sizes)), sizes)
    column = np.arange(len(row)) - np.repeat(sizes.cumsum() - sizes, sizes)
    items, scores = np.full((len(sizes), int(sizes.max())), -1), np.full((len(sizes), int(sizes.max())), np.nan)
    items[row, column] = found
    scores[row, column] = frame[COLUMNS[3]].explode().fill_null(float("nan")).to_numpy()
    keys = np.sort(row * len(texts) + found)
    for key in keys[1:][np.diff(keys) == 0][:1].tolist():
        raise ValueError(f"{names[key // len(texts)]}: an item stands twice in the list")
    for bad in np.flatnonzero(~np.isfinite(scores[row, column]))[:1].tolist():
        raise ValueError(f"{names[row[bad]]}: a score is no finite number")
    falls = np.diff(scores, axis=1) > 0  # false beside a NaN, which fills short lists up
    for bad in np.flatnonzero(falls.any(axis=1))[:1].tolist():
        raise ValueError(f"{names[bad]}: the scores do not fall from item to item")
    return items, scores, ids
