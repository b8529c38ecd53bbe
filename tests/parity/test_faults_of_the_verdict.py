"""Engines with one fault each: the check that has to say so says so, in ``run``, in ``golden`` and in ``matrix``."""

from dataclasses import replace

import numpy as np
import pytest
import spoilt
from numpy_gru4rec import GRU4Rec

from parity import data, golden, matrix
from parity.compare import compare
from parity.recordings.reading import SHIPPED, read
from parity.scenario import Scenario

REFERENCE = spoilt.spec(GRU4Rec, "numpy")
RECORDING = read(SHIPPED / "loss-cross-entropy-softmax.npz")
# the members that the NumPy example lacks
LACKING = {"weights-transfer"}
# a configuration of the matrix that the NumPy example has all options for
CONFIG = dict(
    loss="cross-entropy", final_act="softmax", hidden_act="tanh", embedding="none", layers=[5], adapt="adagrad",
    momentum=0.0, dropout="none", sampling="uniform", logq=0.0, smoothing=0.0, lmbd=0.0, grad_cap=0.0, time_sort=True,
)  # fmt: skip


def scenario(dtype="float64", **changed):
    params = spoilt.PARAMS | changed
    return Scenario("small", params, data.embedded(sessions=40, items=25, test_sessions=20, seed=2), dtype)


def verdicts(checks):
    return {name: str(check.verdict) for name, check in checks.items() if name not in LACKING}


def run(candidate, steps=12, **changed):
    return compare(scenario(**changed), REFERENCE, candidate, steps=steps).checks


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_real_one_holds(dtype):
    checks = run(spoilt.spec(GRU4Rec, "another"), dtype=dtype)
    found = verdicts(checks)
    assert found.pop("dropout") == "not applicable"
    assert set(found.values()) == {"held"}, [(c.name, c.first_failure, c.broken, c.reasons) for c in checks.values()]


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (spoilt.HalvesByInFit, "fit"),
        (spoilt.NoResetInFit, "fit"),
        (spoilt.HalvesByWithoutGradients, "update"),
        (spoilt.WrongRow, "update"),
        (spoilt.MovesUnread, "update"),
        (spoilt.SecondEpoch, "batches"),
        (spoilt.SortsTheFrame, "batches"),
        (spoilt.NegativeZero, "initial-weights"),
        (spoilt.OtherType, "initial-weights"),
        (spoilt.CostIsNaN, "loss"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_fault_fails_the_check_that_sees_it(fault, check):
    checks = run(spoilt.spec(fault))
    assert checks[check].verdict == "failed", verdicts(checks)
    assert checks[check].first_failure
    assert checks.verdict == "failed"


@pytest.mark.parametrize("fault", [spoilt.HalvesByInFit, spoilt.NoResetInFit])
def test_golden_and_matrix_see_a_fault_in_fit_alone(fault):
    assert golden.replay(RECORDING, spoilt.spec(fault))["fit"].verdict == "failed"
    assert matrix.try_config(CONFIG, REFERENCE, spoilt.spec(fault)).checks["fit"].verdict == "failed"
    assert matrix.try_config(CONFIG, REFERENCE, spoilt.spec(GRU4Rec, "another")).checks.verdict == "held"


@pytest.mark.parametrize(
    ("evaluation", "check"),
    [
        (spoilt.Evaluation(hides_ties=True), "ranks"),
        (spoilt.Evaluation(one_mode=True), "metrics"),
        (spoilt.Evaluation(uncut=True), "metrics"),
    ],
    ids=["ranks ignore the mode", "metrics ignore the mode", "MRR not cut off"],
)
def test_an_evaluation_that_is_wrong_fails(evaluation, check):
    checks = run(spoilt.spec(GRU4Rec, "evaluated", evaluation))
    assert checks[check].verdict == "failed"


def test_an_engine_without_evaluation_is_not_covered_by_the_references_own():
    checks = run(replace(spoilt.spec(GRU4Rec, "another"), evaluation=None))
    assert checks["ranks"].verdict == checks["metrics"].verdict == "not covered"
    assert checks.verdict == "not covered"


def test_one_program_that_is_missing_leaves_the_other_judged():
    checks = run(spoilt.spec(spoilt.NoGradients))
    assert checks["gradients"].verdict == "not covered"
    assert checks["update"].compared > 100
    assert not checks.failed


def test_an_exception_in_one_part_does_not_fail_the_others():
    checks = run(spoilt.spec(spoilt.BreaksInScores))
    assert checks["forward"].broken == "ZeroDivisionError: in scores"
    for name in ("loss", "gradients", "update", "fit", "trajectory"):
        assert checks[name].verdict == "held", name


def test_one_engine_twice_is_refused():
    with pytest.raises(ValueError, match="numpy twice"):
        compare(scenario(), REFERENCE, REFERENCE)


def test_a_reference_that_runs_away_is_not_held():
    """Not finite in both: nobody agrees with anybody."""

    class Away(GRU4Rec):
        def train_step(self, X, Y, R, masks=None, gradients=False):
            step = super().train_step(X, Y, R, masks, gradients)
            self.W["Wy"][0] = np.nan
            return step

    checks = compare(scenario(), spoilt.spec(Away, "away"), spoilt.spec(Away, "too"), steps=6).checks
    for name in ("forward", "loss", "gradients", "update", "trajectory", "fit"):
        assert checks[name].verdict in ("not covered", "failed"), name
    assert any("step 0" in reason for reason in checks["loss"].reasons)
