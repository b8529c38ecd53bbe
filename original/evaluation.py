"""Recall@N and MRR@N of next-item prediction.

Every event after its session's first is predicted from the events before it. Recall@N is the share of events whose item
is among the first N, MRR@N the mean of 1/rank, 0 beyond N. ``cut_off`` may be a list: one pass, and ``{N: (recall,
mrr)}``.

Rank of the target among the scored items: standard = #(score > target) + 1; conservative = #(score >= target), so that
a tie counts against the model; median = the middle of the tied places; tiebreaking = standard after adding 1e-10 *
uniform noise.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from original.events import Columns, Table, check_same_kind, factorize, in_type_of, item_indices, read_table
from original.prediction import given_ids, require_finite
from original.settings import is_whole, refusal

MODES = ("standard", "conservative", "median", "tiebreaking")

Metrics = tuple[float, float]


# Arguments.


def _check(mode: Any, batch_size: Any) -> int:
    """The batch size, a number. Raises ValueError for a bad mode or batch size."""
    if not isinstance(mode, str) or mode not in MODES:
        raise refusal("mode", mode, f"{', '.join(MODES[:-1])} or {MODES[-1]}")
    if not is_whole(batch_size, 1):
        raise refusal("batch_size", batch_size, "a whole number of at least 1")
    return int(batch_size)


def _cut_offs(cut_off: Any) -> list[int]:
    """The Ns of ``cut_off``. Raises ValueError where there is none, or what is no N."""
    many = isinstance(cut_off, (list, tuple, set, frozenset, np.ndarray))
    found = list(cut_off) if many and np.ndim(cut_off) <= 1 else [cut_off]
    if not found or not all(np.ndim(N) == 0 and is_whole(N, 1) for N in found):
        raise refusal("cut_off", cut_off, "a whole number of at least 1, or a list of one or more of them,")
    return [int(N) for N in found]


def _listed(items: Any) -> pd.Index | None:
    """The item ids to rank among, once each; None for all."""
    if items is None:
        return None
    return given_ids("items", items).unique()


def _results(ranks: np.ndarray, cut_off: Any) -> Metrics | dict[int, Metrics]:
    """(recall, mrr), or a dict of them by N, of ranks (events,)."""

    def metrics(N: int) -> Metrics:
        hit = ranks <= N
        return float(hit.mean()), float(np.where(hit, 1.0 / ranks, 0).mean())

    Ns = _cut_offs(cut_off)
    many = isinstance(cut_off, (list, tuple, set, frozenset)) or np.ndim(cut_off) > 0
    return {N: metrics(N) for N in Ns} if many else metrics(Ns[0])


# Test events.


class _TestEvents(NamedTuple):
    """Test events of known items, sorted by (session, time, item).

    Attributes:
        session: (E,) codes, 0, 1, ... in this order.
        session_ids, item_ids: (E,).
        items: (E,) int32, item indices.
    """

    session: np.ndarray
    session_ids: pd.Index
    item_ids: pd.Index
    items: np.ndarray


def _test_events(test_data: Any, columns: Columns, known: pd.Series, item_order: bool = True) -> _TestEvents:
    """Read a test frame; ``known`` is the item map. Raises ValueError where nothing can be predicted."""
    table = read_table(test_data, columns, "test_data")
    label = f"test_data: column {columns.item!r}"
    check_same_kind(table.item, known.index, label)
    table = table._replace(item=in_type_of(known.index, table.item, label))
    kept = np.flatnonzero(table.item.isin(known.index))
    table = Table(table.session[kept], table.item[kept], table.time[kept])
    codes, _ = factorize(table.session, "test_data", columns.session)
    keys = [table.time, codes]
    if item_order:
        keys.insert(0, factorize(table.item, "test_data", columns.item)[0])
    order = np.lexsort(keys)
    codes = codes[order]
    if not (codes[1:] == codes[:-1]).any():
        raise ValueError("test_data: a session with two events of items that the model knows is needed, there is none")
    item_ids = table.item[order]
    return _TestEvents(codes, table.session[order], item_ids, item_indices(known, item_ids))


class _Walk(NamedTuple):
    """A step of all lanes that still have a session.

    Attributes:
        lane: (M,) rows in use, ascending.
        position: (M,) each one's event.
        fresh: (M,) whether it is its session's first.
    """

    lane: np.ndarray
    position: np.ndarray
    fresh: np.ndarray


def _lanes(session: np.ndarray, batch_size: int) -> Iterator[_Walk]:
    """Walk over sessions (E,) side by side; those of one event are left out."""
    starts = np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
    ends = np.r_[starts[1:], len(session)]
    keep = ends - starts > 1
    starts, ends = starts[keep], ends[keep]
    B = min(batch_size, len(starts))
    lane, position, end, following = np.arange(B), starts[:B].copy(), ends[:B].copy(), B
    fresh = np.ones(B, bool)
    while len(lane):
        yield _Walk(lane, position.copy(), fresh)
        position += 1
        fresh = position + 1 == end
        done = np.flatnonzero(fresh)
        taken = done[: len(starts) - following]
        following_sessions = slice(following, following + len(taken))
        position[taken], end[taken] = starts[following_sessions], ends[following_sessions]
        following += len(taken)
        left = np.ones(len(lane), bool)
        left[done[len(taken) :]] = False
        lane, position, end, fresh = lane[left], position[left], end[left], fresh[left]


# Ranks.


def _rank(
    scores: np.ndarray, target: np.ndarray, place: np.ndarray, mode: str, noise: np.random.RandomState
) -> np.ndarray:
    """Ranks (M,) of targets.

    Args:
        scores: (M, items). target: (M,), their scores. place: (M,), their columns, -1 for none.
        noise: what breaks ties.

    Raises:
        RuntimeError: for a score that is no number: it would be in front of all, since comparisons with it are false.
    """
    # One pass, and no array of booleans: the minimum of what holds a NaN is NaN.
    if np.isnan(scores.min()) or np.isnan(target.min()):
        raise RuntimeError("some scores are NaN, no numbers: they cannot be ranked")
    if mode == "tiebreaking":
        jitter = noise.rand(len(target), scores.shape[1] + 1) * 1e-10
        scores, target = scores + jitter[:, :-1], target + jitter[np.arange(len(target)), place]
    target = target[:, None]
    if mode == "conservative":
        return np.maximum((scores >= target).sum(axis=1), 1)
    above = (scores > target).sum(axis=1)
    if mode == "median":
        return np.maximum(above + 0.5 * ((scores == target).sum(axis=1) - 1) + 1, 1)
    return above + 1


def _split(scores: np.ndarray, listed: Any, targets: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a list and of targets, and the targets' places in the list, -1 for none.

    A target that is in the list has its score there: a second look-up may differ in the last bit and break a tie.

    Args:
        scores: (M, listed + lanes), of the items ``listed``, then of every lane's target.
    """
    place, lanes = pd.Index(listed).get_indexer(pd.Index(targets)), np.arange(len(targets))
    return scores[:, : len(listed)], scores[lanes, np.where(place >= 0, place, len(listed) + lanes)], place


