from numpy_gru4rec import GRU4Rec

from parity import data
from parity.checks.trajectory import HORIZON, check_trajectory
from parity.measure import Checks
from parity.walk import walk

PARAMS = dict(layers=[5], batch_size=6, n_sample=4, loss="cross-entropy", final_act="softmax")


def records(**changed):
    engine = GRU4Rec(**PARAMS | changed)
    engine.prepare(data.embedded(sessions=30, items=20, test_sessions=5).train, 40)
    return list(walk(engine, PARAMS))


def test_a_run_equals_itself():
    checks, run = Checks(), records()
    curves = check_trajectory(checks, run, run, "float64")
    assert checks["trajectory"].status == "held"
    assert curves["reference"] == curves["candidate"] == [record.cost for record in run]
    assert set(curves["weights_error"]) == {0.0}


def test_another_learning_rate_fails_at_once():
    checks = Checks()
    check_trajectory(checks, records(), records(learning_rate=0.11), "float64")
    assert checks["trajectory"].first_failure.step == 0


def test_steps_past_the_horizon_are_drawn_and_not_judged():
    checks, run = Checks(), records()
    other = run[: HORIZON["float64"]] + [run[at]._replace(cost=9.0) for at in range(HORIZON["float64"], len(run))]
    curves = check_trajectory(checks, run, other, "float64")
    assert checks["trajectory"].status == "held"
    assert curves["candidate"][-1] == 9.0


def test_a_run_that_ends_early_fails():
    checks, run = Checks(), records()
    check_trajectory(checks, run, run[:-1], "float64")
    assert checks["trajectory"].worst.tensor == "number of steps"
    assert checks["trajectory"].status == "failed"
