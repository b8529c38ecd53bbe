"""The check of full runs, on made-up figures."""

import numpy as np
import pytest

from parity import settings
from parity.checks.training import Training, check_training, moved
from parity.measure import Checks
from parity.scenario import Scenario


def run(loss, recall, mrr=0.2, events=10_000):
    return Training([loss], {20: (recall, mrr)}, {}, events)


def judged(found, reruns=()):
    checks = Checks()
    check_training(checks, run(1.0, 0.5), found, reruns=reruns)
    return checks["training"]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (run(1.0, 0.5), "held"),
        (run(1.01, 0.51), "held"),
        (run(1.03, 0.5), "failed"),
        (run(1.0, 0.53), "failed"),
        (run(float("nan"), 0.5), "failed"),
        (Training([1.0, 1.0], {20: (0.5, 0.2)}, {}, 10_000), "failed"),
    ],
)
def test_a_run_has_to_end_where_the_reference_does(found, status):
    assert judged(found).status == status
    assert judged(found, [run(1.001, 0.501)] * 4).status == status  # a tame reference widens nothing


def test_a_figure_that_the_reference_itself_misses_is_not_covered():
    chaotic = [run(1.3, 0.5), run(0.9, 0.5)]
    check = judged(run(5.0, 0.5), chaotic)
    assert check.status == "held" and check.compared == 2  # by Recall and MRR
    assert "loss of epoch 1" in check.not_covered[0]
    assert judged(run(1.0, 0.9), chaotic).status == "failed"
    assert judged(run(1.0, 0.5), [run(2.0, 0.7, 0.4)]).status == "not covered"


@pytest.mark.parametrize("units", [1, -2])
def test_a_moved_learning_rate_is_another_float32_next_to_it(units):
    scenario = Scenario("any", settings.RSC15["bpr-max"], None)
    rate, other = np.float32(0.2), np.float32(moved(scenario, units).params["learning_rate"])
    assert other.view(np.int32) - rate.view(np.int32) == units
