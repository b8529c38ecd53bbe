"""The smallest fault that the bounds still catch: the harness's own program, spoilt by a relative amount in one place.

What a bound lets pass is part of its meaning. Each fault here multiplies one outcome by 1 + epsilon; the smallest
epsilon = 2^-k with which the named check fails is found by bisection.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gru4rec.engines import EngineSpec
from parity.plain import Plain
from parity.selftest import Reference, run_checks

MOST = 52  # the smallest epsilon that is tried is 2^-52

Spoil = Callable[["Spoilt", Any, Any, float], Any]  # (engine, step, state before, epsilon) -> step


@dataclass(frozen=True)
class Place:
    """Where the fault is put, and the check that has to catch it."""

    name: str
    check: str
    spoil: Spoil


class Spoilt(Plain):
    """The harness's own program with ``place.spoil`` after every step."""

    place: Place
    epsilon: float

    def train_step(self, X, Y, R, masks=None, gradients=False):
        before = (self.get_weights(), self.get_optimizer_state())
        step = super().train_step(X, Y, R, masks, gradients)
        return self.place.spoil(self, step, before, self.epsilon)


def _cost(engine: Spoilt, step: Any, before: Any, epsilon: float) -> Any:
    return step._replace(cost=step.cost * (1 + epsilon))


def _hidden(engine: Spoilt, step: Any, before: Any, epsilon: float) -> Any:
    engine.hidden = [H * engine.as_dtype(1 + epsilon) for H in engine.hidden]
    return step


def _gradient(name: str, row: int | None) -> Spoil:
    def spoil(engine: Spoilt, step: Any, before: Any, epsilon: float) -> Any:
        if step.gradients is None:
            return step
        g = np.array(step.gradients[name], np.float64)
        g[slice(None) if row is None else row] *= 1 + epsilon
        return step._replace(gradients={**step.gradients, name: g})

    return spoil


def _update(name: str, one_row: bool) -> Spoil:
    """The change of a weight, of the whole of it or of the row that changed most."""

    def spoil(engine: Spoilt, step: Any, before: Any, epsilon: float) -> Any:
        old, new = np.asarray(before[0][name], np.float64), np.asarray(engine.weights[name], np.float64)
        change = new - old
        rows = [int(np.abs(change).sum(axis=1).argmax())] if one_row else slice(None)
        new[rows] = old[rows] + change[rows] * (1 + epsilon)
        engine.weights[name] = new.astype(engine.dtype)
        return step

    return spoil


PLACES = (
    Place("the cost", "loss", _cost),
    Place("the hidden state", "forward", _hidden),
    Place("the gradient of Wh0", "gradients", _gradient("Wh0", None)),
    Place("one occurrence's gradient of Wy", "gradients", _gradient("Wy", 0)),
    Place("the update of By", "update", _update("By", False)),
    Place("the update of one row of Wy", "update", _update("Wy", True)),
    Place("the update of Wrz0", "update", _update("Wrz0", False)),
)


def smallest(dtype: str, setting: str = "bpr-max") -> Iterator[tuple[Place, int | None]]:
    """(place, k) of each place: 2^-k is the smallest epsilon that is caught; None where not even 1 is."""
    reference = Reference(EngineSpec("numpy", Plain), setting, dtype)
    for place in PLACES:
        caught, missed = 0, MOST + 1
        if not _caught(reference, place, 1.0):
            yield place, None
            continue
        while missed - caught > 1:
            k = (caught + missed) // 2
            caught, missed = (k, missed) if _caught(reference, place, 2.0**-k) else (caught, k)
        yield place, caught


def _caught(reference: Reference, place: Place, epsilon: float) -> bool:
    spoilt = type("Spoilt", (Spoilt,), {"place": place, "epsilon": epsilon})
    checks = run_checks(reference, EngineSpec("spoilt", spoilt), {place.check})
    return checks[place.check].first_failure is not None
