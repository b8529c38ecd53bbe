"""What a process does with one mutant, and with the unfaulted engine.

All here runs in a child process of its own (:mod:`parity.mutants.processes`).
"""

import pickle
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gru4rec import engines
from gru4rec.engines import EngineSpec
from parity import golden, situations
from parity.measure import Checks, Verdict
from parity.mutants import recorded, sources, tree
from parity.mutants.force import Mutation
from parity.mutants.reached import reached
from parity.mutants.stopping import Caught, stopping
from parity.recordings.reading import read
from parity.recordings.recording import Recording
from parity.walk import lanes_in_step

Tell = Callable[[str, str], None]  # (stage, what of it) that begins
STAGES = ("golden", "matrix")


class Case(NamedTuple):
    """Something that an engine is put through.

    stage: of :data:`STAGES`. name: of a recording, of a situation, of a setting. path: a file of this command's own
    with what is expected: see :func:`prepare` and :func:`record`.
    """

    stage: str
    name: str
    path: Path

    def run(self, spec: EngineSpec) -> Checks:
        if self.stage != "golden":
            return recorded.replay(self.path, spec)
        expected = pickle.loads(self.path.read_bytes())  # noqa: S301 - a file of this command itself
        if isinstance(expected, Replayed):
            return golden.replay(expected.recording, spec, expected.scales)
        return situations.judge(self.name, spec, expected)


class Replayed(NamedTuple):
    """A recording, and the scales of its figures."""

    recording: Recording
    scales: list[golden.Reach]


class Clean(NamedTuple):
    """The unfaulted engine in one case.

    name: the case's. verdicts: by check. failed: what failed, or ''. seconds: of CPU. lines: executed, by module.
    imported: modules of the engine.
    """

    name: str
    verdicts: dict[str, str]
    failed: str
    seconds: float
    lines: dict[str, list[int]]
    imported: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        result: ``caught``, ``survived``, or ``not in force`` where the mutated module was never imported.
        by: ``bound`` (a comparison past its bound), ``error`` (the engine raised), ``not covered`` (it no longer gives
            what it gave), ``time``, ``memory``, ``crash``; '' for a survivor.
        stage: ``import`` or one of :data:`STAGES`: where it was caught; of a survivor the last that it came through.
        within: the name of the case.
        check, where: the first check past its bound, and its tensor and step, or the error.
        seconds: of CPU. ran: how many cases came past it, in all stages.
    """

    result: str
    by: str = ""
    stage: str = ""
    within: str = ""
    check: str = ""
    where: str = ""
    seconds: float = 0.0
    ran: int = 0


def cpu_seconds() -> float:
    """Used by this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def allow(seconds: int) -> None:
    """From now on this process may use so many seconds of CPU; then the system ends it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds()) + seconds, hard))


def prepare(what: Path | str, path: Path, tell: Tell) -> None:
    """Keep what a recording, or the situation of a name, expects of any engine in ``path``."""
    tell("golden", str(what))
    if isinstance(what, str):
        expected: Any = situations.expected(what)
    else:
        recording = read(what)
        expected = Replayed(recording, golden.reach(recording))
    path.write_bytes(pickle.dumps(expected))


def record(reference: str, which: recorded.Which, path: Path, seconds: int, tell: Tell) -> str:
    """Record the reference in a setting of :mod:`parity.mutants.recorded`; returns why that cannot be done, or ''."""
    tell("matrix", recorded.words(which))
    allow(10 * seconds)
    return recorded.record(_ready(reference), which, path)


def clean(engine: str, case: Case, seconds: int, tell: Tell) -> Clean:
    """Put the unfaulted engine through a case, noting every line of it that is executed."""
    tell(case.stage, case.name)
    allow(10 * seconds)
    modules = {str(module.path): module.name for module in sources.modules_of(engine)}
    with reached(modules) as lines:
        spec, before = _ready(engine), cpu_seconds()
        checks = case.run(spec)
    failed = "; ".join(f"{c.name}: {c.broken or (c.first_failure and c.first_failure.where)}" for c in checks.failed)
    verdicts = {check.name: str(check.verdict) for check in checks.values()}
    imported = sorted(name for name in modules.values() if name in sys.modules)
    found = {modules[file]: sorted(numbers) for file, numbers in lines.items() if numbers}
    return Clean(case.name, verdicts, failed, round(cpu_seconds() - before, 2), found, imported)


def imported(engine: str, tell: Tell) -> list[str]:
    """The modules of an engine that it imports for a step and an evaluation."""
    tell("import", engine)
    spec, scenario = _ready(engine), situations.situation("samples-1").scenario
    with suppress(NotImplementedError):
        made = scenario.prepare(spec)
        for _, batch in islice(lanes_in_step(made, scenario.params), 1):
            made.train_step(batch.X, batch.Y, batch.R)
        if spec.evaluation is not None:
            spec.evaluation.ranks(made, scenario.dataset.test)
    return sorted(module.name for module in sources.modules_of(engine) if module.name in sys.modules)


def try_mutant(
    engine: str,
    mutant: tree.Mutant | None,
    source: str,
    cases: Sequence[tuple[Case, dict[str, str]]],
    stage: str,
    seconds: int,
    tell: Tell,
) -> Outcome:
    """Put ``mutant`` in force, and the engine through one case after the other until something is past its bound.

    Args:
        engine: its name. mutant: None for the identity, which has to survive. source: of the mutant's module.
        cases: each with the verdicts of the unfaulted engine by check. stage: theirs.
        seconds: of CPU that a case may take.
    """
    allow(seconds)
    mutation = Mutation(mutant.module, tree.mutated(mutant, source)) if mutant else None
    at, within, ran = "import", "", 0

    def outcome(result: str, by: str = "", check: str = "", where: str = "") -> Outcome:
        return Outcome(result, by, at, within, check, where[:300], round(cpu_seconds(), 2), ran)

    tell(at, within)
    with mutation or nullcontext(), stopping():
        try:
            spec, at = _ready(engine), stage
            for case, usual in cases:
                within, ran = case.name, ran + 1
                allow(seconds)
                tell(stage, case.name)
                less = _less_covered(case.run(spec), usual)
                if less:
                    return outcome("caught", "not covered", *less)
        except Caught as caught:
            by = "memory" if "MemoryError" in caught.where else "error" if caught.raised else "bound"
            return outcome("caught", by, caught.check, caught.where)
        except MemoryError:
            return outcome("caught", "memory")
        except (Exception, SystemExit) as problem:
            return outcome("caught", "error", "", f"{type(problem).__name__}: {problem}")
    within = ""
    return outcome("not in force" if cases and mutation is not None and not mutation.in_force else "survived")


def _ready(engine: str) -> EngineSpec:
    engines.expect_odd_settings()
    spec = engines.for_device(engines.named(engine), "cpu")
    engines.make_deterministic([engine], "cpu")
    return spec


def _less_covered(checks: Checks, usual: dict[str, str]) -> tuple[str, str] | None:
    """The first check that is not covered, and why, where it is of the unfaulted engine."""
    for name, check in checks.items():
        if check.verdict == Verdict.NOT_COVERED and usual.get(name) != Verdict.NOT_COVERED:
            return name, "; ".join(check.reasons)
    return None


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
