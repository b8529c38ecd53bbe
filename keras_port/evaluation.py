"""Recall@N and MRR@N of next-item prediction, over all items or over a list, with four ways to rank ties."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from keras import ops

from keras_port import backend, dwell, item_ids, programs
from keras_port.batches import schedule
from keras_port.events import Columns, Events, read_known
from keras_port.model import SessionModel
from keras_port.prediction import hidden_of, require_finite
from keras_port.toplists import top

MODES = ("standard", "conservative", "median", "tiebreaking")
NO_WEIGHTS = "the model has no weights yet: call fit, prepare, build or load first"
_STEPS = 16  # events a lane reads in one call
_SCORES = 2**23  # scores of one block
_NOISE_SEED = 0


def events_of(
    gru: Any, test_data: Any, session_key: str | None = None, item_key: str | None = None, time_key: str | None = None
) -> Events:
    """The events of a frame whose items the model knows; the others are dropped first.

    Columns default to the model's.

    Raises:
        RuntimeError: the model has no weights yet.
        TypeError: ``test_data`` is no frame.
        ValueError: the frame cannot be read, or has no event to predict.
    """
    if gru.itemidmap is None:
        raise RuntimeError(NO_WEIGHTS)
    columns = Columns(session_key or gru.session_key, item_key or gru.item_key, time_key or gru.time_key)
    events = read_known(test_data, columns, gru.itemidmap.index)
    if getattr(gru, "dwell_time", 0):
        dwell.check_times(events.times, f"test_data: column {columns.time!r}")
    if not (np.diff(events.offsets) > 1).any():
        raise ValueError("test_data: a session with two events of items that the model knows is needed, there is none")
    return events


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
) -> Any:
    """Recall and MRR of a trained model, both divided by the number of predicted events.

    Every event after a session's first is predicted from the session's prefix.

    Args:
        gru: a :class:`~keras_port.gru4rec.GRU4Rec`.
        test_data: DataFrame of events.
        items: rank among these item ids only; None for all items.
        session_key: its column of sessions.
        item_key: its column of items.
        time_key: its column of times.
        cut_off: N, or several in a list, tuple, set or array.
        batch_size: sessions read side by side.
        mode: the rank of a target with score t among the scored items: 'standard' #(other > t) + 1; 'conservative'
            #(score >= t); 'median' #(other > t) + 0.5*(#(score == t) - 1) + 1; 'tiebreaking' standard after adding
            1e-10 times uniform noise. A rank is at least 1.

    Returns:
        (Recall@N, MRR@N); for several N a dict of them by N, from one pass.

    Raises:
        RuntimeError: the model has no weights, or weights that are not finite.
        TypeError: ``test_data`` is no frame.
        ValueError: options or data are not accepted.
    """
    check_cut_off(cut_off)
    table = ranks(gru, test_data, items, session_key, item_key, time_key, batch_size, mode)
    return recall_and_mrr(table["rank"].to_numpy(), cut_off)


def ranks(
    gru: Any,
    test_data: Any,
    items: Any = None,
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
    batch_size: int = 100,
    mode: str = "conservative",
) -> pd.DataFrame:
    """The rank of every predicted event, in the order of the sorted test events.

    Arguments and errors as in :func:`evaluate_gpu`.

    Returns:
        DataFrame (session, item, position, rank); position: 1 for the second event of a session, and so on.
    """
    _check(batch_size, mode)
    events = events_of(gru, test_data, session_key, item_key, time_key)
    listed = None if items is None else np.unique(gru.item_indices(items, "items"))
    predicted, rank = rank_events(gru.model, events, listed, int(batch_size), mode)
    lengths = np.diff(events.offsets)
    return pd.DataFrame(
        {
            "session": np.repeat(events.session_ids, lengths)[predicted],
            "item": events.item_ids[events.items[predicted]],
            "position": predicted - np.repeat(events.offsets[:-1], lengths)[predicted],
            "rank": rank.astype(np.float64),
        }
    )


def lists(
    gru: Any,
    test_data: Any,
    session_key: str = "SessionId",
    item_key: str = "ItemId",
    time_key: str = "Time",
    length: int = 20,
    batch_size: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """(item indices, scores), (P, length) each: the best items for every row of :func:`ranks`, best first.

    Arguments and errors as in :func:`evaluate_gpu`.
    """
    events = events_of(gru, test_data, session_key, item_key, time_key)
    require_finite(gru.model, "be evaluated")
    H, _ = hidden_states(gru.model, events, batch_size)
    return top(gru.model, H, length)


def rank_events(
    model: SessionModel, events: Events, listed: np.ndarray | None = None, batch_size: int = 100, mode: str = MODES[1]
) -> tuple[np.ndarray, np.ndarray]:
    """The predicted events (P,), ascending, and their ranks (P,); ``listed``: ascending indices of the ranked items."""
    require_finite(model, "be evaluated")
    H, predicted = hidden_states(model, events, batch_size)
    counted = count_above(model, H, events.items[predicted].astype(np.int64), listed, mode)
    return predicted, rank_of(*counted, mode)


class Validation:
    """Recall@20 and MRR@20 of a model on events that are read once, before the training."""

    def __init__(self, gru: Any, validation_data: Any):
        self.model, self.events = gru.model, events_of(gru, validation_data)

    def __call__(self) -> dict[str, float]:
        """The metrics, with the present weights."""
        recall, mrr = recall_and_mrr(rank_events(self.model, self.events)[1])
        return {"recall@20": recall, "mrr@20": mrr}


def recall_and_mrr(rank: np.ndarray, cut_off: Any = 20) -> Any:
    """(Recall@N, MRR@N) of a vector of ranks; a dict of them by N for a list of cut-offs."""
    check_cut_off(cut_off)
    if not isinstance(cut_off, (list, tuple, set, frozenset, np.ndarray)):
        hit = rank <= cut_off
        return float(np.mean(hit)), float(np.sum(1.0 / rank[hit]) / len(rank))
    return {int(N): recall_and_mrr(rank, int(N)) for N in cut_off}


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
) -> Any:
    """The same figures as :func:`evaluate_gpu`, through ``pr.predict_next_batch`` only.

    Args:
        pr: any predictor with ``itemidmap`` and ``predict_next_batch(session_ids, input_item_ids,
            predict_for_item_ids, batch)``; every evaluation starts from zero states where it has
            ``forget_predictions``. A predictor with ``dwell_time`` > 0 is also given ``dwell``.
        test_data: and what follows as in :func:`evaluate_gpu`, as are results and errors.
    """
    _check(batch_size, mode)
    check_cut_off(cut_off)
    events = events_of(pr, test_data, session_key, item_key, time_key)
    if isinstance(getattr(pr, "model", None), SessionModel):
        require_finite(pr.model, "be evaluated")
    known = pr.itemidmap.index
    listed = None if items is None else known.to_numpy()[np.unique(item_ids.indices_of(known, items, "items"))]
    lengths = np.diff(events.offsets)
    order = np.flatnonzero(lengths > 1)
    batch = min(int(batch_size), len(order))
    noise = np.random.RandomState(_NOISE_SEED)
    passed = dwell.since_previous(events.times, events.offsets) if getattr(pr, "dwell_time", 0) else None
    if hasattr(pr, "forget_predictions"):
        pr.forget_predictions()
    ids, sessions = events.item_ids[events.items], np.repeat(events.session_ids, lengths)
    session_ids, input_ids = np.empty(batch, sessions.dtype), np.empty(batch, ids.dtype)
    timed = {} if passed is None else {"dwell": np.full(batch, np.nan)}
    rank = []
    for row in schedule(events.offsets, order, batch, n_sample=1):
        lanes = np.flatnonzero(row >= 0)
        session_ids[lanes], input_ids[lanes] = sessions[row[lanes]], ids[row[lanes]]
        targets = ids[row[lanes] + 1]
        if passed is not None:
            timed["dwell"][lanes] = passed[row[lanes]]
        wanted = None if listed is None else pd.unique(np.concatenate([listed, targets]))
        frame = pr.predict_next_batch(session_ids, input_ids, wanted, batch, **timed)
        scores = frame.to_numpy().T[lanes]
        if mode == "tiebreaking":
            scores = scores + 1e-10 * noise.rand(*scores.shape)
        target = scores[np.arange(len(lanes)), frame.index.get_indexer(targets)][:, None]
        ranked = scores if listed is None else scores[:, frame.index.get_indexer(listed)]
        # not (score <= target) is score > target, and true for NaN, which is never ranked first
        rank.append(rank_of((~(ranked <= target)).sum(axis=1), (ranked == target).sum(axis=1), mode))
    return recall_and_mrr(np.concatenate(rank), cut_off)


def rank_of(greater: np.ndarray, equal: np.ndarray, mode: str) -> np.ndarray:
    """Ranks from the numbers of scored items above the target and level with it (itself too, where it is scored)."""
    rank = {
        "standard": lambda: greater + 1,
        "tiebreaking": lambda: greater + 1,
        "conservative": lambda: greater + equal,
        "median": lambda: greater + 0.5 * (equal - 1) + 1,
    }[mode]()
    return np.maximum(rank, 1)


def hidden_states(
    model: SessionModel, events: Events, batch_size: int, buckets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The last layer's state before each predicted event, (P, L), and the events' positions, ascending (P,).

    buckets: (E,) of the dwell; None takes them from the events' times.
    """
    layers, dtype = model.settings.layers, model.settings.dtype
    lengths = np.diff(events.offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 1]
    B = programs.rounded(min(batch_size, len(order)))
    if model.settings.dwell_time and buckets is None:
        passed = dwell.since_previous(events.times, events.offsets)
        buckets = dwell.buckets(passed, model.settings.dwell_time)
    H = np.empty((len(events.items), layers[-1]), dtype)
    for start in range(0, len(order), B):
        block = order[start : start + B]
        hidden = [np.zeros((B, units), dtype) for units in layers]
        for step in range(0, int(lengths[block[0]]) - 1, _STEPS):
            within = step + np.arange(_STEPS)[:, None]
            real = within < (lengths[block] - 1)[None]
            positions = np.where(real, events.offsets[block][None] + within, 0)
            X = np.zeros((_STEPS, B), np.int32)
            X[:, : len(block)] = np.where(real, events.items[positions], 0)
            given: dict[str, Any] = {"X": X, "steps": np.int32(real.any(axis=1).sum())}
            if buckets is not None:
                given["dwell"] = np.zeros_like(X)
                given["dwell"][:, : len(block)] = buckets[positions]
            given.update({f"hidden{k}": state for k, state in enumerate(hidden)})
            hidden, states = programs.read(read_items, model, given)
            H[positions[real] + 1] = backend.to_numpy(states)[:, : len(block)][real]
    is_first = np.zeros(len(events.items), bool)
    is_first[events.offsets[:-1]] = True
    predicted = np.flatnonzero(~is_first)
    return H[predicted], predicted


