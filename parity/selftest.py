"""Does the harness fail when it should?

Every fault is put into the Keras engine in turn, and the named check has to catch it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from gru4rec.engines import EngineSpec
from parity import data, golden
from parity.bounds import forced
from parity.checks import fit
from parity.checks.data import NAMES as DATA
from parity.checks.data import check_batches, check_initial_weights, check_items, epochs_of, start_of
from parity.checks.dropout import check_dropout, masks_of, rows_to_draw
from parity.checks.ranking import check_ranking, expected_ranking, level_items
from parity.checks.steps import NAMES as FORCED
from parity.checks.steps import check_steps
from parity.checks.trajectory import Spread, check_trajectory
from parity.checks.transfer import check_transfer
from parity.faults import FAULTS, SETTINGS, Fault
from parity.measure import CHECKS, Checks, Comparison
from parity.protocol import Engine
from parity.recordings.reading import SHIPPED, read
from parity.recordings.recording import Recording
from parity.scale import Conditioning
from parity.scenario import Scenario
from parity.walk import Record, walk

MADE = tuple(name for name in CHECKS if name != "training")


@lru_cache
def dataset() -> data.Dataset:
    return data.embedded(sessions=26, items=30, test_sessions=20, seed=5)


def scenario(setting: str, dtype: str = "float64") -> Scenario:
    """One of the small settings of :data:`parity.faults.SETTINGS`."""
    return Scenario(setting, SETTINGS[setting], dataset(), dtype)


class Reference:
    """Everything that the reference gives in one setting, computed when it is first needed, and once."""

    def __init__(self, spec: EngineSpec, setting: str, dtype: str = "float64"):
        self.spec, self.scenario = spec, scenario(setting, dtype)
        self.exact = scenario(setting)
        self._kept: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def start(self):
        return self._once("start", lambda: start_of(self.scenario.prepare(self.spec)))

    def batches(self):
        return self._once("batches", lambda: list(epochs_of(self.scenario.prepare(self.spec))))

    def masks(self):
        rows = rows_to_draw(self.scenario.params["batch_size"])
        return self._once("masks", lambda: masks_of(self.scenario.prepare(self.spec), rows))

    def records(self) -> list[Record]:
        """One epoch of the reference in float64, from the weights that its engine of the scenario's type starts at."""

        def make():
            engine, s = self.exact.prepare(self.spec), self.scenario
            engine.set_weights(self.start().weights)
            return list(walk(engine, s.params, dtype=s.dtype))

        return self._once("records", make)

    def plain(self, rounds: bool = False) -> tuple[Engine, Engine]:
        """The harness's own program in float64 and in float32, on which scales are measured. rounds: of the latter."""
        return self.exact.plain(), scenario(self.scenario.name, "float32").plain(rounds)

    def scales(self):
        def make():
            conditioning = Conditioning(*self.plain(rounds=True))
            return {record.number: conditioning.of(record) for record in self.records()}

        return self._once("scales", make)

    def spreads(self):
        def make():
            spread = Spread(*self.plain(rounds=True), self.scenario.dtype)
            return {record.number: spread.after(record) for record in self.records()}

        return self._once("spreads", make)

    def ranking(self):
        """From the weights after the epoch."""
        s, weights = self.scenario, level_items(self.records()[-1].after.weights)
        return self._once(
            "ranking", lambda: expected_ranking(weights, self.start().item_ids, s.params, s.dataset.test, s.dtype)
        )

    def fit(self):
        """(scenario, expected), on the whole of the small data set."""
        short = fit.scenario_of(self.scenario)
        return short, self._once("fit", lambda: fit.expected(Checks()["fit"], short, self.spec))


