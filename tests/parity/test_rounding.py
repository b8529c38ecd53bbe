"""Tolerances in float32: some times the reference's own distance from float64."""

import numpy as np
import pytest

from parity.checks.rounding import MOST, TIMES, Rounding
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


def test_the_largest_distance_so_far_counts():
    allowed = Rounding(1e-5, Exact())
    found = [
        (t.gradients["Wh0"], t.weights["Wh0"], t.optimizer["acc/Wh0"])
        for t in (allowed.of(record(*away)) for away in ((1e-3, 0, 1e-7), (1e-4, 1e-4, 0)))
    ]
    assert found[0] == pytest.approx((TIMES * 1e-3, 1e-5, 1e-5))
    assert found[1] == pytest.approx((TIMES * 1e-3, TIMES * 1e-4, 1e-5))


def test_without_a_longer_float_type_nothing_is_granted():
    assert Rounding(1e-10).of(record(1e-3, 1e-3, 1e-3)) == ({"Wh0": 1e-10}, {"Wh0": 1e-10}, {"acc/Wh0": 1e-10})


@pytest.mark.parametrize("away", [1.0, np.inf])
def test_a_reference_that_is_all_rounding_allows_no_more_than_the_most(away):
    allowed = Rounding(1e-5, Exact()).of(record(away, away, away))
    assert (allowed.gradients["Wh0"], allowed.weights["Wh0"], allowed.optimizer["acc/Wh0"]) == (MOST, MOST, MOST)


def test_a_gradient_below_one_rounding_of_all_has_no_digits_to_compare():
    wanted = {"Wh0": np.array([3.0, 4.0]), "Wrz0": np.array([1e-16])}
    step = record(0, 0, 0)._replace(gradients=wanted)
    tiny = Rounding(1e-10).tiny(step)

    def status(**changed):
        checks = Checks()
        checks["gradients"].close_all({**wanted, **changed}, wanted, 1e-10, tiny=tiny)
        return checks["gradients"].status

    assert status(Wrz0=wanted["Wrz0"] + 5e-16) == "held"
    assert status(Wrz0=wanted["Wrz0"] + 5e-15) == "failed"
    assert status(Wh0=wanted["Wh0"] * (1 + 1e-9)) == "failed"


def test_gradients_that_are_all_zero_are_compared():
    step = record(0, 0, 0)._replace(gradients={"Wh0": np.zeros(2)})
    for found, status in ((0.0, "held"), (1e-20, "failed")):
        checks = Checks()
        tiny = Rounding(1e-10).tiny(step)
        checks["gradients"].close_all({"Wh0": np.full(2, found)}, step.gradients, 1e-10, tiny=tiny)
        assert checks["gradients"].status == status
