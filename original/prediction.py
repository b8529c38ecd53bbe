"""Prediction: scores of items, and the hidden states of running sessions."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from original.events import check_indices, item_indices
from original.network import Network, prediction_graph

MOST_COMPILED = 8  # graphs of other shapes that are kept; each takes memory for good


class Scorer:
    """Scores items with a network, which it does not change; compiles what it needs when it is first needed."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._compiled: OrderedDict[tuple[Any, ...], Callable[..., Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: all but what is compiled."""
        return self.__dict__ | {"_compiled": OrderedDict()}

    def scores(self, X: Any, hidden: Sequence[Any], items: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """See :meth:`original.gru4rec.GRU4Rec.scores`."""
        s, n_items = self.network.settings, self.network.n_items
        X = check_indices("X", X, n_items)
        items = None if items is None else check_indices("items", items, n_items)
        M, rows = len(X), hidden_rows(hidden, s.layers)
        if rows != M:
            raise ValueError(f"hidden has {rows} rows: as many as X, {M}, are accepted")
        function, lanes = self._function(M, items)
        inputs = [X, *(np.ascontiguousarray(H, s.dtype) for H in hidden)]
        if lanes > M:
            inputs = [np.concatenate([a, np.zeros((lanes - M, *a.shape[1:]), a.dtype)]) for a in inputs]
        scores, *states = function(*inputs, *([] if items is None else [items]))
        return scores[:M], [state[:M] for state in states]

    def _function(self, M: int, items: np.ndarray | None) -> tuple[Callable[..., Any], int]:
        """The compiled function for M lanes, and how many it takes: a graph of fixed shape serves fewer lanes too."""
        lanes, n_scored = M, None if items is None else len(items)
        if not self.network.backend.fixed_shapes:
            key: tuple[Any, ...] = (items is None,)
            shape: tuple[int | None, int | None] = (None, None)
        else:
            lanes = min((k[0] for k in self._compiled if k[1] == n_scored and k[0] >= M), default=M)
            key = shape = (lanes, n_scored)
        if key not in self._compiled:
            graph = prediction_graph(self.network, *shape, all_items=items is None)
            self._compiled[key] = self.network.backend.function(graph.inputs, graph.outputs, [])
        self._compiled.move_to_end(key)
        if len(self._compiled) > MOST_COMPILED:
            self._compiled.popitem(last=False)
        return self._compiled[key], lanes


def hidden_rows(hidden: Sequence[Any], layers: Sequence[int]) -> int:
    """The number of rows M of hidden states. Raises ValueError unless they are one (M, L_k) array a layer."""
    shapes = [np.shape(H) for H in hidden]
    rows = shapes[0][0] if shapes and shapes[0] else 0
    if shapes != [(rows, L) for L in layers]:
        raise ValueError(f"hidden has shapes {shapes}: one (M, L_k) a layer, L = {list(layers)}, is accepted")
    return rows


class KnownSessions:
    """Sessions side by side, a lane each, and their hidden states, from one call to the next.

    Args:
        layers: units of each layer.
        dtype: of the states.
    """

    def __init__(self, layers: Sequence[int], dtype: str) -> None:
        self.layers, self.dtype = layers, dtype
        self.reset_sessions()

    def reset_sessions(self) -> None:
        """Forget them: the next call starts every lane from zeros."""
        self._ids: list[Any] = []
        self._hidden: list[np.ndarray] = []

    def states(self, session_ids: Sequence[Any]) -> list[np.ndarray]:
        """The hidden states (lanes, L_k) of sessions.

        A lane whose session is not that of the call before starts from zeros; another number of lanes starts all so.
        """
        if len(self._ids) != len(session_ids):
            return [np.zeros((len(session_ids), L), self.dtype) for L in self.layers]
        same = np.array([bool(a == b) for a, b in zip(self._ids, session_ids, strict=True)])
        return [np.where(same[:, None], H, np.zeros((), self.dtype)) for H in self._hidden]

    def keep(self, session_ids: Sequence[Any], hidden: Sequence[np.ndarray]) -> None:
        """Keep the states after a call."""
        self._ids, self._hidden = list(session_ids), [np.array(H) for H in hidden]


def next_scores(
    scores: Callable[..., tuple[np.ndarray, list[np.ndarray]]],
    sessions: KnownSessions,
    itemidmap: pd.Series,
    session_ids: Any,
    input_item_ids: Any,
    predict_for_item_ids: Any,
    batch: int,
) -> pd.DataFrame:
    """See :meth:`original.gru4rec.GRU4Rec.predict_next_batch`.

    Args:
        scores: :meth:`Scorer.scores`.
        sessions: those of the calls before.
        itemidmap: item id -> index.
    """
    session_ids = _of_lanes("session_ids", session_ids, batch)
    X = item_indices(itemidmap, _of_lanes("input_item_ids", input_item_ids, batch), "input_item_ids")
    items, index = None, itemidmap.index
    if predict_for_item_ids is not None:
        index = given_ids("predict_for_item_ids", predict_for_item_ids)
        items = item_indices(itemidmap, index, "predict_for_item_ids")
    found, hidden = scores(X, sessions.states(session_ids), items)
    if np.isnan(np.min(found)):
        raise RuntimeError("the model's scores are not finite: it cannot recommend")
    sessions.keep(session_ids, hidden)
    return pd.DataFrame(np.asarray(found).T, index=index)


def _of_lanes(name: str, values: Any, batch: int) -> np.ndarray:
    """One value a lane. Raises ValueError unless there are ``batch``."""
    found = np.asarray(values)
    if found.shape != (batch,):
        raise ValueError(f"{name} has shape {found.shape}: batch={batch} values are accepted")
    return found


def given_ids(name: str, ids: Any) -> pd.Index:
    """Item ids given by a user. Raises ValueError unless they are a list of one or more."""
    found = np.array(None) if isinstance(ids, (str, bytes)) or not hasattr(ids, "__len__") else np.asarray(ids)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"{name}={ids!r}: a list of one or more item ids is accepted")
    return pd.Index(found)


def require_finite(model: Any, what: str) -> None:
    """Raise RuntimeError where a weight is not finite, or training diverged: comparisons with NaN are all false.

    Args:
        model: with ``first_not_finite()`` and ``error_during_train``.
        what: it cannot do, for the error.
    """
    name = model.first_not_finite()
    if name is not None:
        raise RuntimeError(f"the model's weights are not finite (first: {name}): it cannot {what}")
    if model.error_during_train:
        raise RuntimeError(f"the model's training diverged: it cannot {what}")