def run_checks(reference: Reference, spec: EngineSpec, wanted: set[str] | None = None) -> Checks:
    """The checks named in ``wanted`` (all by default) of the engine ``spec`` against a recorded reference."""
    checks, s, bound = Checks(), reference.scenario, forced(reference.scenario.dtype)

    def data_checks(checks: Checks) -> None:
        start = start_of(s.prepare(spec))
        check_items(checks, reference.start(), start)
        check_initial_weights(checks, reference.start(), start)
        check_batches(checks, reference.batches(), epochs_of(s.prepare(spec)))

    def steps(checks: Checks) -> None:
        scales = reference.scales()
        check_steps(checks, reference.records(), s.prepare(spec), bound, lambda record: scales[record.number])

    def free(checks: Checks) -> None:
        spreads, engine = reference.spreads(), s.prepare(spec)
        check_trajectory(checks, reference.records(), engine, s.params, 1, s.dtype, lambda r: spreads[r.number])

    def fitted(checks: Checks) -> None:
        short, expected = reference.fit()
        if expected is None:
            checks["fit"].not_covered.append("chaotic in the first epoch")
        else:
            fit.check_fit(checks, expected, short, spec)

    def ranking(checks: Checks) -> None:
        check_ranking(checks, reference.ranking(), s.prepare(spec), spec.evaluation, s.dataset.test)

    def transfer(checks: Checks) -> None:
        for a, b in ((spec, reference.spec), (reference.spec, spec)):
            check_transfer(checks, s.prepare(a), s.prepare(b), bound, f"{a.name} to {b.name}")

    def dropout(checks: Checks) -> None:
        check_dropout(checks, reference.masks(), s.prepare(spec))

    for names, function in (
        (DATA, data_checks), (("dropout",), dropout), (FORCED, steps), (("trajectory",), free), (("fit",), fitted),
        (("ranks", "metrics"), ranking), (("weights-transfer",), transfer),
    ):  # fmt: skip
        if wanted is None or wanted & set(names):
            checks.attempt(names, function)
    return checks


# Recordings in which the faults show, most telling first; those of a fault's own setting are tried before the others.
TELLING = {
    "bpr-max": ("loss-bpr-max-elu", "loss-bpr-max-leaky"),
    "momentum": ("opt-duplicates-momentum",),
    "dropout": ("dropout-both-separate", "loss-cross-entropy-softmax"),
    "regularised": ("opt-adagrad-l2", "opt-grad_cap", "loss-cross-entropy-smoothing"),
    "": ("sampling-popularity-no-store", "data-one-event-sessions-unknown-items", "loss-top1-max-relu"),
}

# What no recorded run of the authors' program can show, and why.
NOT_IN_GOLDEN = {
    "log without its 1e-24": "no recorded score is small enough for the 1e-24 to count",
    "label smoothing spread over K items instead of K - 1": "xe_logit was recorded without smoothing",
    "weights saved in half precision": "a recording holds no saved file",
} | {
    fault.name: "the release of 2018, which was recorded, has no such option"
    for fault in FAULTS
    if fault.setting == "logq"
}


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    worst: of the check that has to catch it. also: other checks that failed. problem: what was raised.
    by_golden: the recording and the check that caught it, or why none can; None where golden was not asked.
    seen_by_golden: whether a recording caught it.
    """

    fault: str
    worst: Comparison | None
    caught: bool
    also: list[str]
    problem: str | None = None
    by_golden: str | None = None
    seen_by_golden: bool = False


def try_fault(fault: Fault, reference: Reference, spec: EngineSpec, by_golden: bool = False) -> Outcome:
    """Caught means: the named check failed because a comparison was past its bound, not because something broke."""
    with fault.put_in():
        checks = run_checks(reference, spec, {fault.check})
        told = _through_golden(fault, spec) if by_golden else (None, False)
    check = checks[fault.check]
    caught = check.first_failure is not None and check.broken is None
    also = [other.name for other in checks.failed if other.name != fault.check]
    return Outcome(fault.name, check.worst, caught, also, check.broken, *told)


def _through_golden(fault: Fault, spec: EngineSpec) -> tuple[str, bool]:
    """(which recording and check caught it, true), or (why none did, false)."""
    if fault.name in NOT_IN_GOLDEN:
        return NOT_IN_GOLDEN[fault.name], False
    names = [*TELLING.get(fault.setting, ()), *(name for each in TELLING.values() for name in each)]
    for name in dict.fromkeys(names):
        found = golden.replay(_recording(name)[0], spec, _recording(name)[1]).first_failure
        if found:
            return f"{name}: {found[0].name}, {found[1].where}", True
    return "no recording that was tried shows it", False


@cache
def _recording(name: str) -> tuple[Recording, list[golden.Reach]]:
    recording = read(SHIPPED / f"{name}.npz")
    return recording, golden.reach(recording)


def settings_used(faults: Sequence[Fault] = FAULTS) -> list[str]:
    return list(dict.fromkeys(fault.setting for fault in faults))
