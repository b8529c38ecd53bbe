"""Where a training stopped being one of finite numbers: step, lane and tensor, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_port.model import SessionModel


def fault(model: SessionModel, weights: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], cost: float) -> str:
    """What is no finite number after a step: ``lane 3: weight Wy is not finite``; '' where the training can go on.

    Args:
        model: the network.
        weights: after the step.
        batch: what the step read, of a chunk of :class:`~keras_port.batches.SessionParallel`.
        cost: of the step. NaN ends a training; an infinite one does not, as in the published program.
    """
    bad = [name for name, values in weights.items() if not np.isfinite(values).all()]
    if not bad and not np.isnan(cost):
        return ""
    found = f"weight {bad[0]} is not finite" if bad else "all weights are finite"
    return f"{_places(model, weights, batch, bad)}: {'the cost is NaN, ' if np.isnan(cost) else ''}{found}"


def _places(
    model: SessionModel, weights: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], bad: Sequence[str]
) -> str:
    """The lanes whose rows are not finite. A dense tensor's gradient is a sum over all lanes."""
    lanes = np.flatnonzero(batch["lanes"])
    entry = next(name for name, place in model.read_at.items() if place.startswith("X"))
    at_input = ~np.isfinite(weights[entry][batch["X"]]).all(axis=1)[lanes]
    if not at_input.any():
        tables = [weights[name][batch["Y"]] for name in ("Wy", "By") if name in bad]
        if not tables:
            return "all lanes"
        at_target = np.any([~np.isfinite(rows).all(axis=1) for rows in tables], axis=0)[lanes]
        if not at_target.any():
            return "a negative sample"
        at_input = at_target
    found = lanes[at_input]
    if len(found) == len(lanes):
        return "all lanes"
    return f"lane{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
