"""The reference's own distance from float64: told, and granted to nobody."""

import numpy as np

from parity.checks.rounding import OwnRounding
from parity.checks.steps import check_steps
from parity.engine import Batch, Step
from parity.measure import Checks
from parity.walk import Record, State

X = np.array([0])


class Exact:
    """An engine whose every tensor is 1 after a step."""

    set_weights = set_optimizer_state = set_hidden = lambda self, values: None

    def train_step(self, X, Y, R, masks, gradients):
        return Step(1.0, {"Wh0": np.ones(3)})

    def get_weights(self):
        return {"Wh0": np.ones(3)}

    def get_optimizer_state(self):
        return {"acc/Wh0": np.ones(3)}


def record(gradient, weight, slot):
    """A step of the reference after which its tensors are so much above 1."""
    state = State({"Wh0": np.ones(3) + weight}, {"acc/Wh0": np.ones(3) + slot}, [])
    return Record(0, Batch(X, X, X, X), [], state, None, 1.0, {"Wh0": np.ones(3) + gradient}, state)


def test_the_largest_distance_and_its_place_are_noted():
    own, checks = OwnRounding(Exact()), Checks()
    for away in ((1e-3, 0, 1e-7), (1e-4, 1e-4, 0)):
        own.see(record(*away))
    own.note(checks)
    assert "1.0e-03" in checks["gradients"].notes[0] and "Wh0" in checks["gradients"].notes[0]
    assert "1.0e-04" in checks["update"].notes[0]


def test_the_references_own_rounding_widens_no_bound():
    class Candidate(Exact):
        def scores(self, X, hidden):
            return np.ones((1, 1)), []

        def get_hidden(self):
            return []

    checks = Checks()
    check_steps(checks, [record(1e-3, 0, 0)], Candidate(), 1e-5, Exact())
    assert checks["gradients"].status == "failed" and checks["update"].status == "held"
