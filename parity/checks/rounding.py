"""How exact a comparison of steps can be: what rounding alone does to the reference.

In float32 the reference itself is some way from the exact result: a cost that nearly cancels leaves few digits to its
gradient. How far is measured, by the same steps of the reference in float64, and a candidate may be some times as far.
"""

from typing import Mapping, NamedTuple

import numpy as np

from parity.engine import Engine
from parity.measure import TINY, error
from parity.walk import Record, set_state

TIMES = 4  # the reference's own rounding that a candidate may be away from it
MOST = 1e-2  # a bound that is never passed, whatever the reference's own rounding: beyond it nothing is compared


class Tolerances(NamedTuple):
    """Relative errors by name."""

    gradients: dict[str, float]
    weights: dict[str, float]
    optimizer: dict[str, float]


class Rounding:
    """Tolerances of a walk's steps.

    ``tolerance`` for every tensor, or :data:`TIMES` the largest distance of the reference from ``exact`` that this
    tensor has had up to the step, where that is more, and at most :data:`MOST`. exact: the reference in a longer float
    type; None for no such allowance.
    """

    def __init__(self, tolerance: float, exact: Engine | None = None):
        self.tolerance, self.exact = tolerance, exact
        self._largest = Tolerances({}, {}, {})

    def of(self, record: Record) -> Tolerances:
        """The tolerances of the next step, which ``record`` holds."""
        wanted = Tolerances(record.gradients, record.after.weights, record.after.optimizer)
        if self.exact is None:
            return Tolerances(*(dict.fromkeys(tensors, self.tolerance) for tensors in wanted))
        tinies = (self.tiny(record), TINY, TINY)
        for largest, tensors, right, tiny in zip(self._largest, wanted, self._exact_step(record), tinies):
            for name, tensor in tensors.items():
                away = error(tensor, right[name], tiny).relative
                largest[name] = min(max(largest.get(name, self.tolerance), TIMES * away), MOST)
        return self._largest

    def tiny(self, record: Record) -> float:
        """The norm below which a gradient of the step has no digits of its own.

        A saturated gate's own gradient can be 1e-13 of the others. It then is the difference of two numbers that are
        equal but for their last bit: one rounding of the norm of all gradients is always granted.
        """
        gradients = record.gradients.values()
        norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in gradients))
        return max(float(norm * max(np.finfo(g.dtype).eps for g in gradients)) / self.tolerance, TINY)

    def _exact_step(self, record: Record) -> tuple[Mapping, Mapping, Mapping]:
        set_state(self.exact, record.before)
        X, Y, R, _ = record.batch
        _, gradients = self.exact.train_step(X, Y, R, masks=record.masks, gradients=True)
        return gradients, self.exact.get_weights(), self.exact.get_optimizer_state()
