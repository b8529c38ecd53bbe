"""Scores of the next item, and the running sessions of successive predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_port import backend, programs
from keras_port.dwell import given_buckets
from keras_port.item_ids import given_by_user, indices_of
from keras_port.model import SessionModel
from keras_port.state import check_hidden


def predict(model: SessionModel, given: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Scores and next states from ``X``, ``hidden0``, ..., and where they are given ``items`` and ``dwell``."""
    return model(given["X"], hidden_of(model, given), given.get("items"), given.get("dwell"))


def hidden_of(model: SessionModel, given: Mapping[str, Any]) -> list[Any]:
    """The hidden states of each layer out of a program's inputs."""
    return [given[f"hidden{k}"] for k in range(len(model.settings.layers))]


def scores(
    model: SessionModel, X: Any, hidden: Sequence[Any], items: Any = None, dwell: Any = None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scores after final_act, (M, n) or (M, len(items)), and the next hidden state.

    Args:
        model: the network.
        X: (M,) item indices.
        hidden: one (M, L_k) array a layer.
        items: indices of the items to score; None for all.
        dwell: with ``dwell_time``, (M,) seconds since each session's event before, NaN for none.

    Raises:
        ValueError: for shapes or items that do not fit.
    """
    settings = model.settings
    X = check_items("X", np.asarray(X), model.n_items)
    if check_hidden(hidden, settings.layers) != len(X):
        raise ValueError(f"hidden has {len(hidden[0])} rows: as many as X, {len(X)}, are accepted")
    inputs = {"X": X.astype(np.int32), **{f"hidden{k}": np.asarray(H, settings.dtype) for k, H in enumerate(hidden)}}
    buckets = given_buckets(dwell, len(X), settings.dwell_time)
    if buckets is not None:
        inputs["dwell"] = buckets
    if items is not None:
        inputs["items"] = check_items("items", np.asarray(items), model.n_items).astype(np.int32)
    # shapes vary from call to call here: op by op is faster than compiling each
    values, states = programs.read(predict, model, inputs, jit=False)
    return backend.to_numpy(values), [backend.to_numpy(H) for H in states]


class KnownSessions:
    """The sessions that run in each lane of successive predictions, and their hidden states."""

    def __init__(self) -> None:
        self.sessions: np.ndarray | None = None  # (batch,) ids; None before the first prediction
        self.hidden: list[np.ndarray] = []

    def copy(self) -> "KnownSessions":
        """The same sessions, which go on by themselves."""
        other = KnownSessions()
        other.sessions, other.hidden = self.sessions, [H.copy() for H in self.hidden]
        return other

    def advance(
        self, model: SessionModel, sessions: np.ndarray, X: np.ndarray, items: np.ndarray | None, dwell: Any
    ) -> np.ndarray:
        """Scores (batch, n), or of the ``items`` only, after each lane's newest item X.

        A lane whose session differs from the previous call's starts from a zero state; another number of lanes starts
        all of them afresh. dwell: seconds since each session's event before, of no account for a lane that starts.
        """
        given_buckets(dwell, len(X), model.settings.dwell_time)  # its faults show before any state changes
        if self.sessions is None or len(self.sessions) != len(X):
            self.hidden = [np.zeros((len(X), units), model.settings.dtype) for units in model.settings.layers]
            starts = np.ones(len(X), bool)
        else:
            starts = self.sessions != sessions
            reset_sessions(self.hidden, starts)
        self.sessions = sessions.copy()
        passed = None if dwell is None else np.where(starts, np.nan, dwell)
        values, self.hidden = scores(model, X, self.hidden, items, passed)
        return values


def next_batch(
    model: SessionModel,
    known: pd.Index,
    running: KnownSessions,
    session_ids: Any,
    input_item_ids: Any,
    predict_for_item_ids: Any = None,
    batch: int = 100,
    dwell: Any = None,
) -> pd.DataFrame:
    """Scores of the next item, as a DataFrame: rows = items, columns = lanes 0..batch-1.

    A lane whose session id differs from the previous call's starts from a zero state; another ``batch`` starts all
    lanes afresh.

    Args:
        model: the network.
        known: its item ids, in index order.
        running: the sessions of the previous call; they go on.
        session_ids: (batch,) the running session of each lane.
        input_item_ids: (batch,) its newest item.
        predict_for_item_ids: score these items only; None for all.
        batch: number of lanes.
        dwell: with ``dwell_time``, (batch,) seconds since each session's event before, of no account for a lane that
            starts; None or NaN where they are not known.

    Raises:
        ValueError: an unknown item, another number of lanes, or a dwell below 0.
        RuntimeError: weights or scores that are not finite, or a training that diverged.
    """
    require_finite(model, "recommend", again=False)
    sessions = lanes_of("session_ids", session_ids, batch)
    X = indices_of(known, lanes_of("input_item_ids", input_item_ids, batch), "input_item_ids")
    listed = None
    if predict_for_item_ids is not None:
        listed = indices_of(known, predict_for_item_ids, "predict_for_item_ids")
    values = running.advance(model, sessions, X, listed, dwell)
    require_numbers(values)
    return pd.DataFrame(values.T, index=known if listed is None else known[listed])


def lanes_of(name: str, values: Any, batch: int) -> np.ndarray:
    """One value a lane as an array. Raises ValueError unless there are ``batch``."""
    found = given_by_user(values) if np.ndim(values) == 1 else np.asarray(values)
    if found.shape != (batch,):
        raise ValueError(f"{name} has shape {found.shape}: batch={batch} values are accepted")
    return found


def reset_sessions(hidden: Sequence[np.ndarray], starts: np.ndarray) -> None:
    """Zero the states of the lanes that start, in place."""
    for H in hidden:
        H[starts] = 0


def first_not_finite(model: SessionModel) -> str | None:
    """The name of the first weight that is not finite everywhere; None where all are."""
    for name, variable in model.named_weights.items():
        if not keras.ops.all(keras.ops.isfinite(variable)):
            return name
    model.known_finite = True
    return None


def require_finite(model: SessionModel, what: str, again: bool = True) -> None:
    """Raise RuntimeError where scores would be NaN: comparisons with NaN are all false, which reads as a rank of 1.

    Args:
        model: the network.
        what: it cannot do, for the error.
        again: whether weights that were found finite are looked at again, although nothing has been written since.
    """
    name = first_not_finite(model) if again or not model.known_finite else None
    if name is not None:
        raise RuntimeError(f"the model's weights are not finite (first: {name}): it cannot {what}")
    if getattr(model.training, "diverged", False):
        raise RuntimeError(f"the model's training diverged: it cannot {what}")


def require_numbers(scores: np.ndarray) -> None:
    """Raise RuntimeError for a NaN among scores: it would be in front of all, or anywhere."""
    if np.isnan(scores.min()):
        raise RuntimeError("the model's scores are not finite: it cannot recommend")


def check_items(name: str, indices: np.ndarray, n_items: int) -> np.ndarray:
    """``indices``, if they are a vector of item indices. Raises ValueError otherwise."""
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"{name} has shape {indices.shape} and type {indices.dtype}: a vector of integers is accepted")
    if not len(indices):
        raise ValueError(f"{name} is empty: one or more item indices are accepted")
    if not (0 <= indices.min() and indices.max() < n_items):
        raise ValueError(f"{name} names item index {indices.min()}..{indices.max()}: 0..{n_items - 1} are accepted")
    return indices
