"""Top-k recommendation in Python, and a TensorFlow SavedModel for serving without this package."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from keras import ops

from keras_port import backend, dwell, files, item_ids, programs
from keras_port.model import SessionModel
from keras_port.prediction import hidden_of, require_finite


class Recommendations(NamedTuple):
    """Best items first: (k,) arrays for one session, (S, k) for S sessions."""

    items: np.ndarray  # ids
    scores: np.ndarray


def recommend(
    model: SessionModel, known: pd.Index, session_items: Any, k: int = 20, times: Any = None
) -> Recommendations:
    """Top-k next items of a running session, or of many at once.

    Items that the model does not know are passed over, as if they had not been clicked. Items of the session itself may
    be recommended again.

    Args:
        model: the network.
        known: its item ids, in index order.
        session_items: item ids, oldest first, for one session; several of these, in a list, for many.
        k: how many.
        times: with ``dwell_time``, the seconds at which the items were clicked, one for each and not falling, in the
            form of ``session_items``; without them no dwell is known.

    Raises:
        RuntimeError: the weights are not finite.
        ValueError: a session without any known item, times that do not fit, or a ``k`` outside 1..n.
    """
    require_finite(model, "recommend")
    k = _checked_k(k, model.n_items)
    if not np.iterable(session_items):
        raise TypeError(f"session_items={session_items!r}: item ids, or several lists of them, are accepted")
    session_items = list(session_items)
    lists = [isinstance(part, Iterable) and not isinstance(part, str) for part in session_items]
    many = bool(lists) and all(lists)
    histories, times = (session_items, times) if many else ([session_items], None if times is None else [times])
    found = [_find(known, list(items), number) for number, items in enumerate(histories)]
    inputs = {"X": _lanes([indices[indices >= 0] for indices in found])}
    if model.settings.dwell_time or times is not None:
        inputs["dwell"] = _lanes(_buckets(model, found, times))
    h = _read(model, inputs, np.array([(indices >= 0).sum() for indices in found]))
    best = partial(best_items, k=min(programs.rounded(k), model.n_items))
    scores, indices, fails = (backend.to_numpy(part) for part in programs.read(best, model, {"h": h}))
    if fails:
        raise RuntimeError("the model's scores are not finite: it cannot recommend")
    items, scores = known.to_numpy()[indices[: len(found), :k]], scores[: len(found), :k]
    return Recommendations(items, scores) if many else Recommendations(items[0], scores[0])


def advance(model: SessionModel, given: Mapping[str, Any]) -> list[Any]:
    """The hidden states after one more item ``X`` of each lane."""
    return model.step_hidden(given["X"], hidden_of(model, given), given.get("dwell"))


def best_items(model: SessionModel, given: Mapping[str, Any], k: int) -> tuple[Any, Any, Any]:
    """The k best scores and their items, (M, k) each, after the last layer's states ``h``; whether a score is NaN."""
    scores = model.scorer(given["h"])
    return (*model.split.top_k(scores, k), ops.any(ops.isnan(scores)))


def _read(model: SessionModel, inputs: Mapping[str, np.ndarray], length: np.ndarray) -> np.ndarray:
    """The last layer's states after the items of each lane, whose first ``length`` (S,) count."""
    lanes, steps = inputs["X"].shape
    hidden = [np.zeros((lanes, units), model.settings.dtype) for units in model.settings.layers]
    for step in range(steps):
        newest = {name: values[:, step] for name, values in inputs.items()}
        states = programs.read(advance, model, {**newest, **{f"hidden{j}": H for j, H in enumerate(hidden)}})
        reading = np.pad(step < length, (0, lanes - len(length)))[:, None]
        hidden = [np.where(reading, backend.to_numpy(new), old) for new, old in zip(states, hidden)]
    return hidden[-1]


def export(model: SessionModel, known: pd.Index, path: str | os.PathLike, k: int = 20) -> None:
    """Write a TensorFlow SavedModel directory with one signature, ``serving_default``.

    Its inputs: ``item_id`` (M,), int64 or string, the newest item of each session; ``hidden_0`` (M, L_0), ..., its
    state, zeros for a new session; with ``dwell_time`` also ``dwell`` (M,) float64, the seconds since each session's
    event before, negative or NaN for none. Its outputs: ``item_ids`` and ``scores`` (M, k), best first, and the next
    state ``next_hidden_0``, ... An unknown item leaves the state as it is.

    Args:
        model: the network.
        known: its item ids, in index order.
        path: of the directory, which must not exist.
        k: how many items are served.

    Raises:
        FileNotFoundError: the folder that ``path`` would stand in is missing.
        RuntimeError: the weights are not finite.
        ValueError: Keras does not run on TensorFlow, ``path`` exists, or the ids fit no table of TensorFlow.
    """
    if backend.NAME != "tensorflow":
        raise ValueError(
            f"export with KERAS_BACKEND={backend.NAME}: save the model and load it under KERAS_BACKEND=tensorflow"
        )
    k, path = _checked_k(k, model.n_items), Path(path)
    require_finite(model, "be exported")
    if path.exists():
        raise ValueError(f"path={path}: exists already")
    files.check_folder(path)
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        module = _serving_module(model, known, k)
        tf.saved_model.save(module, f"{name}/model", signatures={"serving_default": module.serve})
        os.replace(f"{name}/model", path)


