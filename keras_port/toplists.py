"""The best items of many states at once: top lists of test sessions, and recommendations."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from keras_port import backend, programs
from keras_port.model import SessionModel

_SCORES = 2**24  # scores of one block


def best_items(model: SessionModel, given: Mapping[str, Any], k: int) -> tuple[Any, Any, Any]:
    """The k best scores and their items, (M, k) each, after the last layer's states ``h``; whether a score is NaN.

    With ``penalty`` (rows,), 0 or minus infinity, that is added to the scores.
    """
    scores = model.scorer(given["h"])
    if "penalty" in given:
        scores = scores + given["penalty"]
    return (*model.split.top_k(scores, k), ops.any(ops.isnan(scores)))


def top(
    model: SessionModel, H: np.ndarray, k: int, excluded: np.ndarray | None = None, seen: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(item indices, scores), (P, k) each, best first, after the last layer's states H (P, L).

    Where fewer than k items are left, the scores of the rest are minus infinity.

    Args:
        model: the network.
        H: states.
        k: how many.
        excluded: (n,) bool, items that are left out.
        seen: (P, T) int, further items that are left out of a row, -1 where there is none.

    Raises:
        RuntimeError: for scores that are no numbers.
    """
    n = model.n_items
    width = min(programs.rounded(k + (0 if seen is None else seen.shape[1])), n)
    E = 1 << int(np.clip(_SCORES // n, 8, 1024)).bit_length() - 1
    E = min(E, 1 << (len(H) - 1).bit_length())
    items, scores = np.empty((len(H), k), np.int64), np.empty((len(H), k), H.dtype)
    best = partial(best_items, k=width)
    penalty = None
    if excluded is not None:  # as wide as the scores, which rows fill up where several devices share them
        penalty = np.pad(np.where(excluded, -np.inf, 0).astype(H.dtype), (0, model.split.rows - n))
    for start in range(0, len(H), E):
        h = H[start : start + E]
        given = {"h": np.pad(h, ((0, E - len(h)), (0, 0)))}
        if penalty is not None:
            given["penalty"] = penalty
        values, found, fails = (backend.to_numpy(part) for part in programs.read(best, model, given))
        if fails:
            raise RuntimeError("the model's scores are not finite: it cannot recommend")
        values, found = values[: len(h)], found[: len(h)]
        if seen is not None:
            row = seen[start : start + E]
            is_seen = (found[:, :, None] == row[:, None, :]).any(axis=2)
            left = np.argsort(is_seen, axis=1, kind="stable")[:, :k]  # those that were not seen first, in their order
            values = np.take_along_axis(np.where(is_seen, -np.inf, values), left, axis=1)
            found = np.take_along_axis(found, left, axis=1)
        items[start : start + E], scores[start : start + E] = found[:, :k], values[:, :k]
    return items, scores
