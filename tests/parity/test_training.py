"""The check of full runs, on made-up figures."""

import numpy as np
import pytest

from parity import settings
from parity.checks.training import Training, check_training, moved
from parity.measure import Checks
from parity.scenario import Scenario


def run(loss, recall, mrr=0.2, events=10_000):
    return Training([2.0, loss], {20: (recall, mrr)}, {}, events)


def status(wanted, found, reruns=()):
    checks = Checks()
    check_training(checks, wanted, found, reruns=reruns)
    return checks["training"].status


APART = [run(1.0 + d, 0.50 + d) for d in (0.03, -0.02, 0.01, -0.04)]  # chaos parts these runs of the reference


@pytest.mark.parametrize(
    ("found", "alone", "beside_reruns"),
    [
        (run(1.0, 0.5), "held", "held"),
        (run(1.01, 0.51), "held", "held"),
        (run(1.08, 0.5), "failed", "held"),
        (run(1.0, 0.57), "failed", "held"),
        (run(1.6, 0.5), "failed", "failed"),
        (run(1.0, 0.8), "failed", "failed"),
        (run(float("nan"), 0.5), "failed", "failed"),
        (Training([2.0], {20: (0.5, 0.2)}, {}, 10_000), "failed", "failed"),
    ],
)
def test_a_run_has_to_lie_where_another_run_of_the_reference_would(found, alone, beside_reruns):
    wanted = run(1.0, 0.5)
    assert status(wanted, found) == alone
    assert status(wanted, found, APART) == beside_reruns


def test_runs_that_do_not_part_widen_no_bound():
    wanted = run(1.0, 0.5)
    assert status(wanted, run(1.05, 0.5), [wanted] * 4) == "failed"


@pytest.mark.parametrize("units", [1, -2])
def test_a_moved_learning_rate_is_another_float32_next_to_it(units):
    scenario = Scenario("any", settings.RSC15["bpr-max"], None)
    rate, other = np.float32(0.2), np.float32(moved(scenario, units).params["learning_rate"])
    assert other.view(np.int32) - rate.view(np.int32) == units
