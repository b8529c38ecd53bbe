"""Top-k recommendation in Python, and a TensorFlow SavedModel for serving without this package."""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from keras import ops

from keras_port import backends, dwell


class Recommendations(NamedTuple):
    """Best items first: (k,) arrays for one session, (S, k) for S sessions."""

    items: np.ndarray
    scores: np.ndarray


def recommend(gru, session_items, k=20, times=None):
    """Top-k next items of a running session, or of many at once.

    session_items: item ids, oldest first, for one session; a list of such lists for many. Items that the model does not
    know are passed over, as if they had not been clicked. Items of the session itself may be recommended again. times,
    with ``dwell_time``: the seconds at which the items were clicked, one for each and not falling, in the form of
    ``session_items``; without them no dwell is known. Returns :class:`Recommendations`. Raises ValueError for a session
    without any known item, times that do not fit, or a ``k`` outside 1..n.
    """
    _check_k(k, gru.n_items)
    session_items = list(session_items)
    many = bool(session_items) and all(isinstance(part, (list, tuple, np.ndarray)) for part in session_items)
    histories, times = (session_items, times) if many else ([session_items], None if times is None else [times])
    found = [_find(gru, items, at) for at, items in enumerate(histories)]
    length = np.array([(indices >= 0).sum() for indices in found])
    inputs = {"X": _lanes([indices[indices >= 0] for indices in found])}
    if gru.model.settings.dwell_time or times is not None:
        inputs["dwell"] = _lanes(_buckets(gru, found, times))
    lanes, steps = inputs["X"].shape
    hidden = [np.zeros((lanes, units), gru.dtype) for units in gru.layers]
    advance = gru.model.read_program(
        "advance", lambda given: gru.model.step_hidden(given["X"], _hidden(gru, given), given.get("dwell"))
    )
    for step in range(steps):
        newest = {name: values[:, step] for name, values in inputs.items()}
        after = advance({**newest, **{f"hidden{j}": H for j, H in enumerate(hidden)}})
        reading = np.pad(step < length, (0, lanes - len(length)))[:, None]
        hidden = [np.where(reading, backends.to_numpy(new), old) for new, old in zip(after, hidden)]
    best = gru.model.read_program(("best", k), lambda given: ops.top_k(gru.model.scorer(given["h"]), k))
    scores, indices = (backends.to_numpy(part)[: len(found)] for part in best({"h": hidden[-1]}))
    items = gru.itemidmap.index.to_numpy()[indices]
    return Recommendations(items, scores) if many else Recommendations(items[0], scores[0])


def export(gru, path, k=20):
    """Write a TensorFlow SavedModel directory with one signature, ``serving_default``.

    Inputs: ``item_id`` (M,), int64 or string, the newest item of each session; ``hidden_0`` (M, L_0), ..., its state,
    zeros for a new session; with ``dwell_time`` also ``dwell`` (M,) float64, the seconds since each session's event
    before, negative or NaN for none. Outputs: ``item_ids`` and ``scores`` (M, k), best first, and the next state
    ``next_hidden_0``, ... An unknown item leaves the state as it is. Raises ValueError where Keras does not run on
    TensorFlow or ``path`` exists.
    """
    if backends.BACKEND != "tensorflow":
        raise ValueError(
            f"export with KERAS_BACKEND={backends.BACKEND}: save the model and load it under KERAS_BACKEND=tensorflow"
        )
    _check_k(k, gru.n_items)
    path = Path(path)
    if path.exists():
        raise ValueError(f"path={path}: exists already")
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        module = _serving_module(gru, k)
        tf.saved_model.save(module, f"{name}/model", signatures={"serving_default": module.serve})
        os.replace(f"{name}/model", path)


def _serving_module(gru, k):
    import tensorflow as tf

    ids = gru.itemidmap.index
    id_type = tf.int64 if pd.api.types.is_integer_dtype(ids.dtype) else tf.string
    module = tf.Module()
    module.item_ids = tf.Variable(tf.constant(ids.tolist(), id_type), trainable=False, name="item_ids")
    pairs = tf.lookup.KeyValueTensorInitializer(ids.tolist(), np.arange(len(ids)), id_type, tf.int64)
    module.indices = tf.lookup.StaticHashTable(pairs, default_value=-1)
    module.parts = [variable.value for variable in gru.model.named_weights.values()]
    signature = {"item_id": tf.TensorSpec([None], id_type)}
    for j, units in enumerate(gru.layers):
        signature[f"hidden_{j}"] = tf.TensorSpec([None, units], gru.dtype)

    if gru.model.settings.dwell_time:
        signature["dwell"] = tf.TensorSpec([None], tf.float64)

    def serve(**given):
        index = module.indices.lookup(given["item_id"])
        old = [given[f"hidden_{j}"] for j in range(len(gru.layers))]
        buckets = None
        if "dwell" in given:
            passed, ends = given["dwell"][:, None], dwell.bounds(gru.model.settings.dwell_time)
            # 1 for the first bucket and 1 more for each lower end that is reached; NaN reaches none
            buckets = tf.reduce_sum(tf.cast(passed >= np.concatenate([[0.0], ends]), tf.int32), axis=1)
        new = gru.model.step_hidden(tf.maximum(index, 0), old, buckets)
        known = (index >= 0)[:, None]
        hidden = [tf.where(known, after, before) for after, before in zip(new, old)]
        scores, best = tf.math.top_k(gru.model.scorer(hidden[-1]), k)
        result = {"item_ids": tf.gather(module.item_ids, best), "scores": scores}
        return {**result, **{f"next_hidden_{j}": H for j, H in enumerate(hidden)}}

    module.serve = tf.function(serve).get_concrete_function(**signature)
    return module


def _hidden(gru, given):
    return [given[f"hidden{j}"] for j in range(len(gru.layers))]


def _find(gru, items, session):
    """Indices of a session's items, -1 for those that the model does not know."""
    indices = gru.itemidmap.index.get_indexer(list(items))
    if not (indices >= 0).any():
        raise ValueError(f"session_items: session {session} has no item that the model knows, given {list(items)!r}")
    return indices


def _buckets(gru, found, times):
    """The dwell buckets of each session's known items; time counts from the known item before."""
    if times is not None and len(times) != len(found):
        raise ValueError(f"times has {len(times)} sessions: as many as session_items, {len(found)}, are accepted")
    buckets = []
    for session, indices in enumerate(found):
        given = None
        if times is not None:
            clicked = dwell.check_session(times[session], len(indices), session)[indices >= 0]
            given = dwell.since_previous(clicked, np.array([0, len(clicked)]))
        buckets.append(dwell.given_buckets(given, (indices >= 0).sum(), gru.model.settings.dwell_time))
    return buckets


def _lanes(rows):
    """Vectors of S lanes as one (lanes, T) array, filled up by zeros."""
    lanes = 1 << (len(rows) - 1).bit_length()  # few distinct shapes, so that few programs are compiled
    filled = np.zeros((lanes, max(map(len, rows))), np.int32)
    for lane, row in enumerate(rows):
        filled[lane, : len(row)] = row
    return filled


def _check_k(k, n_items):
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n_items:
        raise ValueError(f"k={k!r}: an integer from 1 to the {n_items} items of the model is accepted")
