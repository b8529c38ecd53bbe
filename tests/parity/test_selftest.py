"""Every fault is caught by the check that has to catch it, and by a comparison past its bound, not by an accident."""

from functools import cache

import pytest

from gru4rec import engines
from parity import selftest
from parity.faults import FAULTS, SETTINGS
from parity.measure import CHECKS

# one quick fault a kind of patch runs always, the others in the slow run
FAST = {"hidden state not reset at a session's end while training", "cost not scaled by M/B"}


@cache
def reference(setting, dtype="float64"):
    return selftest.Reference(engines.named("original-jax"), setting, dtype)


def test_the_list_has_the_29_known_faults_and_own_ones():
    assert sum(not fault.own for fault in FAULTS) == 29
    assert sum(fault.own for fault in FAULTS) >= 5
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_every_check_has_a_fault_that_it_catches():
    assert {fault.check for fault in FAULTS} == set(CHECKS) - {"training"}  # whose faults its own command has


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=() if f.name in FAST else pytest.mark.slow, id=f.name) for f in FAULTS]
)
def test_a_fault_is_caught(fault):
    dtype = fault.dtypes[0]
    outcome = selftest.try_fault(fault, reference(fault.setting, dtype), engines.named("keras"), dtype == "float64")
    assert outcome.problem is None
    assert outcome.caught, outcome.worst
    assert outcome.seen_by_golden or dtype != "float64" or fault.name in selftest.NOT_IN_GOLDEN, outcome.by_golden


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_engine_without_a_fault_holds(setting):
    checks = selftest.run_checks(reference(setting), engines.named("keras"))
    assert checks.verdict == "held", [(check.name, check.broken or check.first_failure) for check in checks.failed]


def test_a_fault_leaves_nothing_behind():
    for fault in FAULTS:
        before = [(target, attribute, vars(target).get(attribute)) for target, attribute, _ in fault.patches()]
        with fault.put_in():
            pass
        for target, attribute, value in before:
            assert vars(target).get(attribute) is value
