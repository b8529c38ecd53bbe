"""What a run of an engine gives, and how far rounding may carry it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from parity.checks.trajectory import ETA, horizon_passed
from parity.measure import Scale
from parity.plain import Plain
from parity.scale import measured
from parity.scenario import Scenario

DRAWS = 2


class Outcome(NamedTuple):
    """exact: by name, what must be equal. floats: by name, what rounding may move."""

    exact: dict[str, Any]
    floats: dict[str, np.ndarray]


class Expected(NamedTuple):
    """What the harness's own program gives, and the scales of the floats."""

    outcome: Outcome
    scales: dict[str, Scale]


Make = Callable[[Scenario], Any]  # an engine of a scenario, without data
Run = Callable[[Make], Outcome]


class Moved(Plain):
    """The harness's own program whose weights are drawn with every entry times 1 + eta or 1 - eta."""

    eta, signs = 0.0, np.random.default_rng(0)

    def block(self, rows: int, columns: int, otherwise: float | None = None) -> np.ndarray:
        drawn = super().block(rows, columns, otherwise)
        return drawn * (1.0 + self.eta * (2.0 * self.signs.integers(0, 2, drawn.shape) - 1.0))


def expected_of(run: Run, seed: int = 20180610) -> Expected:
    """Run the harness's own program in float64 as it is, from weights moved by a little, and in float32.

    Raises:
        RuntimeError: rounding alone moves a weight by a thousandth: the situation says nothing then.
    """
    eta = ETA["float64"]
    moving = type("Moved", (Moved,), {"eta": eta, "signs": np.random.default_rng(seed)})
    base = run(_made(Plain, "float64"))
    others = [run(_made(moving, "float64")) for _ in range(DRAWS)]
    coarse = run(_made(Plain, "float32", True))
    scales = {}
    for name, values in base.floats.items():  # float32 may end earlier, where its range does
        rough = [(coarse.floats[name], values)] if name in coarse.floats else []
        scales[name] = measured(values, [each.floats[name] for each in others], eta, rough)
    weights = {name: values for name, values in base.floats.items() if np.ndim(values) == 2 and "/" not in name}
    if horizon_passed({name: scales[name] for name in weights}, weights, "float64"):
        raise RuntimeError("chaotic: rounding alone moves weights by a thousandth")
    return Expected(base, scales)


def _made(kind: type[Plain], dtype: str, rounds: bool = False) -> Make:
    return lambda s: kind(dtype, s.seed, s.dropout_seed, rounds, **s.params)
