"""Recall@N and MRR@N of next-item prediction.

Every event after its session's first is predicted from the events before it. Recall@N is the share of events whose item
is among the first N, MRR@N the mean of 1/rank, 0 beyond N. ``cut_off`` may be a list: one pass, and ``{N: (recall,
mrr)}``.

Rank of the target among the scored items: standard = #(score > target) + 1; conservative = #(score >= target), so that
a tie counts against the model; median = the middle of the tied places; tiebreaking = standard after adding 1e-10 *
uniform noise.
"""

import numpy as np
import pandas as pd

from original.sessions import check_frame, item_indices

MODES = ("standard", "conservative", "median", "tiebreaking")


def _check(cut_off, mode=None, batch_size=None):
    cut_offs = list(np.atleast_1d(cut_off))
    if not cut_offs or any(
        isinstance(N, (bool, np.bool_)) or not isinstance(N, (int, np.integer)) or N < 1 for N in cut_offs
    ):
        raise ValueError(f"cut_off={cut_off!r}: accepted is a whole number, 1 or more, or a list of them")
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode={mode!r}: accepted is one of {', '.join(MODES)}")
    if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
        raise ValueError(f"batch_size={batch_size!r}: accepted is a whole number, 1 or more")
    return [int(N) for N in cut_offs]


def _results(ranks, cut_off):
    """(recall, mrr), or a dict of them, of ranks (events,)."""

    def at_cut(N):
        hit = ranks <= N
        return float(hit.mean()), float(np.where(hit, 1.0 / ranks, 0).mean())

    return at_cut(int(cut_off)) if np.ndim(cut_off) == 0 else {int(N): at_cut(N) for N in cut_off}


def _known_items(model):
    if model.itemidmap is None:
        raise RuntimeError("the model has no items yet: call fit, prepare or load first")
    return model.itemidmap.index


def _known_events(test_data, known_items, session_key, item_key, time_key, item_order=True):
    """Test events of known items, sorted by (session, time, item)."""
    check_frame(test_data, session_key, item_key, time_key, "test_data")
    known = test_data[test_data[item_key].isin(known_items)]
    known = known.sort_values([session_key, time_key] + ([item_key] if item_order else []), kind="stable")
    if not known[session_key].duplicated().any():
        raise ValueError(
            "test_data: no session has two events of items that the model knows; there is nothing to predict"
        )
    return known


def _lanes(sessions, batch_size):
    """Session-parallel walk. Yields (lane, position, fresh): rows in use, each one's event, and whether it is its
    session's first.
    """
    starts = np.flatnonzero(np.r_[True, sessions[1:] != sessions[:-1]])
    ends = np.r_[starts[1:], len(sessions)]
    keep = ends - starts > 1
    starts, ends = starts[keep], ends[keep]
    B = min(batch_size, len(starts))
    lane, position, end, following = np.arange(B), starts[:B].copy(), ends[:B].copy(), B
    fresh = np.ones(B, bool)
    while len(lane):
        yield lane, position.copy(), fresh
        position += 1
        fresh = position + 1 == end
        done = np.flatnonzero(fresh)
        taken = done[: len(starts) - following]
        position[taken], end[taken] = (
            starts[following : following + len(taken)],
            ends[following : following + len(taken)],
        )
        following += len(taken)
        left = np.ones(len(lane), bool)
        left[done[len(taken) :]] = False
        lane, position, end, fresh = lane[left], position[left], end[left], fresh[left]


def _rank(scores, target, place, mode, noise):
    """Ranks (M,) of ``target`` (M,) among ``scores`` (M, items); ``place`` (M,) is its column there, -1 for none."""
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


def ranks(
    gru,
    test_data,
    items=None,
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
    batch_size=100,
    mode="conservative",
    noise_seed=42,
):
    """The rank of every predicted event.

    Returns a DataFrame with the session, the target item and its ``rank``, in the order of the test events sorted by
    (session, time, item). See :func:`evaluate_gpu` for the parameters and errors.
    """
    _check([1], mode, batch_size)
    if gru.error_during_train:
        raise RuntimeError("the model's training stopped at a NaN cost: there is nothing to evaluate")
    events = _known_events(test_data, _known_items(gru), session_key, item_key, time_key)
    index = item_indices(gru.itemidmap, events[item_key])
    session = pd.factorize(events[session_key])[0]
    scored = None if items is None else item_indices(gru.itemidmap, pd.unique(np.asarray(items)), "items")
    noise = np.random.RandomState(noise_seed)
    rank = np.full(len(events), np.nan)

    hidden, previous = [], None
    for lane, position, fresh in _lanes(session, batch_size):
        if previous is None:
            hidden = [np.zeros((len(lane), L), gru.dtype) for L in gru.layers]
        elif len(lane) < len(previous):
            hidden = [H[np.isin(previous, lane)] for H in hidden]
        previous = lane
        hidden = [np.where(fresh[:, None], np.zeros((), gru.dtype), H) for H in hidden]
        Y = index[position + 1]
        if scored is None:
            scores, hidden = gru.scores(index[position], hidden)
            place, target = Y, scores[np.arange(len(lane)), Y]
        else:
            both, hidden = gru.scores(index[position], hidden, np.concatenate([scored, np.resize(Y, batch_size)]))
            scores, target, place = _split(np.asarray(both), scored, Y)
        rank[position + 1] = _rank(np.asarray(scores), np.asarray(target), place, mode, noise)
    predicted = ~np.isnan(rank)
    return events.loc[predicted, [session_key, item_key]].assign(rank=rank[predicted]).reset_index(drop=True)