def read_items(model: SessionModel, given: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """Lanes read ``steps`` of the items X (T, B), in buckets ``dwell`` (T, B) with dwell_time.

    Gives the last states, and the last layer's at each step (T, B, L).
    """
    X, start = given["X"], hidden_of(model, given)
    states = ops.zeros((*X.shape, start[-1].shape[1]), start[-1].dtype)

    def body(t: Any, hidden: list[Any], states: Any) -> tuple[Any, list[Any], Any]:
        buckets = ops.take(given["dwell"], t, axis=0) if "dwell" in given else None
        hidden = model.step_hidden(ops.take(X, t, axis=0), hidden, buckets)
        return t + 1, hidden, ops.scatter_update(states, ops.reshape(t, (1, 1)), hidden[-1][None])

    _, hidden, states = ops.while_loop(lambda t, *_: t < given["steps"], body, (ops.zeros((), "int32"), start, states))
    return hidden, states


def count_above(
    model: SessionModel, H: np.ndarray, targets: np.ndarray, listed: np.ndarray | None, mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """For each of P events the number of scored items above the target, and level with it: two (P,) vectors.

    All n items are scored, or the ``listed`` ones. A target that is listed is compared by its own column, so that it is
    level with itself to the last bit.
    """
    count = model.n_items if listed is None else len(listed)
    width = model.split.rows if listed is None else programs.rounded(count)
    E = int(np.clip(_SCORES // width, 8, 512))
    noise = np.random.RandomState(_NOISE_SEED) if mode == "tiebreaking" else None
    column = targets
    if listed is not None:
        column = np.searchsorted(listed, targets)
        column = np.where(listed[np.minimum(column, count - 1)] == targets, column, -1)
    counts = []
    for start in range(0, len(H), E):
        part = slice(start, start + E)
        inputs = {"H": H[part], "target": targets[part].astype(np.int32), "column": column[part].astype(np.int32)}
        inputs = {
            name: np.concatenate([v, np.zeros((E - len(v), *v.shape[1:]), v.dtype)]) for name, v in inputs.items()
        }
        if listed is not None:
            inputs["items"] = np.pad(listed, (0, width - count)).astype(np.int32)
            inputs["listed"] = np.arange(width) < count
        if noise is not None:
            drawn = np.zeros((E, width + (listed is not None)))
            drawn[:, :count] = noise.rand(E, count)
            if listed is not None:
                drawn[:, -1] = noise.rand(E)  # of a target that is not listed
            inputs["noise"] = (1e-10 * drawn).astype(H.dtype)
        found = [backend.to_numpy(count)[: len(H[part])] for count in programs.read(count_block, model, inputs)]
        counts.append(np.stack(found))
    return tuple(np.concatenate(counts, axis=1))


def count_block(model: SessionModel, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """:func:`count_above` for one block of events, E of them.

    given: ``H`` (E, L), ``target`` (E,), its ``column`` (E,), -1 for one that is not listed; for a list ``items`` (W,)
    and ``listed`` (W,), false where the list is filled up; ``noise`` that is added, (E, W), with a list
    (E, W + 1), whose last is that of an unlisted target.
    """
    H, has_list = given["H"], "items" in given
    columns: Any = model.split.real_columns()
    Wy, By = model.scorer.lookup(given["items"]) if has_list else (model.scorer.Wy, model.scorer.By)
    scores = H @ ops.transpose(Wy) + ops.transpose(By)
    column = ops.expand_dims(ops.relu(given["column"]), 1)
    if has_list:
        own_Wy, own_By = model.scorer.lookup(given["target"])
        own = ops.sum(H * own_Wy, axis=1, keepdims=True) + own_By
        # an unlisted target is scored with the list, as a last column that is not ranked
        scores = ops.concatenate([scores, own], axis=1)
        column = ops.where(ops.expand_dims(given["column"], 1) < 0, scores.shape[1] - 1, column)
        columns = ops.reshape(ops.concatenate([given["listed"], ops.ones((1,), "bool")]), (1, -1))
    yhat = model.scorer.activation(scores, columns, False)
    target = ops.take_along_axis(yhat, column, axis=1)
    if "noise" in given:
        # float32 has no room for 1e-10 beside most scores: differences are compared, with the noises' difference added
        noise = given["noise"] - ops.take_along_axis(given["noise"], column, axis=1)
        yhat = ops.where(ops.equal(yhat, target), ops.zeros_like(yhat), yhat - target) + noise
        target = ops.zeros_like(target)
    ranked = yhat[:, :-1] if has_list else yhat
    # not (score <= target) is score > target, and true for NaN, which is never ranked first
    above, level = ops.logical_not(ranked <= target), ops.equal(ranked, target)
    if columns is not None:
        real = columns[:, :-1] if has_list else columns
        above, level = (ops.logical_and(found, real) for found in (above, level))
    return tuple(ops.sum(ops.cast(found, "int32"), axis=1) for found in (above, level))


def _check(batch_size: Any, mode: Any) -> None:
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: {', '.join(MODES[:-1])} or {MODES[-1]} is accepted")
    if not _is_count(batch_size):
        raise ValueError(f"batch_size={batch_size!r}: a whole number of at least 1 is accepted")


def check_cut_off(cut_off: Any) -> None:
    """Raise ValueError unless ``cut_off`` is a whole number of at least 1, or one or more of them."""
    many = isinstance(cut_off, (list, tuple, set, frozenset, np.ndarray))
    values = list(cut_off) if many else [cut_off]
    if not values or not all(map(_is_count, values)):
        raise ValueError(
            f"cut_off={cut_off!r}: a whole number of at least 1, or a list of one or more of them, is accepted"
        )


def _is_count(value: Any) -> bool:
    number = isinstance(value, (int, np.integer, float, np.floating)) and not isinstance(value, bool)
    return bool(number and value >= 1 and value == np.floor(value) < np.inf)