def _known_items(model: Any) -> pd.Series:
    """The item map. Raises RuntimeError for a model without weights, or without data."""
    itemidmap = model.itemidmap
    if itemidmap is None:
        _ = getattr(model, "n_items", None)  # says that there are no weights, where there are none
        raise RuntimeError("the model has no data yet: call fit or prepare first")
    return itemidmap


def ranks(
    gru: Any,
    test_data: Any,
    items: Any = None,
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
    batch_size: int = 100,
    mode: str = "conservative",
    noise_seed: int = 42,
) -> pd.DataFrame:
    """The rank of every predicted event; see :func:`evaluate_gpu` for arguments and errors.

    Returns:
        A frame (session, item, position, rank) in the order of the test events of known items sorted by (session,
        time, item): the session's id, the target's id, 1 for a session's second event and so on, the target's rank.
    """
    batch_size = _check(mode, batch_size)
    known = _known_items(gru)
    require_finite(gru, "be evaluated")
    wanted = _listed(items)
    events = _test_events(test_data, Columns(session_key, item_key, time_key), known)
    indices = None if wanted is None else item_indices(known, wanted, "items")
    rank = _ranks(gru, events, indices, batch_size, mode, noise_seed)
    predicted = np.flatnonzero(~np.isnan(rank))
    starts = np.flatnonzero(np.r_[True, events.session[1:] != events.session[:-1]])
    return pd.DataFrame(
        {
            "session": events.session_ids[predicted],
            "item": events.item_ids[predicted],
            "position": predicted - starts[events.session[predicted]],
            "rank": rank[predicted],
        }
    )


def _ranks(
    gru: Any, events: _TestEvents, listed: np.ndarray | None, batch_size: int, mode: str, noise_seed: int
) -> np.ndarray:
    """(E,) ranks, NaN for sessions' first events; ``listed`` are item indices, None for all."""
    noise = np.random.RandomState(noise_seed)
    rank = np.full(len(events.items), np.nan)
    hidden: Sequence[np.ndarray] = []
    before, lanes = None, 0
    for lane, position, fresh in _lanes(events.session, batch_size):
        if before is None:
            lanes = len(lane)
            hidden = [np.zeros((len(lane), L), gru.dtype) for L in gru.layers]
        elif len(lane) < len(before):
            hidden = [H[np.isin(before, lane)] for H in hidden]
        before = lane
        hidden = [np.where(fresh[:, None], np.zeros((), gru.dtype), H) for H in hidden]
        X, Y = events.items[position], events.items[position + 1]
        if listed is None:
            scores, hidden = gru.scores(X, hidden)
            scores = np.asarray(scores)
            place, target = Y, scores[np.arange(len(lane)), Y]
        else:
            both, hidden = gru.scores(X, hidden, np.concatenate([listed, np.resize(Y, lanes)]))
            scores, target, place = _split(np.asarray(both), listed, Y)
        rank[position + 1] = _rank(scores, target, place, mode, noise)
    return rank


