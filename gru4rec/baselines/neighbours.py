"""Nearest sessions: S-kNN and VS-kNN, for many running sessions at once.

Jannach, Ludewig: When Recurrent Neural Networks meet the Neighborhood for Session-Based Recommendation (RecSys 2017),
S-kNN. Ludewig, Jannach: Evaluation of Session-based Recommendation Algorithms (User Modeling and User-Adapted
Interaction 28, 2018), section 3, V-SKNN and S-SKNN. Kersbergen, Sprangers, Schelter: Serenade (SIGMOD 2022), section 3,
writes VS-kNN with its decays as

    sim(s, t)   = sum_{i in s and t} pi(i)
    score(i, s) = (1 + idf * idf_i) * sum_{t in N_s, i in t} sim(s, t) * lambda(x_st)

where N_s are the k sessions of the highest sim among the sample_size newest sessions that share an item with s, pi the
weight of an item by its place in s, x_st the distance, counted from 1, of the newest item of s that t has from the end
of s, and idf_i = ln(S / S_i). S-kNN is the same with sim the cosine of the two sets of items, and no weights.

The index holds of each item its sample_size newest sessions alone: no other can be among the sample_size newest
sessions of any session's items together. So memory and time of a prediction are bounded whatever the training data.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

DECAYS = ("same", "linear", "div", "quadratic", "log")


class Index(NamedTuple):
    """Training sessions, the newest first.

    Attributes:
        sessions: (S, n) which items a session has, 1 for each.
        of_item: (n, S) which sessions an item is in, the newest sample_size of them, ascending in each row.
        idf: (n,) ln(sessions / sessions that have the item).
    """

    sessions: csr_array
    of_item: csr_array
    idf: np.ndarray


def index(items: np.ndarray, offsets: np.ndarray, times: np.ndarray, n_items: int, sample_size: int) -> Index:
    """The index of training sessions.

    Args:
        items: (E,) item indices, session after session.
        offsets: (S+1,).
        times: (E,) numbers or datetimes; a session is as new as its last event.
        n_items: n.
        sample_size: sessions kept of each item.
    """
    S = len(offsets) - 1
    newest = np.argsort(times[offsets[1:] - 1], kind="stable")[::-1]
    place = np.empty(S, np.int64)
    place[newest] = np.arange(S)
    pairs = np.unique(np.repeat(place, np.diff(offsets)) * n_items + items)  # by session, then item
    session, item = pairs // n_items, pairs % n_items
    having = np.bincount(item, minlength=n_items)
    order = np.argsort(item, kind="stable")  # by item, then session
    kept = np.arange(len(pairs)) - np.repeat(np.r_[0, having.cumsum()[:-1]], having) < sample_size
    of_item = order[kept]
    reached = np.zeros(S, bool)
    reached[session[of_item]] = True
    number = np.cumsum(reached) - 1  # of the sessions that any item leads to
    present = reached[session]
    shape = (int(reached.sum()), n_items)
    sessions = csr_array((np.ones(present.sum()), (number[session[present]], item[present])), shape=shape)
    pointers = np.r_[0, np.minimum(having, sample_size).cumsum()]
    by_item = csr_array((np.ones(len(of_item)), number[session[of_item]], pointers), shape=shape[::-1])
    return Index(sessions, by_item, np.log(S / np.maximum(having, 1)))


def place_weights(decay: str, distance: np.ndarray, length: np.ndarray) -> np.ndarray:
    """pi: the weight of an item that stands ``distance`` events before the last of ``length``; the last one has 1.

    With p = length - distance, its place from 1: same 1; div p / length; quadratic (p / length)^2; linear
    max(0, 1 - distance / 10); log 1 / log2(2 + distance).
    """
    if decay == "div":
        return (length - distance) / length
    if decay == "quadratic":
        return ((length - distance) / length) ** 2
    if decay == "log":
        return 1 / np.log2(2 + distance)
    return np.maximum(0, 1 - distance / 10) if decay == "linear" else np.ones(distance.shape)


def step_weights(decay: str, step: np.ndarray) -> np.ndarray:
    """lambda: same 1; div 1 / step; quadratic 1 / step^2; linear max(0, 1 - step / 10); log 1 / log2(1 + step)."""
    if decay == "div":
        return 1 / step
    if decay == "quadratic":
        return 1 / step**2.0
    if decay == "log":
        return 1 / np.log2(1 + step)
    return np.maximum(0, 1 - step / 10) if decay == "linear" else np.ones(step.shape)


class _Items(NamedTuple):
    """The distinct items of running sessions, a row an item of a session, sessions ascending.

    Attributes:
        row: the session.
        item: its index.
        distance: events between its newest occurrence and the session's end.
        length: events of the session.
    """

    row: np.ndarray
    item: np.ndarray
    distance: np.ndarray
    length: np.ndarray


def _distinct(history: np.ndarray) -> _Items:
    newest_first = history[:, ::-1]
    row, distance = np.nonzero(newest_first)
    item = newest_first[row, distance] - 1
    _, first = np.unique(row * (int(item.max(initial=0)) + 1) + item, return_index=True)
    length = (history > 0).sum(axis=1)
    return _Items(row[first], item[first], distance[first], length[row[first]])


def scores(
    known: Index, history: np.ndarray, k: int, sample_size: int, weighting: str, scoring: str, idf: float, cosine: bool
) -> np.ndarray:
    """Scores (M, n) float64 of the next item by the formulas above.

    Args:
        known: the training sessions.
        history: (M, T) item indices + 1 of running sessions, the newest last, 0 where there is none.
        k: neighbours.
        sample_size: sessions that they are taken from.
        weighting: of the places in the running session.
        scoring: of the step of the newest shared item.
        idf: weight of the inverse document frequency.
        cosine: divide sim by sqrt(items of s * items of t).
    """
    (M, _), S = history.shape, known.sessions.shape[0]
    items = _distinct(history)
    pointers = known.of_item.indptr.astype(np.int64)
    counts = np.diff(pointers)[items.item]
    if not counts.sum():
        return np.zeros((M, known.sessions.shape[1]))
    # every (running session, item, session that has it)
    each = np.repeat(np.arange(len(counts)), counts)
    inside = np.arange(len(each)) - np.repeat(counts.cumsum() - counts, counts)
    found = items.row[each] * S + known.of_item.indices[pointers[items.item[each]] + inside]
    order = np.argsort(found, kind="stable")
    each, found = each[order], found[order]
    starts = np.flatnonzero(np.r_[True, found[1:] != found[:-1]])
    similar = np.add.reduceat(place_weights(weighting, items.distance, items.length)[each], starts)
    step = np.minimum.reduceat(items.distance[each], starts) + 1
    row, session = found[starts] // S, found[starts] % S
    kept = _first_of_row(row, sample_size)  # sessions ascend in each row: the newest come first
    row, session, similar, step = row[kept], session[kept], similar[kept], step[kept]
    if cosine:
        sizes = np.bincount(items.row, minlength=M)[row] * np.diff(known.sessions.indptr)[session]
        similar = similar / np.sqrt(sizes)
    order = np.lexsort((session, -similar, row))
    order = order[_first_of_row(row[order], k)]
    row, session, weight = row[order], session[order], (similar * step_weights(scoring, step))[order]
    neighbours = csr_array((weight, (row, session)), shape=(M, S))
    return (neighbours @ known.sessions).toarray() * (1 + idf * known.idf)


def _first_of_row(row: np.ndarray, most: int) -> np.ndarray:
    """(N,) whether an entry is among the first ``most`` of its row; ``row`` ascends."""
    return np.arange(len(row)) - np.searchsorted(row, row) < most
