import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.measure import CHECKS, Checks, Scale, Verdict, error, mismatch, norm


@pytest.mark.parametrize(
    ("found", "wanted", "relative", "absolute"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0, 0.0),
        ([3.0, 4.5], [3.0, 4.0], 0.1, 0.5),
        ([0.0], [0.0], 0.0, 0.0),
        ([1e200, 2e200], [1e200, 1e200], 1 / math.sqrt(2), 1e200),
        ([1e-200, 2e-200], [1e-200, 1e-200], 1 / math.sqrt(2), 1e-200),
        ([1.0, 2.0], [1.0], math.inf, math.inf),
    ],
)
def test_error_of_a_tensor(found, wanted, relative, absolute):
    assert error(found, wanted)[:2] == pytest.approx((relative, absolute))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["found", "wanted", "both"])
def test_nothing_that_is_not_finite_is_equal_to_anything(odd, where):
    found, wanted = [1.0, odd if where != "wanted" else 1.0], [1.0, odd if where != "found" else 1.0]
    check = Checks()["loss"]
    check.close("cost", found, wanted, 1e-10)
    check.within("Recall", found[1], wanted[1], 1e-10)
    assert check.verdict == "failed"
    assert check.worst.error.relative == math.inf
    assert "not finite" in check.worst.where


def test_29_of_30_costs_that_are_nan_fail():
    check = Checks()["loss"]
    for step in range(30):
        check.close("cost", np.nan if step else 1.0, np.nan if step else 1.0, 1e-10, step)
    assert check.verdict == "failed"
    assert check.first_failure.step == 1


def test_a_nan_is_not_equal_bit_for_bit_either():
    assert mismatch([np.nan], [np.nan]).relative > 0
    assert mismatch([-0.0], [0.0]).relative > 0


def test_an_error_that_is_itself_no_number_is_the_worst():
    check = Checks()["update"]
    check._take("Wx0", 0, error([1.0], [1.0])._replace(relative=math.nan), 1e-10)
    check.close("Wy", [1.0 + 1e-8], [1.0], 1e-10, 1)
    assert (check.worst.tensor, check.first_failure.tensor) == ("Wx0", "Wx0")


def test_a_tensor_that_has_cancelled_is_measured_against_its_terms():
    assert error([1e-16], [3e-17]).relative > 1
    assert error([1e-16], [3e-17], Scale(1.0)).relative == pytest.approx(7e-17)


def test_one_wrong_row_of_many_shows():
    wanted = np.ones((10_000, 4))
    found = wanted.copy()
    found[77] *= 1 + 1e-6
    whole = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert error(found, wanted).relative == pytest.approx(1e-6)
    assert error(found, wanted).row == 77
    assert whole < 2e-8


def test_a_row_may_not_hide_behind_its_own_small_scale_either():
    wanted = np.ones((4, 2))
    wanted[2] = 1e-30
    found = wanted.copy()
    found[2] = 2e-30
    assert error(found, wanted).relative < 1e-29  # no program computes a row that small beside the others


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8))
def test_the_norm_neither_overflows_nor_underflows(values):
    exact = math.hypot(*values)
    assert norm(np.array(values)) == pytest.approx(exact, rel=1e-14)


def test_mismatch_is_the_share_of_entries_that_differ():
    assert mismatch([1, 2, 3, 5], [1, 2, 3, 4])[:2] == (0.25, 1.0)
    assert mismatch([1, 2], [1, 2])[:2] == (0.0, 0.0)
    assert mismatch([1, 2], [1, 2, 3])[0] == 1.0
    assert mismatch(["a"], ["b"])[0] == 1.0
    assert mismatch(["1"], [1])[0] == 1.0


def test_a_check_remembers_the_cause_and_the_symptom():
    checks = Checks()
    check = checks["update"]
    check.close("Wy", [1.0], [1.0], 1e-10, 0)
    check.close("Wy", [1.0 + 1e-8], [1.0], 1e-10, 3)
    check.close("Wx0", [1.0 + 1e-6], [1.0], 1e-10, 4)
    checks["loss"].close("cost", 2.0, 1.0, 1e-10, 5)
    assert check.verdict == "failed"
    assert (check.worst.tensor, check.worst.step) == ("Wx0", 4)
    assert (check.first_failure.tensor, check.first_failure.step) == ("Wy", 3)
    assert check.by_step[3] == pytest.approx(1e-8)
    assert check.compared == 3
    assert checks.first_failure[1].where == "Wy, step 3"
    assert checks.worst[1].where == "cost, step 5"


def test_a_tensor_that_is_missing_fails():
    for found, wanted in (({}, {"Wy": [1.0]}), ({"Wy": [1.0]}, {}), ({"Wy": None}, {"Wy": [1.0]})):
        check = Checks()["gradients"]
        check.close_all(found, wanted, 1e-10)
        assert check.verdict == "failed"


def test_what_compares_nothing_is_not_covered_and_never_held():
    checks = Checks()
    for name in CHECKS:
        assert checks[name].verdict == "not covered"
    assert checks.verdict == "not covered"
    assert Checks().verdict == "not covered"


def test_what_was_left_out_is_not_held_although_the_rest_was_compared():
    checks = Checks()
    checks["dropout"].equal("mask", True, True)
    checks["dropout"].not_covered += ["no masks", "no masks"]
    assert checks.verdict == checks["dropout"].verdict == "not covered"
    assert checks["dropout"].reasons == ["no masks (2 times)"]


def test_what_a_setting_has_no_part_of_does_not_count():
    checks = Checks()
    checks["loss"].equal("cost", 1, 1)
    checks["dropout"].not_applicable.append("no dropout")
    assert checks["dropout"].verdict == "not applicable"
    assert checks.verdict == "held"
    del checks["loss"]
    assert checks.verdict == "not covered"


def test_an_error_of_the_engine_fails_and_a_lack_is_not_covered():
    def lacks(checks):
        raise NotImplementedError("no files")

    def breaks(checks):
        raise ZeroDivisionError("0/0")

    checks = Checks()
    checks["loss"].equal("cost", 1, 1)
    checks.attempt(["weights-transfer"], lacks)
    assert checks["weights-transfer"].verdict == "not covered"
    assert checks.verdict == "not covered"
    checks.attempt(["loss"], breaks)
    assert checks["loss"].verdict == "failed"
    assert checks["loss"].broken == "ZeroDivisionError: 0/0"
    assert "in breaks" in checks["loss"].traceback
    assert checks.verdict == Verdict.FAILED


def test_an_unknown_check_is_refused():
    with pytest.raises(KeyError, match="speed"):
        Checks()["speed"]
