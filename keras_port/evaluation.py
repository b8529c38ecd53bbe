"""Recall@N and MRR@N of next-item prediction, over all items or over a list, with four ways to rank ties."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from keras import ops

from keras_port import backends, dwell, sessions

MODES = ("standard", "conservative", "median", "tiebreaking")
_STEPS = 16  # events a lane reads in one call
_SCORES = 2**23  # scores of one block
_NOISE_SEED = 0


class TestSessions(NamedTuple):
    """Test sessions of known items, by ascending session id. E events, S sessions."""

    items: np.ndarray  # (E,) item indices, sorted by (session, time, item)
    offsets: np.ndarray  # (S + 1,) first event of each session
    session_ids: np.ndarray  # (E,)
    item_ids: np.ndarray  # (E,)
    since_previous: np.ndarray | None = None  # (E,) seconds since the session's event before; None without dwell_time


def test_sessions(gru, test_data, session_key=None, item_key=None, time_key=None):
    """:class:`TestSessions` of a frame; events of items that the model does not know are dropped first.

    Columns default to the model's. Raises ValueError for a frame without any event to predict.
    """
    session_key, item_key, time_key = session_key or gru.session_key, item_key or gru.item_key, time_key or gru.time_key
    sessions.check_frame(test_data, session_key, item_key, time_key, "test_data")
    with_dwell = getattr(gru, "dwell_time", 0) > 0
    if with_dwell:
        dwell.check_times(test_data, time_key, "test_data")
    indices = gru.itemidmap.index.get_indexer(test_data[item_key].to_numpy())
    known = test_data[[session_key, item_key, time_key]].assign(_index=indices)[indices >= 0]
    known = known.sort_values([session_key, time_key, item_key])
    lengths = known.groupby(session_key, sort=True).size().to_numpy()
    if not (lengths > 1).any():
        raise ValueError("test_data has no session with two events of items that the model knows")
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    passed = dwell.since_previous(known[time_key].to_numpy(), offsets) if with_dwell else None
    ids = known[session_key].to_numpy(), known[item_key].to_numpy()
    return TestSessions(known["_index"].to_numpy(), offsets, *ids, passed)


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
    """(Recall@cut_off, MRR@cut_off) of a trained model, both divided by the number of predicted events.

    Every event after a session's first is predicted from the session's prefix. items: rank among these item ids only.
    cut_off: an integer, or a list of them for a dict N -> (Recall@N, MRR@N) from one pass. batch_size: sessions read
    side by side. mode, the rank of a target with score t among the scored items: 'standard' #(other > t) + 1;
    'conservative' #(score >= t); 'median' #(other > t) + 0.5*(#(score == t) - 1) + 1; 'tiebreaking' standard after
    adding 1e-10 times uniform noise. A rank is at least 1. Raises ValueError for options or data that are not accepted.
    """
    _check_cut_off(cut_off)
    table = ranks(gru, test_data, items, session_key, item_key, time_key, batch_size, mode)
    return recall_and_mrr(table["rank"].to_numpy(), cut_off)


def ranks(
    gru,
    test_data,
    items=None,
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
    batch_size=100,
    mode="conservative",
):
    """The rank of every predicted event, in the order of the sorted test events.

    Returns a DataFrame (session, item, position, rank). Arguments as in :func:`evaluate_gpu`; position: 1 for the
    second event of a session, and so on.
    """
    _check(batch_size, mode)
    test = test_sessions(gru, test_data, session_key, item_key, time_key)
    listed = None if items is None else np.unique(gru.item_indices(items, "items"))
    H, at = _hidden_states(gru.model, test, batch_size)
    counted = _count_above(gru.model, H, test.items[at], listed, mode)
    position = at - np.repeat(test.offsets[:-1], np.diff(test.offsets))[at]
    return pd.DataFrame(
        {
            "session": test.session_ids[at],
            "item": test.item_ids[at],
            "position": position,
            "rank": _rank(*counted, mode),
        }
    )


def recall_and_mrr(rank, cut_off=20):
    """(Recall@N, MRR@N) of a vector of ranks; a dict of them by N for a list of cut-offs."""
    _check_cut_off(cut_off)
    if isinstance(cut_off, (int, np.integer)):
        hit = rank <= cut_off
        return float(np.mean(hit)), float(np.sum(1.0 / rank[hit]) / len(rank))
    return {int(N): recall_and_mrr(rank, int(N)) for N in cut_off}


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
    """The same figures as :func:`evaluate_gpu`, through ``pr.predict_next_batch`` only.

    pr: any predictor with ``itemidmap`` and ``predict_next_batch(session_ids, input_item_ids, predict_for_item_ids,
    batch)``; every evaluation starts from zero states where it has ``forget_predictions``. A predictor with
    ``dwell_time`` > 0 is also given ``dwell``.
    """
    _check(batch_size, mode)
    _check_cut_off(cut_off)
    test = test_sessions(pr, test_data, session_key, item_key, time_key)
    lengths = np.diff(test.offsets)
    order = np.flatnonzero(lengths > 1)
    batch = min(batch_size, len(order))
    noise = np.random.RandomState(_NOISE_SEED)
    positions = sessions.schedule(test.offsets, order, batch, n_sample=1)
    if hasattr(pr, "forget_predictions"):
        pr.forget_predictions()
    session_ids, input_ids = np.empty(batch, test.session_ids.dtype), np.empty(batch, test.item_ids.dtype)
    timed = {} if test.since_previous is None else {"dwell": np.full(batch, np.nan)}
    rank = []
    for row in positions:
        lanes = np.flatnonzero(row >= 0)
        session_ids[lanes], input_ids[lanes] = test.session_ids[row[lanes]], test.item_ids[row[lanes]]
        targets = test.item_ids[row[lanes] + 1]
        if timed:
            timed["dwell"][lanes] = test.since_previous[row[lanes]]
        wanted = None if items is None else pd.unique(np.concatenate([np.asarray(items), targets]))
        frame = pr.predict_next_batch(session_ids, input_ids, wanted, batch, **timed)
        scores = frame.to_numpy().T[lanes]
        if mode == "tiebreaking":
            scores = scores + 1e-10 * noise.rand(*scores.shape)
        column = frame.index.get_indexer(targets)
        target = scores[np.arange(len(lanes)), column][:, None]
        ranked = scores if items is None else scores[:, frame.index.get_indexer(np.unique(np.asarray(items)))]
        rank.append(_rank((ranked > target).sum(axis=1), (ranked == target).sum(axis=1), mode))
    return recall_and_mrr(np.concatenate(rank), cut_off)


def _rank(greater, equal, mode):
    """Ranks from the numbers of scored items above the target and level with it (itself too, where it is scored)."""
    rank = {
        "standard": lambda: greater + 1,
        "tiebreaking": lambda: greater + 1,
        "conservative": lambda: greater + equal,
        "median": lambda: greater + 0.5 * (equal - 1) + 1,
    }[mode]()
    return np.maximum(rank, 1)


def _hidden_states(model, test, batch_size):
    """The last layer's state before each predicted event, (P, L), and the events' positions, ascending (P,)."""
    layers, dtype = model.settings.layers, model.settings.dtype
    lengths = np.diff(test.offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 1]
    B = min(batch_size, len(order))

    buckets = None
    if model.settings.dwell_time:
        buckets = dwell.buckets(test.since_previous, model.settings.dwell_time)
    program = model.read_program(("hidden states", B), _reader(model))
    H = np.empty((len(test.items), layers[-1]), dtype)
    for start in range(0, len(order), B):
        block = order[start : start + B]
        hidden = [np.zeros((B, units), dtype) for units in layers]
        for step in range(0, int(lengths[block[0]]) - 1, _STEPS):
            within = step + np.arange(_STEPS)[:, None]
            real = within < (lengths[block] - 1)[None]
            at = np.where(real, test.offsets[block][None] + within, 0)
            X = np.zeros((_STEPS, B), np.int32)
            X[:, : len(block)] = np.where(real, test.items[at], 0)
            given = {"X": X, "steps": np.int32(real.any(axis=1).sum())}
            if buckets is not None:
                given["dwell"] = np.zeros_like(X)
                given["dwell"][:, : len(block)] = buckets[at]
            hidden, states = program({**given, **{f"hidden{k}": h for k, h in enumerate(hidden)}})
            H[at[real] + 1] = backends.to_numpy(states)[:, : len(block)][real]
    is_first = np.zeros(len(test.items), bool)
    is_first[test.offsets[:-1]] = True
    predicted = np.flatnonzero(~is_first)
    return H[predicted], predicted


def _reader(model):
    """Lanes read ``steps`` of the items X (T, B), in buckets ``dwell`` (T, B) with dwell_time.

    Gives the last states, and the last layer's at each step (T, B, L).
    """
    depth = len(model.settings.layers)

    def read(given):
        X = given["X"]
        start = [given[f"hidden{k}"] for k in range(depth)]
        states = ops.zeros((*X.shape, start[-1].shape[1]), start[-1].dtype)

        def body(t, hidden, states):
            buckets = ops.take(given["dwell"], t, axis=0) if "dwell" in given else None
            hidden = model.step_hidden(ops.take(X, t, axis=0), hidden, buckets)
            return t + 1, hidden, ops.scatter_update(states, ops.reshape(t, (1, 1)), hidden[-1][None])

        loop = ops.while_loop(lambda t, *_: t < given["steps"], body, (ops.zeros((), "int32"), start, states))
        return loop[1:]

    return read


def _count_above(model, H, targets, listed, mode):
    """For each of P events the number of scored items above the target, and level with it: two (P,) vectors.

    All n items are scored, or the ``listed`` ones. A target that is listed is compared by its own column, so that it is
    level with itself to the last bit.
    """
    width = model.n_items if listed is None else len(listed)
    E = int(np.clip(_SCORES // width, 8, 512))
    noise = np.random.RandomState(_NOISE_SEED) if mode == "tiebreaking" else None
    column = targets if listed is None else np.searchsorted(listed, targets)
    if listed is not None:
        column = np.where(listed[np.minimum(column, width - 1)] == targets, column, -1)
    program = model.read_program(("count above", E, width, mode == "tiebreaking"), _counter(model, listed is not None))
    counts = []
    for start in range(0, len(H), E):
        part = slice(start, start + E)
        inputs = {"H": H[part], "target": targets[part].astype(np.int32), "column": column[part].astype(np.int32)}
        inputs = {
            name: np.concatenate([v, np.zeros((E - len(v), *v.shape[1:]), v.dtype)]) for name, v in inputs.items()
        }
        if listed is not None:
            inputs["items"] = listed.astype(np.int32)
        if noise is not None:
            inputs["noise"] = (1e-10 * noise.rand(E, width)).astype(H.dtype)
        counts.append(np.stack([backends.to_numpy(c) for c in program(inputs)])[:, : len(H[part])])
    return np.concatenate(counts, axis=1)


def _counter(model, has_list):
    def count(given):
        H = given["H"]
        Wy, By = model.scorer.lookup(given["items"]) if has_list else (model.scorer.Wy, model.scorer.By)
        scores = H @ ops.transpose(Wy) + ops.transpose(By)
        column = ops.expand_dims(ops.relu(given["column"]), 1)
        if has_list:
            own_Wy, own_By = model.scorer.lookup(given["target"])
            own = ops.sum(H * own_Wy, axis=1, keepdims=True) + own_By
            # an unlisted target is scored with the list, as a last column that is not ranked
            scores = ops.concatenate([scores, own], axis=1)
            column = ops.where(ops.expand_dims(given["column"], 1) < 0, scores.shape[1] - 1, column)
        yhat = model.scorer.activation(scores, None, False)
        if "noise" in given:
            noise = given["noise"]
            yhat = yhat + (ops.pad(noise, ((0, 0), (0, 1))) if has_list else noise)
        target = ops.take_along_axis(yhat, column, axis=1)
        ranked = yhat[:, :-1] if has_list else yhat
        above = ops.sum(ops.cast(ranked > target, "int32"), axis=1)
        level = ops.sum(ops.cast(ops.equal(ranked, target), "int32"), axis=1)
        return above, level

    return count


def _check(batch_size, mode):
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: one of {', '.join(map(repr, MODES))} is accepted")
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r}: an integer of at least 1 is accepted")


def _check_cut_off(cut_off):
    single = isinstance(cut_off, (int, np.integer)) and not isinstance(cut_off, bool)
    values = [cut_off] if single else list(cut_off) if isinstance(cut_off, (list, tuple, np.ndarray)) else []
    if not values or not all(isinstance(N, (int, np.integer)) and N >= 1 for N in values):
        raise ValueError(f"cut_off={cut_off!r}: an integer of at least 1, or a list of them, is accepted")
