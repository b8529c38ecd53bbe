"""What a process does with one mutant, and with the unfaulted engine.

All here runs in a child process of its own (:mod:`parity.mutants.processes`).
"""

import resource
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from parity import compare, engines, golden, matrix
from parity.checks.ranking import check_ranking, expected_ranking, level_items
from parity.engines import EngineSpec
from parity.measure import Checks, Verdict
from parity.mutants import sources, tree
from parity.mutants.force import Mutation
from parity.mutants.reached import reached
from parity.mutants.stopping import Caught, stopping
from parity.recordings.reading import read
from parity.scenario import Scenario

Tell = Callable[[str, str], None]  # (stage, what of it) that begins


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        result: ``caught``, ``survived``, or ``not in force`` where the mutated module was never imported.
        by: ``bound`` (a comparison past its bound), ``error`` (the engine raised), ``not covered`` (it no longer gives
            what it gave), ``time``, ``memory``, ``crash``; '' for a survivor.
        stage: ``import``, ``golden``, ``matrix``, ``evaluation`` or ``run``: where it was caught.
        within: the recording, or the configuration.
        check, where: the first check past its bound, and its tensor and step, or the error.
        seconds: of CPU. ran: how many recordings came past it and were replayed.
    """

    result: str
    by: str = ""
    stage: str = ""
    within: str = ""
    check: str = ""
    where: str = ""
    seconds: float = 0.0
    ran: int = 0


class Clean(NamedTuple):
    """The unfaulted engine on one recording: verdicts by check, CPU seconds, lines by module, modules imported."""

    recording: str
    verdicts: dict[str, str]
    failed: str
    seconds: float
    lines: dict[str, list[int]]
    imported: list[str]


@dataclass(frozen=True)
class Plan:
    """What a mutant is put through.

    recordings: files, in this order. verdicts: by recording and check, of the unfaulted engine. configs: of the matrix.
    reference: the engine that the matrix compares with. seconds: of CPU that a recording or a configuration may take.
    """

    recordings: list[Path]
    verdicts: dict[str, dict[str, str]]
    configs: list[dict[str, Any]] = field(default_factory=list)
    reference: str = ""
    seconds: int = 120


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def allow(seconds: int) -> None:
    """From now on this process may use so many seconds of CPU; then the system ends it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds()) + seconds, hard))


def clean(engine: str, recording: Path, seconds: int, tell: Tell) -> Clean:
    """Replay one recording by the unfaulted engine, noting every line of its mathematics that is executed."""
    tell("golden", recording.stem)
    allow(10 * seconds)
    modules = {str(module.path): module.name for module in sources.modules_of(engine)}
    with reached(modules) as lines:
        spec = _ready(engine)
        known, before = read(recording), cpu_seconds()
        checks = golden.replay(known, spec)
    failed = "; ".join(f"{c.name}: {c.broken or c.first_failure.where}" for c in checks.failed)  # type: ignore[union-attr]
    verdicts = {check.name: str(check.verdict) for check in checks.values()}
    imported = sorted(name for name in modules.values() if name in sys.modules)
    found = {modules[file]: sorted(numbers) for file, numbers in lines.items() if numbers}
    return Clean(recording.stem, verdicts, failed, cpu_seconds() - before, found, imported)


def try_mutant(engine: str, mutant: tree.Mutant | None, source: str, plan: Plan, tell: Tell) -> Outcome:
    """Put ``mutant`` in force, then replay, compare and evaluate until something is past its bound.

    mutant: None for the identity, which has to survive. source: of the mutant's module.
    """
    allow(plan.seconds)
    mutation = Mutation(mutant.module, tree.mutated(mutant, source)) if mutant else None
    progress = _Progress(tell, plan.seconds)
    with mutation or nullcontext(), stopping():
        try:
            progress.begin("import", "")
            spec = _ready(engine)
            if mutation is None or mutation.in_force or mutant is None:
                _run(spec, plan, progress)
        except Caught as caught:
            by = "memory" if "MemoryError" in caught.where else "error" if caught.raised else "bound"
            return progress.outcome("caught", by, caught.check, caught.where)
        except _LessCovered as less:
            return progress.outcome("caught", "not covered", less.check, less.reason)
        except MemoryError:
            return progress.outcome("caught", "memory")
        except (Exception, SystemExit) as problem:
            return progress.outcome("caught", "error", "", f"{type(problem).__name__}: {problem}")
        if mutation is not None and not mutation.in_force:
            return progress.outcome("not in force")
    return progress.outcome("survived")


class _LessCovered(Exception):
    def __init__(self, check: str, reason: str):
        super().__init__(check, reason)
        self.check, self.reason = check, reason


class _Progress:
    """Where a trial stands."""

    def __init__(self, tell: Tell, seconds: int):
        self.tell, self.seconds = tell, seconds
        self.stage = self.within = ""
        self.ran = 0

    def begin(self, stage: str, within: str) -> None:
        self.stage, self.within = stage, within
        self.ran += stage == "golden"
        allow(self.seconds)
        self.tell(stage, within)

    def outcome(self, result: str, by: str = "", check: str = "", where: str = "") -> Outcome:
        stage, within = (self.stage, self.within) if result == "caught" else ("", "")
        return Outcome(result, by, stage, within, check, where[:300], round(cpu_seconds(), 2), self.ran)


def _ready(engine: str) -> EngineSpec:
    engines.expect_odd_settings()
    spec = engines.for_device(engines.named(engine), "cpu")
    engines.make_deterministic([engine], "cpu")
    return spec


def _run(spec: EngineSpec, plan: Plan, progress: _Progress) -> None:
    for path in plan.recordings:
        progress.begin("golden", path.stem)
        _not_less(golden.replay(read(path), spec), plan.verdicts.get(path.stem, {}))
    if not plan.configs:
        return
    reference = engines.for_device(engines.named(plan.reference), "cpu")
    engines.make_deterministic([plan.reference], "cpu")
    for config in plan.configs:
        progress.begin("matrix", _words(config))
        _not_less(matrix.try_config(config, reference, spec).checks)
    for config in plan.configs[:2]:
        scenario = Scenario("matrix", matrix.params_of(config), matrix.dataset())
        progress.begin("evaluation", _words(config))
        _evaluate(scenario, spec)
    progress.begin("run", _words(plan.configs[0]))
    scenario = Scenario("matrix", matrix.params_of(plan.configs[0]), matrix.dataset())
    compare.compare(scenario, reference, spec, steps=6)


def _evaluate(scenario: Scenario, spec: EngineSpec) -> None:
    """Ranks and metrics in every mode, with level items, against the harness's own forward pass."""
    checks, engine = Checks(), scenario.prepare(spec)
    weights, ids = level_items(engine.get_weights()), engine.itemidmap.index
    wanted = expected_ranking(weights, ids, scenario.params, scenario.dataset.test, scenario.dtype)
    check_ranking(checks, wanted, engine, spec.evaluation, scenario.dataset.test)


def _not_less(checks: Checks, usual: dict[str, str] | None = None) -> None:
    """Raises where a check says "not covered" that does not say so of the unfaulted engine."""
    for name, check in checks.items():
        if check.verdict == Verdict.NOT_COVERED and (usual or {}).get(name) != Verdict.NOT_COVERED:
            raise _LessCovered(name, "; ".join(check.reasons))


def _words(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {'/'.join(map(str, v)) if isinstance(v, list) else v}" for name, v in config.items())


@contextmanager
def limited(gigabytes: float) -> Iterator[None]:
    """Within, this process gets no more memory than it has and ``gigabytes`` besides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + int(gigabytes * 2**30), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
