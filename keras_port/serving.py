"""Top-k recommendation in Python, and a TensorFlow SavedModel for serving without this package."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from keras_port import backend, dwell, files, item_ids
from keras_port.evaluation import hidden_states
from keras_port.events import Columns, Events, read_known
from keras_port.model import SessionModel
from keras_port.prediction import require_finite
from keras_port.toplists import top

_LANES = 512  # sessions read side by side
_PART = 8192  # sessions whose states are held at once


class Recommendations(NamedTuple):
    """Best items first: (k,) arrays for one session, (S, k) for S sessions."""

    items: np.ndarray  # ids
    scores: np.ndarray


def recommend(
    model: SessionModel,
    known: pd.Index,
    session_items: Any,
    k: int = 20,
    times: Any = None,
    exclude: Any = None,
    exclude_seen: bool = False,
) -> Any:
    """Top-k next items of a running session, of many at once, or of all sessions of a frame.

    Items that the model does not know are passed over, as if they had not been clicked. Items of the session itself may
    be recommended again, unless ``exclude_seen``.

    Args:
        model: the network.
        known: its item ids, in index order.
        session_items: item ids, oldest first, for one session; several of these, in a list, for many; or a pandas or
            Polars frame of events, whose columns are those that the model was trained on.
        k: how many.
        times: with ``dwell_time``, the seconds at which the items were clicked, one for each and not falling, in the
            form of ``session_items``; without them no dwell is known. A frame has its own.
        exclude: item ids that are never recommended; those that the model does not know do not matter.
        exclude_seen: leave out the items of the session itself.

    Returns:
        :class:`Recommendations`. Of a frame a pandas DataFrame, sorted: the session and the item column, ``Rank`` from
        1 and ``Score``; sessions without any known item are left out, and a session has fewer rows where fewer items
        are left.

    Raises:
        RuntimeError: the weights are not finite.
        ValueError: a session without any known item, times that do not fit, or a ``k`` outside 1..n, n being the items
            that are left.
    """
    require_finite(model, "recommend", again=False)
    k, excluded = _checked_k(k, model.n_items), _excluded(known, exclude)
    if excluded is not None and k > (left := int((~excluded).sum())):
        raise ValueError(f"k={k!r}: a whole number from 1 to {left}, the items that are not excluded, is accepted")
    if hasattr(session_items, "columns"):
        if times is not None:
            raise ValueError("times: a frame has a column of times, so none are accepted beside it")
        return _of_frame(model, known, session_items, k, excluded, exclude_seen)
    if not np.iterable(session_items):
        raise TypeError(f"session_items={session_items!r}: item ids, or several lists of them, are accepted")
    session_items = list(session_items)
    lists = [isinstance(part, Iterable) and not isinstance(part, str) for part in session_items]
    many = bool(lists) and all(lists)
    histories, times = (session_items, times) if many else ([session_items], None if times is None else [times])
    found = [_find(known, list(items), number) for number, items in enumerate(histories)]
    rows = [indices[indices >= 0] for indices in found]
    buckets = None
    if model.settings.dwell_time or times is not None:
        buckets = np.concatenate(_buckets(model, found, times))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices, scores = _best(model, np.concatenate(rows), offsets, buckets, k, excluded, exclude_seen)
    if (scores == -np.inf).any():
        number = int((scores == -np.inf).any(axis=1).argmax())
        left = int((scores[number] > -np.inf).sum())
        raise ValueError(f"k={k!r}: session {number} has {left} items left that it has not seen and are not excluded")
    items = known.to_numpy()[indices]
    return Recommendations(items, scores) if many else Recommendations(items[0], scores[0])


def _of_frame(
    model: SessionModel, known: pd.Index, frame: Any, k: int, excluded: np.ndarray | None, exclude_seen: bool
) -> pd.DataFrame:
    columns = Columns.of(model.settings)
    events = read_known(frame, columns, known, "session_items")
    buckets = None
    if model.settings.dwell_time:
        dwell.check_times(events.times, f"session_items: column {columns.time!r}")
        buckets = dwell.buckets(dwell.since_previous(events.times, events.offsets), model.settings.dwell_time)
    if not len(events.session_ids):
        raise ValueError("session_items: no session has an item that the model knows")
    indices, scores = _best(model, events.items, events.offsets, buckets, k, excluded, exclude_seen)
    row, place = np.nonzero(scores > -np.inf)
    return pd.DataFrame(
        {
            columns.session: events.session_ids[row],
            "Rank": place + 1,
            columns.item: known.to_numpy()[indices[row, place]],
            "Score": scores[row, place],
        }
    )


def _best(
    model: SessionModel, items: np.ndarray, offsets: np.ndarray, buckets: np.ndarray | None, k: int,
    excluded: np.ndarray | None, exclude_seen: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(item indices, scores), (S, k) each, after S sessions; minus infinity where no item is left.

    Args:
        model: the network.
        items: (E,) item indices, session after session.
        offsets: (S+1,); no session is empty.
        buckets: (E,) of the dwell, None without it.
        k: how many.
        excluded: (n,) bool.
        exclude_seen: leave out the sessions' own items.
    """
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")  # so that the sessions of a part are about as long
    indices, scores = np.empty((len(order), k), np.int64), np.empty((len(order), k), model.settings.dtype)
    for start in range(0, len(order), _PART):
        part = order[start : start + _PART]
        own = lengths[part]
        inside = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        events = np.repeat(offsets[part], own) + inside
        H = _last_states(model, items[events], own, None if buckets is None else buckets[events])
        seen = None
        if exclude_seen:  # few widths, so that few programs are compiled
            seen = np.full((len(part), 1 << int(own.max() - 1).bit_length()), -1)
            seen[np.repeat(np.arange(len(part)), own), inside] = items[events]
        indices[part], scores[part] = top(model, H, k, excluded, seen)
    return indices, scores