def _serving_module(model: SessionModel, known: pd.Index, k: int) -> Any:
    import tensorflow as tf

    settings, ids = model.settings, known.to_numpy()
    if ids.dtype.kind == "f" or (ids.dtype.kind == "u" and ids.max() >= 2**63):
        raise ValueError(f"item ids of type {ids.dtype}: TensorFlow accepts texts, or whole numbers below 2^63")
    id_type = tf.int64 if ids.dtype.kind in "iu" else tf.string
    module = tf.Module()
    module.item_ids = tf.Variable(tf.constant(ids.tolist(), id_type), trainable=False, name="item_ids")
    pairs = tf.lookup.KeyValueTensorInitializer(ids.tolist(), np.arange(len(ids)), id_type, tf.int64)
    module.indices = tf.lookup.StaticHashTable(pairs, default_value=-1)
    module.parts = [variable.value for variable in model.named_weights.values()]
    signature = {"item_id": tf.TensorSpec([None], id_type)}
    for j, units in enumerate(settings.layers):
        signature[f"hidden_{j}"] = tf.TensorSpec([None, units], settings.dtype)
    if settings.dwell_time:
        signature["dwell"] = tf.TensorSpec([None], tf.float64)

    def serve(**given: Any) -> dict[str, Any]:
        index = module.indices.lookup(given["item_id"])
        old = [given[f"hidden_{j}"] for j in range(len(settings.layers))]
        buckets = None
        if "dwell" in given:
            passed, ends = given["dwell"][:, None], dwell.bounds(settings.dwell_time)
            # 1 for the first bucket and 1 more for each lower end that is reached; NaN reaches none
            buckets = tf.reduce_sum(tf.cast(passed >= np.concatenate([[0.0], ends]), tf.int32), axis=1)
        new = model.step_hidden(tf.maximum(index, 0), old, buckets)
        is_known = (index >= 0)[:, None]
        hidden = [tf.where(is_known, after, before) for after, before in zip(new, old)]
        scores, best = tf.math.top_k(model.scorer(hidden[-1]), k)
        result = {"item_ids": tf.gather(module.item_ids, best), "scores": scores}
        return {**result, **{f"next_hidden_{j}": H for j, H in enumerate(hidden)}}

    module.serve = tf.function(serve).get_concrete_function(**signature)
    return module


def _find(known: pd.Index, items: Sequence[Any], session: int) -> np.ndarray:
    """Indices of a session's items, -1 for those that the model does not know."""
    indices = item_ids.find(known, item_ids.given_by_user(items))
    if not (indices >= 0).any():
        raise ValueError(f"session_items: session {session} has no item that the model knows, given {items!r}")
    return indices


def _buckets(model: SessionModel, found: Sequence[np.ndarray], times: Any) -> list[np.ndarray]:
    """The dwell buckets of each session's known items; time counts from the known item before."""
    if times is not None and len(times) != len(found):
        raise ValueError(f"times has {len(times)} sessions: as many as session_items, {len(found)}, are accepted")
    buckets: list[np.ndarray] = []
    for session, indices in enumerate(found):
        given = None
        if times is not None:
            clicked = dwell.check_session(times[session], len(indices), session)[indices >= 0]
            given = dwell.since_previous(clicked, np.array([0, len(clicked)]))
        found_buckets = dwell.given_buckets(given, (indices >= 0).sum(), model.settings.dwell_time)
        if found_buckets is not None:  # with times and without dwell_time it has raised
            buckets.append(found_buckets)
    return buckets


def _lanes(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Vectors of S lanes as one (lanes, T) array, filled up by zeros."""
    lanes = 1 << (len(rows) - 1).bit_length()  # few distinct shapes, so that few programs are compiled
    filled = np.zeros((lanes, max(map(len, rows))), np.int32)
    for lane, row in enumerate(rows):
        filled[lane, : len(row)] = row
    return filled


def _checked_k(k: Any, n_items: int) -> int:
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n_items:
        raise ValueError(f"k={k!r}: a whole number from 1 to {n_items}, the items of the model, is accepted")
    return int(k)
