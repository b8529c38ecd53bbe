"""Two engines beside each other on one scenario: every check that the asked modes cover."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Callable

from parity import engines
from parity.checks.data import check_batches, check_initial_weights, check_items, start_of
from parity.checks.dropout import check_dropout, masks_of, rows_to_draw
from parity.checks.ranking import check_ranking, expected_ranking, level_items
from parity.checks.steps import NAMES, checked_steps
from parity.checks.training import Training, check_training, rerun, train
from parity.checks.trajectory import check_trajectory
from parity.checks.transfer import check_transfer
from parity.engines import EngineSpec
from parity.measure import CHECKS, FORCED, Checks
from parity.scenario import Scenario
from parity.walk import walk

MODES = ("teacher-forced", "free-running")


@dataclass
class Result:
    """What a comparison of two engines on one scenario gave."""

    scenario: Scenario
    reference: str
    candidate: str
    modes: tuple[str, ...]
    steps: int
    checks: Checks = field(default_factory=Checks)
    curves: dict[str, list[float]] = field(default_factory=dict)  # costs and weights' error by step, free-running
    training: dict[str, Training] = field(default_factory=dict)  # by engine
    reruns: list[Training] = field(default_factory=list)  # of the reference, from learning rates one rounding away
    devices: dict[str, str] = field(default_factory=dict)  # by engine


def compare(
    scenario: Scenario,
    reference: EngineSpec,
    candidate: EngineSpec,
    modes: tuple[str, ...] = MODES,
    steps: int = 30,
    epochs: int = 0,
    reruns: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> Result:
    """Run every check of ``candidate`` against ``reference``.

    steps: training steps compared. epochs: of the full runs; 0 leaves the check ``training`` out. reruns: further full
    runs of the reference. tell: told what goes on.
    """
    result = Result(scenario, reference.name, candidate.name, modes, steps)
    checks = result.checks
    for name in CHECKS:
        checks[name]  # a check that nothing fills is reported as not covered
    tell("batches, samples, initial weights")
    checks.attempt(("batches", "negatives", "initial-weights"), _data, scenario, reference, candidate)
    if not scenario.params.get("n_sample", 2048):
        checks["negatives"].not_covered.append("n_sample=0: no negatives are drawn")
    tell("dropout masks")
    checks.attempt(["dropout"], _dropout, scenario, reference, candidate)
    tell("training steps")
    stepwise = (NAMES if MODES[0] in modes else ()) + (("trajectory",) if MODES[1] in modes else ())
    pair = checks.attempt(stepwise, _steps, result, reference, candidate)
    for mode, names in zip(MODES, (NAMES, ("trajectory",))):
        for name in names if mode not in modes else ():
            checks[name].not_covered.append(f"no {mode} run was asked for")
    if pair:
        tell("ranks and metrics")
        checks.attempt(("ranks", "metrics"), _ranking, scenario, (reference, candidate), pair)
        tell("saved weights")
        checks.attempt(["weights-transfer"], _transfer, scenario, result, pair)
        result.devices = {spec.name: engines.device_of(engine) for spec, engine in zip((reference, candidate), pair)}
    if epochs:
        tell("full runs")
        checks.attempt(["training"], _training, result, (reference, candidate), epochs, reruns)
    else:
        checks["training"].not_covered.append("no full run was asked for (--epochs)")
    return result


def _data(checks: Checks, scenario: Scenario, reference: EngineSpec, candidate: EngineSpec) -> None:
    wanted, found = scenario.prepare(reference), scenario.prepare(candidate)
    start = start_of(wanted)
    check_items(checks, start, start_of(found))
    check_initial_weights(checks, start, start_of(found))
    check_batches(checks, wanted.batches(), found.batches())


def _dropout(checks: Checks, scenario: Scenario, reference: EngineSpec, candidate: EngineSpec) -> None:
    rows = rows_to_draw(scenario.params.get("batch_size", 32))
    check_dropout(checks, masks_of(scenario.prepare(reference), rows), scenario.prepare(candidate))


def _steps(checks: Checks, result: Result, reference: EngineSpec, candidate: EngineSpec):
    """One run of the reference; a candidate that is set to its state at every step, another that runs on by itself."""
    s = result.scenario
    first, forced = s.prepare(reference), s.prepare(candidate)
    records = islice(walk(first, s.params, epochs=s.params.get("n_epochs", 10)), result.steps)
    if MODES[0] in result.modes:
        records = checked_steps(checks, records, forced, FORCED[s.dtype], s.exact(reference))
    if MODES[1] in result.modes:
        free = walk(s.prepare(candidate), s.params, epochs=s.params.get("n_epochs", 10), scores=False)
        result.curves = check_trajectory(checks, records, free, s.dtype)
    deque(records, 0)  # runs what is left, which without a free run is all
    return first, forced


def _ranking(checks: Checks, scenario: Scenario, specs, pair) -> None:
    first = pair[0]
    first.set_weights(level_items(first.get_weights()))
    wanted = expected_ranking(first, scenario.params, scenario.dataset.test, scenario.dtype)
    for spec, engine in zip(specs, pair):
        check_ranking(checks, wanted, engine, spec.evaluation, scenario.dataset.test, f"{spec.name}: ")


def _transfer(checks: Checks, scenario: Scenario, result: Result, pair) -> None:
    names = result.reference, result.candidate
    for a, b in ((0, 1), (1, 0)):
        check_transfer(checks, pair[a], pair[b], FORCED[scenario.dtype], f"{names[a]} to {names[b]}")


def _training(checks: Checks, result: Result, specs, epochs: int, reruns: int) -> None:
    scenario = result.scenario.with_params(n_epochs=epochs)
    for spec in specs:
        result.training[spec.name] = train(spec, scenario)
    result.reruns = rerun(specs[0], scenario, reruns)
    check_training(checks, *(result.training[spec.name] for spec in specs), reruns=result.reruns)
