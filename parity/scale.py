"""Scales: the size of the terms that a tensor is made of, measured by what a step does when its inputs move a little.

The scale of a tensor T is the larger of

* median_k ||T(x_k) - T(x)|| / eta, where x_k are the step's inputs (weights, optimizer state, hidden state), each
  entry times 1 + eta or 1 - eta at random, eta = 2^-24: the root of the sum of squares of dT/dx_i * x_i, the terms
  before they cancel. The median keeps out a draw that crosses a kink (relu, a cap).
* max ||T_32(x') - T(x')|| / 2^-24 over x' = x and the x_k, T_32 the same step in float32: moved inputs do not show the
  rounding inside, as of 1 - z where a gate z is all but 1, and one step may round luckily.
* ||T||.

A tensor that is a small difference of large terms gets a large scale, as it should: no program computes it better. All
of it is measured on the harness's own NumPy program (:mod:`parity.plain`): nothing under test enters a scale. No scale
is larger than CAP times the largest norm among the tensors of its kind in that step.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.bounds import ULPS
from parity.measure import Scale, norm, row_norms
from parity.protocol import Engine
from parity.walk import Record, State, set_state, state_of

ETA = 2.0**-24
DRAWS = 3
CAP = 1024.0


@dataclass(frozen=True)
class Scales:
    """The scales of one step's outcome, by name of tensor; of updates for weights and optimizer state."""

    scores: Scale | None = None
    cost: Scale | None = None
    hidden: dict[str, Scale] = field(default_factory=dict)
    gradients: dict[str, Scale] = field(default_factory=dict)
    weights: dict[str, Scale] = field(default_factory=dict)
    optimizer: dict[str, Scale] = field(default_factory=dict)


def moved(state: State, eta: float, random: np.random.Generator) -> State:
    """``state`` with every entry times 1 + eta or 1 - eta, at random."""

    def move(values: np.ndarray) -> np.ndarray:
        signs = random.integers(0, 2, np.shape(values), dtype=np.int8)
        return np.asarray(values, np.float64) * (1.0 + eta * (2.0 * signs - 1.0))

    return State(
        {name: move(w) for name, w in state.weights.items()},
        {name: move(a) for name, a in state.optimizer.items()},
        [move(H) for H in state.hidden],
    )


def measured(
    base: np.ndarray | float,
    others: Iterable[np.ndarray | float],
    eta: float,
    coarse: Iterable[tuple[np.ndarray | float, np.ndarray | float]],
    stored: np.ndarray | float = 0.0,
    largest: float = math.inf,
) -> Scale:
    """The scale of a tensor from its value and its values at moved inputs.

    Args:
        base: the tensor. others: the same from inputs that were moved by ``eta``.
        coarse: pairs of the same computed in float32, and in float64 from the same inputs.
        stored: where the tensor is a change, the value that it was added to: its own rounding counts two units.
        largest: norm of the largest tensor of its kind, for the cap.
    """
    base, stored = np.asarray(base, np.float64), np.asarray(stored, np.float64)
    differences = [np.asarray(other, np.float64) - base for other in others]
    rounding, cap = 2.0 / ULPS, CAP * max(largest, norm(base))
    with np.errstate(invalid="ignore", over="ignore"):
        rough = [(np.asarray(low, np.float64) - np.asarray(high, np.float64)) / ETA for low, high in coarse]
        sizes = [np.median([norm(difference) for difference in differences]) / eta, *map(norm, rough)]
        whole = max(norm(base), *(float(_capped(size, cap)) for size in sizes)) + rounding * norm(stored)
        if base.ndim != 2:
            return Scale(whole)
        rows = _capped(np.median([row_norms(difference) for difference in differences], axis=0) / eta, cap)
        rows = np.max([rows, *(_capped(row_norms(each), cap) for each in rough)], axis=0)
    return Scale(whole, np.maximum(row_norms(base), rows) + rounding * (row_norms(stored) if stored.ndim == 2 else 0.0))


def entry(part: Callable[[Record], Mapping], name: str) -> Callable[[Record], Any]:
    """The figure ``name`` of a part of a record."""
    return lambda record: part(record)[name]


def _capped(values: Any, cap: float) -> np.ndarray:
    """What is no number counts nothing: it must not excuse anything."""
    return np.minimum(np.nan_to_num(values, nan=0.0, posinf=cap), cap)


class Conditioning:
    """Measures the scales of single steps, on two programs of the harness: in float64 and in float32."""

    def __init__(self, shadow: Engine, coarse: Engine, draws: int = DRAWS, seed: int = 20180608):
        self.shadow, self.coarse, self.draws = shadow, coarse, draws
        self.random = np.random.default_rng(seed)

    def of(self, record: Record) -> Scales:
        """The scales of one recorded step."""
        moves = [again(self.shadow, record, moved(record.before, ETA, self.random)) for _ in range(self.draws)]
        exact = [record, *moves]
        rough = [(again(self.coarse, record, each.before), each) for each in exact]

        def scale(part: Callable[[Record], Any], stored: np.ndarray | float = 0.0, largest: float = math.inf) -> Scale:
            pairs = [(part(low), part(high)) for low, high in rough]
            return measured(part(record), [part(m) for m in moves], ETA, pairs, stored, largest)

        def scales(part: Callable[[Record], Mapping], stored: Mapping[str, np.ndarray] | None = None):
            base = part(record)
            largest = max(map(norm, base.values()), default=0.0)
            return {
                name: scale(entry(part, name), (stored or {}).get(name, 0.0), largest) for name in base
            }

        return Scales(
            None if record.scores is None else scale(lambda r: r.scores),
            scale(lambda r: r.cost),
            scales(lambda r: {f"H{k}": H for k, H in enumerate(r.after.hidden)}),
            scales(lambda r: r.gradients),
            scales(lambda r: _changes(r.before.weights, r.after.weights), record.after.weights),
            scales(lambda r: _changes(r.before.optimizer, r.after.optimizer), record.after.optimizer),
        )


def again(engine: Engine, record: Record, before: State) -> Record:
    """The step of ``record`` by ``engine``, from the state ``before``."""
    set_state(engine, before)
    before = before if engine.get_weights()["By"].dtype == np.float64 else state_of(engine)
    batch = record.batch
    scores = None if record.scores is None else engine.scores(batch.X, before.hidden)[0]
    cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=record.masks, gradients=True)
    return record._replace(
        before=before, scores=scores, cost=cost, gradients=dict(gradients or {}), after=state_of(engine)
    )


def _changes(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values, np.float64) - before[name] for name, values in after.items()}
