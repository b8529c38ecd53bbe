"""Top-k recommendation in Python, and a TensorFlow SavedModel for serving without this package."""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from keras import ops

from keras_port import backends


class Recommendations(NamedTuple):
    """Best items first: (k,) arrays for one session, (S, k) for S sessions."""

    items: np.ndarray
    scores: np.ndarray


def recommend(gru, session_items, k=20):
    """Top-k next items of a running session, or of many at once.

    session_items: item ids, oldest first, for one session; a list of such lists for many. Items that the model does not
    know are passed over, as if they had not been clicked. Items of the session itself may be recommended again. Returns
    :class:`Recommendations`. Raises ValueError for a session without any known item, or a ``k`` outside 1..n.
    """
    _check_k(k, gru.n_items)
    session_items = list(session_items)
    many = bool(session_items) and all(isinstance(part, (list, tuple, np.ndarray)) for part in session_items)
    histories = [_known(gru, items, at) for at, items in enumerate(session_items if many else [session_items])]
    lanes = 1 << (len(histories) - 1).bit_length()  # few distinct shapes, so that few programs are compiled
    X = np.zeros((lanes, max(map(len, histories))), np.int32)
    length = np.zeros(lanes, int)
    for lane, history in enumerate(histories):
        X[lane, : len(history)], length[lane] = history, len(history)
    hidden = [np.zeros((lanes, units), gru.dtype) for units in gru.layers]
    advance = gru.model.read_program("advance", lambda given: gru.model.step_hidden(given["X"], _hidden(gru, given)))
    for step in range(X.shape[1]):
        after = advance({"X": X[:, step], **{f"hidden{j}": H for j, H in enumerate(hidden)}})
        reading = (step < length)[:, None]
        hidden = [np.where(reading, backends.to_numpy(new), old) for new, old in zip(after, hidden)]
    best = gru.model.read_program(("best", k), lambda given: ops.top_k(gru.model.scorer(given["h"]), k))
    scores, indices = (backends.to_numpy(part)[: len(histories)] for part in best({"h": hidden[-1]}))
    items = gru.itemidmap.index.to_numpy()[indices]
    return Recommendations(items, scores) if many else Recommendations(items[0], scores[0])


def export(gru, path, k=20):
    """Write a TensorFlow SavedModel directory with one signature, ``serving_default``.

    Inputs: ``item_id`` (M,), int64 or string, the newest item of each session; ``hidden_0`` (M, L_0), ..., its state,
    zeros for a new session. Outputs: ``item_ids`` and ``scores`` (M, k), best first, and the next state
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

    def serve(**given):
        index = module.indices.lookup(given["item_id"])
        old = [given[f"hidden_{j}"] for j in range(len(gru.layers))]
        new = gru.model.step_hidden(tf.maximum(index, 0), old)
        known = (index >= 0)[:, None]
        hidden = [tf.where(known, after, before) for after, before in zip(new, old)]
        scores, best = tf.math.top_k(gru.model.scorer(hidden[-1]), k)
        result = {"item_ids": tf.gather(module.item_ids, best), "scores": scores}
        return {**result, **{f"next_hidden_{j}": H for j, H in enumerate(hidden)}}

    module.serve = tf.function(serve).get_concrete_function(**signature)
    return module


def _hidden(gru, given):
    return [given[f"hidden{j}"] for j in range(len(gru.layers))]


def _known(gru, items, session):
    indices = gru.itemidmap.index.get_indexer(list(items))
    if not (indices >= 0).any():
        raise ValueError(f"session_items: session {session} has no item that the model knows, given {list(items)!r}")
    return indices[indices >= 0]


def _check_k(k, n_items):
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n_items:
        raise ValueError(f"k={k!r}: an integer from 1 to the {n_items} items of the model is accepted")