def _last_states(
    model: SessionModel, items: np.ndarray, lengths: np.ndarray, buckets: np.ndarray | None
) -> np.ndarray:
    """(S, L) the last layer's states after sessions (S,) of these lengths: those before one more event of each."""
    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], ends + np.arange(1, len(ends) + 1)])
    more = np.insert(items, ends, 0).astype(np.int32)
    nothing = np.zeros(0)
    events = Events(more, offsets, np.zeros(len(more)), np.arange(len(ends)), nothing, nothing)
    H, predicted = hidden_states(model, events, _LANES, None if buckets is None else np.insert(buckets, ends, 0))
    is_last = np.zeros(len(more), bool)
    is_last[offsets[1:] - 1] = True
    return H[is_last[predicted]]


def _excluded(known: pd.Index, exclude: Any) -> np.ndarray | None:
    """(n,) bool, true for the items of ``exclude``; None for none."""
    if exclude is None:
        return None
    if isinstance(exclude, (str, bytes)) or not isinstance(exclude, Iterable):
        raise ValueError(f"exclude={exclude!r}: a list of item ids is accepted")
    given = list(exclude)
    excluded = np.zeros(len(known), bool)
    if given:
        found = item_ids.find(known, item_ids.given_by_user(given))
        excluded[found[found >= 0]] = True
    return excluded


def export(
    model: SessionModel, known: pd.Index, path: str | os.PathLike, k: int = 20, form: str = "savedmodel"
) -> None:
    """Write a TensorFlow SavedModel directory with one signature, ``serving_default``, or an ONNX file.

    With ``form='onnx'`` see :func:`keras_port.onnx_export.write`. Inputs of a SavedModel: ``item_id`` (M,), int64 or
    string, the newest item of each session; ``hidden_0`` (M, L_0), ..., its state, zeros for a new session; with
    ``dwell_time`` also ``dwell`` (M,) float64, the seconds since each session's event before, negative or NaN for none.
    Its outputs: ``item_ids`` and ``scores`` (M, k), best first, and the next state ``next_hidden_0``, ... An unknown
    item leaves the state as it is.

    Args:
        model: the network.
        known: its item ids, in index order.
        path: of the directory or file, which must not exist.
        k: how many items are served.
        form: savedmodel or onnx.

    Raises:
        FileNotFoundError: the folder that ``path`` would stand in is missing.
        RuntimeError: the weights are not finite.
        ValueError: Keras does not run on TensorFlow, ``path`` exists, or the ids fit no table of TensorFlow.
    """
    if backend.NAME != "tensorflow":
        raise ValueError(
            f"export with KERAS_BACKEND={backend.NAME}: save the model and load it under KERAS_BACKEND=tensorflow"
        )
    if form not in ("savedmodel", "onnx"):
        raise ValueError(f"form={form!r}: savedmodel or onnx is accepted")
    k, path = _checked_k(k, model.n_items), Path(path)
    require_finite(model, "be exported")
    if path.exists():
        raise ValueError(f"path={path}: exists already")
    files.check_folder(path)
    if form == "onnx":
        from keras_port import onnx_export

        onnx_export.write(model, known, path, k)
        return
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


def _checked_k(k: Any, n_items: int) -> int:
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n_items:
        raise ValueError(f"k={k!r}: a whole number from 1 to {n_items}, the items of the model, is accepted")
    return int(k)
