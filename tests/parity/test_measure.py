import math

import numpy as np
import pytest

from parity.measure import CHECKS, Checks, error, mismatch


@pytest.mark.parametrize(
    ("found", "wanted", "relative", "absolute"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0, 0.0),
        ([3.0, 4.5], [3.0, 4.0], 0.1, 0.5),
        ([0.0], [0.0], 0.0, 0.0),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0, 0.0),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0, 0.0),
        ([np.nan], [1.0], math.inf, math.inf),
        ([np.inf], [1.0], math.inf, math.inf),
        ([1.0, 2.0], [1.0], math.inf, math.inf),
    ],
)
def test_error_of_a_tensor(found, wanted, relative, absolute):
    assert error(found, wanted) == pytest.approx((relative, absolute))


def test_mismatch_is_the_share_of_entries_that_differ():
    assert mismatch([1, 2, 3, 5], [1, 2, 3, 4]) == (0.25, 1.0)
    assert mismatch([1, 2], [1, 2]) == (0.0, 0.0)
    assert mismatch([1, 2], [1, 2, 3])[0] == 1.0
    assert mismatch(["a"], ["b"])[0] == 1.0


def test_a_check_remembers_the_worst_and_the_first_failure():
    check = Checks()["update"]
    check.close("Wy", [1.0], [1.0], 1e-10, 0)
    check.close("Wy", [1.0 + 1e-8], [1.0], 1e-10, 3)
    check.close("Wx0", [1.0 + 1e-6], [1.0], 1e-10, 4)
    assert check.status == "failed"
    assert (check.worst.tensor, check.worst.step) == ("Wx0", 4)
    assert (check.first_failure.tensor, check.first_failure.step) == ("Wy", 3)
    assert check.by_step[3] == pytest.approx(1e-8)
    assert check.compared == 3


def test_an_exact_comparison_outranks_a_float_one_only_when_it_differs():
    check = Checks()["dropout"]
    check.close("p", [1.0 + 1e-16], [1.0], 1e-10)
    check.equal("mask", [True, False], [True, False])
    assert check.status == "held"
    check.equal("mask", [True, True], [True, False])
    assert (check.status, check.worst.tensor) == ("failed", "mask")


def test_a_tensor_that_is_missing_fails():
    for found, wanted in (({}, {"Wy": [1.0]}), ({"Wy": [1.0]}, {})):
        check = Checks()["gradients"]
        check.close_all(found, wanted, 1e-10)
        assert check.status == "failed"


def test_what_compares_nothing_is_not_covered_and_never_held():
    checks = Checks()
    for name in CHECKS:
        assert checks[name].status == "not covered"
    assert not checks.held
    assert checks.status == "not covered"


def test_an_error_of_the_engine_fails_and_a_lack_is_not_covered():
    def lacks(checks):
        raise NotImplementedError("no files")

    def breaks(checks):
        raise ZeroDivisionError("0/0")

    checks = Checks()
    checks["loss"].equal("cost", 1, 1)
    checks.attempt(["weights-transfer"], lacks)
    assert checks["weights-transfer"].status == "not covered"
    assert checks.status == "held"
    checks.attempt(["loss"], breaks)
    assert checks["loss"].status == "failed"
    assert checks["loss"].broken == "ZeroDivisionError: 0/0"
    assert checks.status == "failed"


def test_an_unknown_check_is_refused():
    with pytest.raises(KeyError, match="speed"):
        Checks()["speed"]