# What people call.


def evaluate_gpu(
    gru: Any,
    test_data: Any,
    items: Any = None,
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
    cut_off: Any = 20,
    batch_size: int = 100,
    mode: str = "conservative",
) -> Metrics | dict[int, Metrics]:
    """Recall@N and MRR@N of a model. Events of items that it does not know are dropped first.

    Args:
        gru: the model.
        test_data: a pandas or Polars frame; it is not changed.
        items: item ids to rank among; None for all. A target outside the list is ranked against the list.
        session_key, item_key, time_key: its columns.
        cut_off: N, or a list of them.
        batch_size: sessions side by side, reduced to the number of sessions.
        mode: standard, conservative, median or tiebreaking.

    Returns:
        (recall, mrr), or a dict of them by N for a list.

    Raises:
        TypeError, ValueError: for bad arguments, or where nothing can be predicted.
        RuntimeError: for a model that has no weights, weights that are not finite, or whose training diverged.
    """
    _cut_offs(cut_off)
    found = ranks(gru, test_data, items, session_key, item_key, time_key, batch_size, mode)
    return _results(found["rank"].to_numpy(), cut_off)


def evaluate_sessions_batch(
    pr: Any,
    test_data: Any,
    items: Any = None,
    cut_off: Any = 20,
    batch_size: int = 100,
    mode: str = "conservative",
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
) -> Metrics | dict[int, Metrics]:
    """The same through ``pr.predict_next_batch``, for anything that has it; ``pr.itemidmap`` tells the known items.

    Every evaluation starts from zero hidden states.
    """
    _cut_offs(cut_off)
    batch_size = _check(mode, batch_size)
    known = _known_items(pr)
    if hasattr(pr, "first_not_finite"):
        require_finite(pr, "be evaluated")
    among = _listed(items)
    if among is not None:
        item_indices(known, among, "items")
    events = _test_events(test_data, Columns(session_key, item_key, time_key), known)
    noise = np.random.RandomState(42)
    rank = np.full(len(events.items), np.nan)
    if hasattr(pr, "reset_sessions"):
        pr.reset_sessions()

    # A lane without a session any more repeats its last event; what it scores is not counted.
    current = following = None
    for lane, position, _ in _lanes(events.session, batch_size):
        if current is None or following is None:
            current, following = position.copy(), position + 1
        current[lane], following[lane] = position, position + 1
        targets = events.item_ids[following]
        wanted = None if among is None else np.concatenate([among, targets])
        ids = events.session_ids[current].to_numpy(), events.item_ids[current].to_numpy()
        scored = pr.predict_next_batch(*ids, wanted, batch=len(current))
        scores = scored.to_numpy().T
        if among is None:
            place = scored.index.get_indexer(targets)
            target = scores[np.arange(len(current)), place]
        else:
            scores, target, place = _split(scores, among, targets)
        rank[position + 1] = _rank(scores[lane], target[lane], place[lane], mode, noise)
    return _results(rank[~np.isnan(rank)], cut_off)


def evaluate_sessions(
    pr: Any,
    test_data: Any,
    train_data: Any,
    items: Any = None,
    cut_off: Any = 20,
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
) -> Metrics | dict[int, Metrics]:
    """Recall@N and MRR@N of a baseline, one event at a time through ``pr.predict_next``.

    Scored are the items of ``train_data``, or ``items``; test events of items outside ``train_data`` are dropped first.
    A score that is no number counts as 0; ties are broken by 1e-8 * uniform noise; rank = #(score > target) + 1.

    Returns:
        (recall, mrr), or a dict of them by N for a list of ``cut_off``.
    """
    _cut_offs(cut_off)
    columns = Columns(session_key, item_key, time_key)
    known = read_table(train_data, columns, "train_data").item.unique()
    wanted = _listed(items)
    events = _test_events(test_data, columns, pd.Series(np.arange(len(known)), index=known))
    scored = known if wanted is None else wanted
    noise = np.random.RandomState(42)
    found = []
    ids, sessions = events.item_ids.to_numpy(), events.session_ids.to_numpy()
    for i in np.flatnonzero(events.session[1:] == events.session[:-1]):
        target = ids[i + 1]
        given = pd.Index([target])
        column = scored.get_indexer(given)[0]
        asked = scored if column >= 0 else scored.append(given)
        scores = np.nan_to_num(np.asarray(pr.predict_next(sessions[i], ids[i], asked), float))
        scores = scores + 1e-8 * noise.rand(len(asked))
        found.append((scores[: len(scored)] > scores[column]).sum() + 1)
    return _results(np.array(found), cut_off)
