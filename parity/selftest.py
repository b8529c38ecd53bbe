"""Does the harness fail when it should? Every fault is put into the Keras engine in turn, and the named check has to
catch it.
"""

from dataclasses import dataclass
from functools import lru_cache

from parity import data
from parity.checks.data import check_batches, check_initial_weights, check_items, epochs_of, start_of
from parity.checks.dropout import check_dropout, masks_of, rows_to_draw
from parity.checks.ranking import check_ranking, expected_ranking, level_items
from parity.checks.steps import check_steps
from parity.checks.training import check_training, train
from parity.checks.trajectory import check_trajectory
from parity.checks.transfer import check_transfer
from parity.engines import EngineSpec
from parity.faults import FAULTS, SETTINGS, Fault
from parity.measure import FORCED, Checks, Comparison
from parity.scenario import Scenario
from parity.walk import walk

EPOCHS = 2
ALL_STEPS = ("forward", "loss", "gradients", "update")
TRAINING_WEIGHTS = 1e-6  # runs of these sizes are tame enough to compare their last weights


@lru_cache
def dataset() -> data.Dataset:
    return data.embedded(sessions=26, items=30, test_sessions=20, seed=5)


def scenario(setting: str) -> Scenario:
    """One of the small settings of :data:`parity.faults.SETTINGS`."""
    return Scenario(setting, SETTINGS[setting], dataset())


class Reference:
    """Everything that the reference gives in one setting, computed when it is first needed, and once."""

    def __init__(self, spec: EngineSpec, setting: str):
        self.spec, self.scenario = spec, scenario(setting)
        self._kept = {}

    def _once(self, name, make):
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def start(self):
        return self._once("start", lambda: start_of(self.scenario.prepare(self.spec)))

    def batches(self):
        return self._once("batches", lambda: list(epochs_of(self.scenario.prepare(self.spec), EPOCHS)))

    def masks(self):
        rows = rows_to_draw(self.scenario.params["batch_size"])
        return self._once("masks", lambda: masks_of(self.scenario.prepare(self.spec), rows))

    def trained(self):
        """(records of one epoch, the engine after it)."""

        def make():
            engine = self.scenario.prepare(self.spec)
            return list(walk(engine, self.scenario.params)), engine

        return self._once("trained", make)

    def ranking(self):
        def make():
            records, engine = self.trained()
            engine.set_weights(level_items(records[-1].after.weights))
            return expected_ranking(engine, self.scenario.params, self.scenario.dataset.test, self.scenario.dtype)

        return self._once("ranking", make)

    def training(self):
        return self._once("training", lambda: train(self.spec, self.scenario))


def run_checks(reference: Reference, spec: EngineSpec, wanted: set[str] | None = None) -> Checks:
    """The checks named in ``wanted`` (all by default) of the engine ``spec`` against a recorded reference."""
    checks, s = Checks(), reference.scenario

    def asked(*names):
        return wanted is None or wanted & set(names)

    def data_checks(checks):
        start = start_of(s.prepare(spec))
        check_items(checks, reference.start(), start)
        check_initial_weights(checks, reference.start(), start)
        check_batches(checks, reference.batches(), epochs_of(s.prepare(spec), EPOCHS))

    def free(checks):
        check_trajectory(checks, reference.trained()[0], walk(s.prepare(spec), s.params, scores=False), s.dtype)

    def ranking(checks):
        check_ranking(checks, reference.ranking(), s.prepare(spec), spec.evaluation, s.dataset.test)

    def transfer(checks):
        check_transfer(checks, s.prepare(spec), s.prepare(reference.spec), FORCED[s.dtype], "keras to original")

    if asked("batches", "negatives", "initial-weights"):
        checks.attempt(["batches", "negatives", "initial-weights"], data_checks)
    if asked("dropout"):
        checks.attempt(["dropout"], lambda c: check_dropout(c, reference.masks(), s.prepare(spec)))
    if asked(*ALL_STEPS):
        checks.attempt(ALL_STEPS, lambda c: check_steps(c, reference.trained()[0], s.prepare(spec), FORCED[s.dtype]))
    if asked("trajectory"):
        checks.attempt(["trajectory"], free)
    if asked("ranks", "metrics"):
        checks.attempt(["ranks", "metrics"], ranking)
    if asked("training"):
        checks.attempt(
            ["training"], lambda c: check_training(c, reference.training(), train(spec, s), TRAINING_WEIGHTS)
        )
    if asked("weights-transfer"):
        checks.attempt(["weights-transfer"], transfer)
    return checks


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    fault: str  # its name
    worst: Comparison | None  # of the check that has to catch it
    caught: bool
    also: list[str]  # other checks that failed
    problem: str | None = None


def try_fault(fault: Fault, reference: Reference, spec: EngineSpec) -> Outcome:
    """Caught means: the named check failed because a comparison was past its bound, not because something broke."""
    with fault.put_in():
        checks = run_checks(reference, spec, {fault.check})
    check = checks[fault.check]
    caught = check.worst is not None and not check.worst.held and check.broken is None
    also = [other.name for other in checks.failed if other.name != fault.check]
    return Outcome(fault.name, check.worst, caught, also, check.broken)


def settings_used(faults: tuple[Fault, ...] = FAULTS) -> list[str]:
    return list(dict.fromkeys(fault.setting for fault in faults))
