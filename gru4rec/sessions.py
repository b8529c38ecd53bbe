"""Sessions of known items as arrays, and their scores by any model, step by step in lanes.

What is measured, listed or recommended here goes through :func:`scored`, whatever the model is. It asks of one only

- ``itemidmap``: Series, item id -> index,
- ``layers`` and ``dtype``: widths and type of the states between two events, which begin as zeros,
- ``scores(X, hidden, items=None)``: scores (M, n) after the items X (M,), and the next states.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gru4rec.frames import Columns

LANES = 100  # sessions side by side; it changes no figure


@dataclass(frozen=True, eq=False)
class Sessions:
    """Events of known items in the order of (session, time, item).

    Attributes:
        items: (E,) int64, item indices.
        offsets: (S+1,) int64; session s holds the events offsets[s]:offsets[s+1], and none may be of known items.
        ids: (S,) session ids, ascending.
    """

    items: np.ndarray
    offsets: np.ndarray
    ids: pd.Index

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(S,) events of each."""
        return np.diff(self.offsets)

    @property
    def session(self) -> np.ndarray:
        """(E,) the number of each event's session."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def predicted(self) -> np.ndarray:
        """(P,) the events that are predicted: all but each session's first."""
        is_first = np.zeros(len(self.items), bool)
        is_first[self.offsets[:-1][self.lengths > 0]] = True
        return np.flatnonzero(~is_first)


def read(frame: Any, columns: Columns, known: pd.Index, what: str = "data") -> Sessions:
    """The sessions of a pandas or Polars frame; events of items that are not among ``known`` are left out.

    Raises:
        TypeError, ValueError: for a frame that cannot be read, which names column and reason.
    """
    from original import events  # no engine before it is asked for

    table = events.read_table(frame, events.Columns(*columns), what)
    label = f"{what}: column {columns.item!r}"
    events.check_same_kind(table.item, known, label)
    items = known.get_indexer(events.in_type_of(known, table.item, label))
    codes, ids = events.factorize(table.session, what, columns.session)
    order = np.lexsort((events.factorize(table.item, what, columns.item)[0], table.time, codes))
    order = order[items[order] >= 0]
    lengths = np.bincount(codes[order], minlength=len(ids))
    return Sessions(items[order].astype(np.int64), np.r_[0, lengths.cumsum()], ids)


def check_predictable(sessions: Sessions, what: str) -> None:
    """Raise ValueError unless a session has two events."""
    if not (sessions.lengths > 1).any():
        raise ValueError(f"{what}: a session with two events of items that the model knows is needed, there is none")


def scored(model: Any, sessions: Sessions, lanes: int = LANES) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(events (M,) to predict, scores (M, n) from the events before each), longest sessions first.

    Raises RuntimeError for a score that is no number: it would be in front of all.
    """
    lengths = sessions.lengths
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 1]
    for start in range(0, len(order), lanes):
        block = order[start : start + lanes]
        hidden = [np.zeros((len(block), width), model.dtype) for width in model.layers]
        for step in range(int(lengths[block[0]]) - 1):
            M = int((lengths[block] - 1 > step).sum())
            positions = sessions.offsets[block[:M]] + step
            scores, hidden = model.scores(sessions.items[positions], [H[:M] for H in hidden])
            scores = np.asarray(scores)
            if np.isnan(scores.min()):
                raise RuntimeError("some scores are NaN, no numbers: they cannot be ranked")
            yield positions + 1, scores


def last_scored(model: Any, sessions: Sessions, lanes: int = LANES) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(sessions (M,), scores (M, n) after the last event of each), longest first; those without events left out."""
    lengths = sessions.lengths
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    nothing = np.zeros(1, np.int64)
    for start in range(0, len(order), lanes):
        block = order[start : start + lanes]
        hidden = [np.zeros((len(block), width), model.dtype) for width in model.layers]
        for step in range(int(lengths[block[0]])):
            goes_on = int((lengths[block] > step + 1).sum())
            M = int((lengths[block] > step).sum())
            X = sessions.items[sessions.offsets[block[:M]] + step]
            if M > goes_on:
                scores, _ = model.scores(X[goes_on:], [H[goes_on:M] for H in hidden])
                scores = np.asarray(scores)
                if np.isnan(scores.min()):
                    raise RuntimeError("some scores are NaN, no numbers: nothing can be recommended")
                yield block[goes_on:M], scores
            if goes_on:
                _, hidden = model.scores(X[:goes_on], [H[:goes_on] for H in hidden], nothing)


def best(scores: np.ndarray, length: int) -> np.ndarray:
    """(M, length) columns of the highest scores (M, n), best first; of equal ones the lower column comes first."""
    M, n = scores.shape
    length = min(length, n)
    if length < n:  # sort only what can be among them: all that reach the length-th score
        least = np.partition(scores, n - length, axis=1)[:, n - length]
        reaches = scores >= least[:, None]
        if reaches.sum() <= 2 * M * length:
            row, column = np.nonzero(reaches)
            order = np.lexsort((column, -scores[row, column], row))
            starts = np.r_[0, np.bincount(row, minlength=M).cumsum()[:-1]]
            return column[order][starts[:, None] + np.arange(length)]
    return np.argsort(-scores, axis=1, kind="stable")[:, :length]
