"""What mutants that no recording tells are put through: settings in which the other engine was recorded beforehand.

They are configurations of :mod:`parity.matrix` and the settings of the self-test, and all checks of both are run. The
reference runs once for each setting, and what it gave is kept in a file for the processes of this command.
"""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

from gru4rec.engines import EngineSpec
from parity import faults, matrix, selftest
from parity.measure import CHECKS, Checks
from parity.protocol import Engine
from parity.scenario import Scenario

Which = str | dict[str, Any]  # the name of a setting of the self-test, or a configuration of the matrix

# A full run needs many, and a transfer of weights needs the other engine beside the mutant.
WANTED = set(CHECKS) - {"training", "weights-transfer"}


class Recorded(selftest.Reference):
    """All that the reference gives in a scenario in float64, without the engine itself once it was kept."""

    def __init__(self, spec: EngineSpec, scenario: Scenario):
        super().__init__(spec, next(iter(faults.SETTINGS)))
        self.scenario = self.exact = scenario

    def plain(self, rounds: bool = False) -> tuple[Engine, Engine]:
        """The harness's own program in float64 and in float32."""
        return self.exact.plain(), replace(self.scenario, dtype="float32").plain(rounds)

    def run(self) -> "Recorded":
        """Compute everything that is computed when it is first needed."""
        before = (self.start, self.batches, self.masks, self.records)
        for part in (*before, self.scales, self.spreads, self.ranking, self.fit):
            part()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"spec": None}


def settings_of(number: int) -> list[Which]:
    """``number`` configurations of the matrix and every setting of the self-test; none where ``number`` is 0."""
    return [*few_configs(number), *faults.SETTINGS] if number else []


def few_configs(number: int) -> list[dict[str, Any]]:
    """Configurations of the matrix that hold as many values of the options as so few can."""
    design = matrix.design()
    chosen: list[dict[str, Any]] = []
    values: set[tuple[str, str]] = set()
    while design and len(chosen) < number:
        best = max(design, key=lambda config: len(_values(config) - values))
        chosen.append(best)
        values |= _values(best)
        design.remove(best)
    return chosen


def _values(config: dict[str, Any]) -> set[tuple[str, str]]:
    return {(name, str(value)) for name, value in config.items()}


def words(which: Which) -> str:
    """A setting in words."""
    if isinstance(which, str):
        return f"self-test's {which}"
    return ", ".join(f"{name} {'/'.join(map(str, v)) if isinstance(v, list) else v}" for name, v in which.items())


def record(reference: EngineSpec, which: Which, path: Path) -> str:
    """Run the reference in a setting and keep what it gave in ``path``; returns why that cannot be done, or ''."""
    if isinstance(which, str):
        scenario = selftest.scenario(which)
    else:
        scenario = Scenario("matrix", matrix.params_of(which), matrix.dataset())
    try:
        found = Recorded(reference, scenario).run()
    except NotImplementedError as lacking:
        return str(lacking) or "not supported"
    path.write_bytes(pickle.dumps(found))
    return ""


def replay(path: Path, spec: EngineSpec) -> Checks:
    """All checks of an engine against what :func:`record` kept in ``path``: a file of this command's own."""
    return selftest.run_checks(pickle.loads(path.read_bytes()), spec, WANTED)
