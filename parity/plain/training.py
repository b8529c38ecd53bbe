"""Epochs of the harness's own program."""

from typing import Any

import numpy as np


def train_epoch(engine: Any) -> tuple[float, bool]:
    """One epoch of an engine of :mod:`parity.plain`, from zero hidden states.

    Returns:
        The loss, each step's cost weighted by its lanes; and whether the training can go on: it ends with the step
        whose cost is NaN, or with the epoch that leaves a weight that is not finite.
    """
    engine.hidden, lanes = [np.zeros((engine.B, L), engine.dtype) for L in engine.layers], np.arange(engine.B)
    costs: list[float] = []
    weights: list[int] = []
    for batch in engine.batches():
        engine.hidden = [H[np.isin(lanes, batch.lanes)] for H in engine.hidden]
        lanes = batch.lanes
        costs.append(engine.train_step(batch.X, batch.Y, batch.R).cost)
        weights.append(len(lanes))
        if np.isnan(costs[-1]):
            return float("nan"), False
    finite = all(np.isfinite(w).all() for w in engine.weights.values())
    return float(np.average(costs, weights=weights)), finite
