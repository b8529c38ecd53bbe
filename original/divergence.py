"""Where a training stopped being one of finite numbers: step, lane and tensor, in words."""

from collections.abc import Sequence

import numpy as np

from original.batches import Batch
from original.initial_weights import Weights, row_tensors
from original.settings import Settings


def fault(settings: Settings, weights: Weights, batch: Batch, cost: float) -> str | None:
    """What is no finite number after a step: ``lane 3: weight Wy is not finite``; None where the training can go on.

    Args:
        settings: of the model.
        weights: after the step.
        batch: what the step read.
        cost: of the step. NaN ends a training; an infinite one does not, as in the published program.
    """
    bad = [name for name, value in weights.items() if not np.isfinite(value).all()]
    if not bad and not np.isnan(cost):
        return None
    where = _places(settings, weights, batch, bad)
    what = ["the cost is NaN"] if np.isnan(cost) else []
    what.append(f"weight {bad[0]} is not finite" if bad else "all weights are finite")
    return f"{where}: {', '.join(what)}"


def _places(settings: Settings, weights: Weights, batch: Batch, bad: Sequence[str]) -> str:
    """The lanes whose rows are not finite. A dense tensor's gradient is a sum over all lanes."""
    M = len(batch.X)
    entry = row_tensors(settings)[0]  # the tensor that inputs are read from
    found = _bad_rows(weights[entry], batch.X)
    if not found.any():
        targets = [_bad_rows(weights[name], batch.Y) for name in ("Wy", "By") if name in bad]
        found = np.logical_or.reduce([rows[:M] for rows in targets]) if targets else np.zeros(M, bool)
        if targets and not found.any():
            return "a negative sample"
    lanes = np.asarray(batch.lanes)[found]
    if len(lanes) in (0, M):
        return "all lanes"
    return f"lane {lanes[0]}" if len(lanes) == 1 else f"lanes {', '.join(map(str, lanes))}"


def _bad_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return ~np.isfinite(table[rows]).all(axis=1)