def _split(both, listed, targets):
    """(scores, targets' scores, targets' places in the list or -1).

    ``both`` (M, listed + lanes) holds the scores of the items ``listed``, then those of every lane's target.
    A target that is in the list has its score there: a second look-up may differ in the last bit and break a tie.
    """
    place, lanes = pd.Index(listed).get_indexer(targets), np.arange(len(targets))
    return both[:, : len(listed)], both[lanes, np.where(place >= 0, place, len(listed) + lanes)], place


def evaluate_gpu(
    gru,
    test_data,
    items=None,
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
    cut_off=20,
    batch_size=100,
    mode="conservative",
):
    """Recall@N and MRR@N of ``gru`` on ``test_data``.

    Parameters
    ----------
    items : item ids to rank among; None for all. A target outside the list is ranked against the list.
    cut_off : N, or a list of them. batch_size : sessions side by side, reduced to the number of sessions.
    mode : standard, conservative, median or tiebreaking.

    Returns (recall, mrr), or a dict of them by N for a list. Raises ValueError for bad arguments or when nothing can be
    predicted. Events of items that the model does not know are dropped first.
    """
    _check(cut_off, mode, batch_size)
    found = ranks(gru, test_data, items, session_key, item_key, time_key, batch_size, mode)
    return _results(found["rank"].to_numpy(), cut_off)


def evaluate_sessions_batch(
    pr,
    test_data,
    items=None,
    cut_off=20,
    batch_size=100,
    mode="conservative",
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
):
    """The same through ``pr.predict_next_batch``, for anything that has it; ``pr.itemidmap`` tells the known items.

    Every evaluation starts from zero hidden states.
    """
    _check(cut_off, mode, batch_size)
    events = _known_events(test_data, _known_items(pr), session_key, item_key, time_key)
    ids, names = events[item_key].to_numpy(), events[session_key].to_numpy()
    noise = np.random.RandomState(42)
    rank = np.full(len(events), np.nan)
    items = None if items is None else pd.unique(np.asarray(items))
    if hasattr(pr, "reset_sessions"):
        pr.reset_sessions()

    at = following = None
    for lane, position, _ in _lanes(pd.factorize(events[session_key])[0], batch_size):
        if at is None:
            at, following = position.copy(), position + 1
        # A lane without a session any more repeats its last event; what it scores is not counted.
        at[lane], following[lane] = position, position + 1
        targets = ids[following]
        wanted = None if items is None else np.concatenate([np.asarray(items), targets])
        scored = pr.predict_next_batch(names[at], ids[at], wanted, batch=len(at))
        scores = scored.to_numpy().T
        if items is None:
            place = scored.index.get_indexer(targets)
            target = scores[np.arange(len(at)), place]
        else:
            scores, target, place = _split(scores, items, targets)
        rank[position + 1] = _rank(scores[lane], target[lane], place[lane], mode, noise)
    return _results(rank[~np.isnan(rank)], cut_off)


def evaluate_sessions(
    pr,
    test_data,
    train_data,
    items=None,
    cut_off=20,
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
):
    """Recall@N and MRR@N of a baseline, one event at a time through ``pr.predict_next``.

    Scored are the items of ``train_data``, or ``items``; test events of items outside ``train_data`` are dropped first.
    A score that is no number counts as 0; ties are broken by 1e-8 * uniform noise; rank = #(score > target) + 1.

    Returns (recall, mrr), or a dict of them by N for a list of ``cut_off``.
    """
    _check(cut_off)
    check_frame(train_data, session_key, item_key, time_key, "train_data")
    known = train_data[item_key].unique()
    events = _known_events(test_data, known, session_key, item_key, time_key)
    ids, session = events[item_key].to_numpy(), events[session_key].to_numpy()
    scored = pd.Index(known if items is None else pd.unique(np.asarray(items)))
    noise = np.random.RandomState(42)
    found = []
    for i in range(len(ids) - 1):
        if session[i] != session[i + 1]:
            continue
        target = ids[i + 1]
        column = scored.get_indexer([target])[0]
        asked = scored if column >= 0 else scored.append(pd.Index([target]))
        scores = np.nan_to_num(np.asarray(pr.predict_next(session[i], ids[i], asked), float)) + 1e-8 * noise.rand(
            len(asked)
        )
        found.append((scores[: len(scored)] > scores[column]).sum() + 1)
    return _results(np.array(found), cut_off)
