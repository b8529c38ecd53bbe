"""Two engines beside each other on one scenario: every check that the asked modes cover."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from gru4rec import engines
from gru4rec.engines import EngineSpec
from parity.bounds import forced
from parity.checks import fit
from parity.checks.data import NAMES as DATA
from parity.checks.data import check_start
from parity.checks.dropout import check_dropout, masks_of, rows_to_draw
from parity.checks.ranking import check_ranking, expected_ranking, level_items
from parity.checks.steps import NAMES as FORCED
from parity.checks.steps import checked_steps
from parity.checks.trajectory import Spread, check_trajectory
from parity.checks.transfer import check_transfer
from parity.measure import CHECKS, Checks
from parity.protocol import Engine
from parity.scale import Conditioning
from parity.scenario import Scenario
from parity.walk import Record, walk

MODES = ("teacher-forced", "free-running")
MADE = tuple(name for name in CHECKS if name != "training")  # which has a command of its own


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
    devices: dict[str, str] = field(default_factory=dict)  # by engine


def compare(
    scenario: Scenario,
    reference: EngineSpec,
    candidate: EngineSpec,
    modes: tuple[str, ...] = MODES,
    steps: int = 30,
    tell: Callable[[str], None] = lambda what: None,
) -> Result:
    """Run every check of ``candidate`` against ``reference``, and of the program that ``reference`` fits with.

    Args:
        scenario: options, data, dtype, seeds. reference, candidate: the engines.
        modes: of :data:`MODES`; the checks of one that is left out are not covered.
        steps: training steps compared. tell: told what goes on.

    Raises:
        ValueError: the two are one and the same engine, which agrees with itself.
    """
    if reference.name == candidate.name:
        raise ValueError(f"--engine {reference.name} twice: two engines are accepted, one agrees with itself")
    result = Result(scenario, reference.name, candidate.name, modes, steps)
    checks = result.checks
    for name in MADE:
        checks[name]  # a check that nothing fills is reported as not covered
    tell("batches, samples, initial weights")
    checks.attempt(DATA, data_checks, scenario, reference, candidate)
    tell("dropout masks")
    checks.attempt(["dropout"], _dropout, scenario, reference, candidate)
    tell("training steps")
    pair = Pair(scenario, reference, candidate)
    checks.attempt(FORCED if MODES[0] in modes else (), forced_checks, pair, steps)
    checks.attempt(["trajectory"] if MODES[1] in modes else (), _free, result, pair)
    for mode, names in zip(MODES, (FORCED, ("trajectory",))):
        for name in names if mode not in modes else ():
            checks[name].not_covered.append(f"no {mode} run was asked for")
    tell("fit")
    checks.attempt(["fit"], fit_checks, fit.scenario_of(scenario), reference, candidate)
    tell("ranks and metrics")
    checks.attempt(["ranks", "metrics"], _ranking, scenario, pair)
    tell("saved weights")
    checks.attempt(["weights-transfer"], _transfer, scenario, pair)
    result.devices = {
        spec.name: engines.device_of(pair.engine(spec)) for spec in (reference, candidate) if pair.made(spec)
    }
    return result


class Pair:
    """The engines of a comparison, each made when it is first needed.

    ``exact`` is the reference in float64, from which all that is expected comes.
    """

    def __init__(self, scenario: Scenario, reference: EngineSpec, candidate: EngineSpec):
        self.scenario, self.reference, self.candidate = scenario, reference, candidate
        self._engines: dict[tuple[str, str], Engine] = {}

    def engine(self, spec: EngineSpec, role: str = "") -> Engine:
        """The engine of a role: in the scenario's dtype, or ``exact``, in float64."""
        if (spec.name, role) not in self._engines:
            dtype = "float64" if role else self.scenario.dtype
            self._engines[spec.name, role] = replace(self.scenario, dtype=dtype).prepare(spec)
        return self._engines[spec.name, role]

    def made(self, spec: EngineSpec) -> bool:
        return (spec.name, "") in self._engines

    def plain(self, rounds: bool = False) -> tuple[Engine, Engine]:
        """The harness's own program in float64 and in float32, on which scales are measured. rounds: of the latter."""
        exact, coarse = (replace(self.scenario, dtype=dtype) for dtype in ("float64", "float32"))
        return exact.plain(), coarse.plain(rounds)

    def records(self, steps: int | None, scores: bool) -> Iterator[Record]:
        """The reference's own training in float64, from the weights that its engine of the scenario's type has."""
        s, exact = self.scenario, self.engine(self.reference, "exact")
        exact.prepare(s.dataset.train, s.store)
        if s.dtype != "float64":
            exact.set_weights(s.prepare(self.reference).get_weights())
        yield from islice(walk(exact, s.params, s.params.get("n_epochs", 10), scores, s.dtype), steps)


def data_checks(checks: Checks, scenario: Scenario, reference: EngineSpec, candidate: EngineSpec) -> None:
    check_start(checks, scenario, scenario.create(reference), scenario.create(candidate))


def _dropout(checks: Checks, scenario: Scenario, reference: EngineSpec, candidate: EngineSpec) -> None:
    rows = rows_to_draw(scenario.params.get("batch_size", 32))
    check_dropout(checks, masks_of(scenario.prepare(reference), rows), scenario.prepare(candidate))


def forced_checks(checks: Checks, pair: Pair, steps: int | None = None) -> None:
    """Both engines are set to each state of the reference's float64 run; in float64 that is the reference's own."""
    s, own = pair.scenario, [pair.reference.name] if pair.scenario.dtype == "float64" else []
    forced_along = {spec.name: pair.engine(spec) for spec in (pair.candidate, pair.reference)}
    for _ in checked_steps(
        checks, pair.records(steps, True), forced_along, forced(s.dtype), Conditioning(*pair.plain(rounds=True)).of, own
    ):
        pass


def _free(checks: Checks, result: Result, pair: Pair) -> None:
    s = pair.scenario
    engine = pair.engine(pair.candidate)
    engine.prepare(s.dataset.train, s.store)
    result.curves = check_trajectory(
        checks,
        pair.records(result.steps, False),
        engine,
        s.params,
        s.params.get("n_epochs", 10),
        s.dtype,
        Spread(*pair.plain(rounds=True), s.dtype).after,
    )


def fit_checks(checks: Checks, short: Scenario, reference: EngineSpec, candidate: EngineSpec) -> None:
    """``fit`` of both engines on the scenario of :func:`parity.checks.fit.scenario_of`."""
    wanted = fit.expected(checks["fit"], short, reference)
    if wanted:
        for spec in (reference, candidate):
            fit.check_fit(checks, wanted, short, spec, spec.name)


def _ranking(checks: Checks, scenario: Scenario, pair: Pair) -> None:
    """From the weights that the training steps have left in the reference, both engines."""
    first = pair.engine(pair.reference)
    wanted = expected_ranking(
        level_items(first.get_weights()), first.itemidmap.index, scenario.params, scenario.dataset.test, scenario.dtype
    )
    for spec in (pair.reference, pair.candidate):
        check_ranking(checks, wanted, pair.engine(spec), spec.evaluation, scenario.dataset.test, f"{spec.name}: ")


def _transfer(checks: Checks, scenario: Scenario, pair: Pair) -> None:
    specs = (pair.reference, pair.candidate)
    for a, b in (specs, specs[::-1]):
        way = f"{a.name} to {b.name}"
        check_transfer(checks, pair.engine(a), pair.engine(b), forced(scenario.dtype), way)
