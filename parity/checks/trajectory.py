"""Free-running: both engines go on from one common start, each from its own random streams.

How far is judged is measured, not fixed: GRU4Rec's own RSC15 settings are chaotic at the start, and a rounding of 1e-16
is 1e-10 at step 8 and has the size of the weights some dozen steps later. So the harness's own program runs along from
weights moved by a little, eta; what they have become by a step, over eta, is the scale of that step. Once rounding
alone may have moved a weight tensor by a thousandth of it (in float32 by a tenth), nothing more is judged.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

import numpy as np

from parity.bounds import FEWEST_STEPS, TRAJECTORY_CAP, forced
from parity.measure import Check, Checks, Scale, error, norm
from parity.protocol import Engine
from parity.scale import again, entry, measured, moved
from parity.walk import Record, lanes_in_step, not_finite

ETA = {"float64": 2.0**-40, "float32": 2.0**-24}
DRAWS = 2


class Spread:
    """How far rounding has carried by each step, measured on the harness's own program.

    shadow: in float64, run from starts that were moved a little. coarse: in float32, from the start itself.
    """

    def __init__(self, shadow: Engine, coarse: Engine, dtype: str, draws: int = DRAWS, seed: int = 20180609):
        self.shadow, self.coarse = shadow, coarse
        self.eta, self.random = ETA[dtype], np.random.default_rng(seed)
        self.moves: list[Record | None] = [None] * draws
        self.rough: Record | None = None
        self.lanes = np.zeros(0, int)  # of the step before

    def after(self, record: Record) -> tuple[dict[str, Scale], Scale]:
        """The scales of the weights after the step, and of its cost. To be called for every step in turn."""
        self.moves = [self._step(self.shadow, record, last, self.eta) for last in self.moves]
        self.rough = self._step(self.coarse, record, self.rough, 0.0)
        self.lanes = record.batch.lanes
        return self.scales(record, lambda r: r.after.weights), self.scale(record, lambda r: r.cost)

    def scale(self, record: Record, part: Callable[[Record], Any]) -> Scale:
        """The scale of one figure of the step that :meth:`after` was last called with."""
        if self.rough is None:
            raise RuntimeError("no step was measured yet: call after first")
        pairs = [(part(self.rough), part(record))]
        return measured(part(record), [part(m) for m in self.moves if m], self.eta, pairs)

    def scales(self, record: Record, part: Callable[[Record], Mapping]) -> dict[str, Scale]:
        """The scales of several figures of that step, by name."""
        return {name: self.scale(record, entry(part, name)) for name in part(record)}

    def _step(self, engine: Engine, record: Record, last: Record | None, eta: float) -> Record:
        before = moved(record.before, eta, self.random) if last is None else last.after
        return again(engine, record, before._replace(hidden=self._hidden(before.hidden, record)))

    def _hidden(self, mine: list[np.ndarray], record: Record) -> list[np.ndarray]:
        """The rows of the lanes that go on; zeros where the reference's are, as at the start of an epoch."""
        if not any(H.any() for H in record.before.hidden):
            return [np.zeros(H.shape) for H in record.before.hidden]
        return [H[np.isin(self.lanes, record.batch.lanes)] for H in mine]


def horizon_passed(scales: Mapping[str, Scale], weights: Mapping[str, np.ndarray], dtype: str) -> bool:
    """Whether rounding alone may have moved some tensor by more than the cap."""
    return moved_by_rounding(scales, weights, dtype) > TRAJECTORY_CAP[dtype]


def moved_by_rounding(scales: Mapping[str, Scale], weights: Mapping[str, np.ndarray], dtype: str) -> float:
    """The largest share of a tensor that rounding alone may have moved it by, as the bounds admit it."""
    return max(
        (forced(dtype) * scale.norm / max(norm(weights[name]), 1e-3) for name, scale in scales.items()), default=0.0
    )


def check_trajectory(
    checks: Checks,
    wanted: Iterable[Record],
    engine: Engine,
    params: dict[str, Any],
    epochs: int,
    dtype: str,
    scales_after: Callable[[Record], tuple[dict[str, Scale], Scale]],
) -> dict[str, list[float]]:
    """Costs and weights of a candidate's own run beside the reference's, while rounding has not taken over.

    Args:
        checks: receives the comparisons. wanted: the reference's steps. engine: prepared, with ``params``.
        epochs: of the candidate's run, at the most. dtype: of the candidate.
        scales_after: gives the scales of a step, as :meth:`Spread.after` does.

    Returns:
        Both cost curves and the error of the weights by step, judged or not.
    """
    curves: dict[str, list[float]] = {"reference": [], "candidate": [], "weights_error": []}
    check, judging, judged, reached = checks["trajectory"], True, 0, 0.0
    found = _free(checks, engine, params, epochs)
    next(found)
    for record in wanted:
        if not_finite(record):
            check.not_covered.append(f"from step {record.number} on the reference's own figures are not finite")
            break
        try:
            cost, weights = found.send(record)
        except StopIteration:
            check.equal("number of steps", record.number, record.number + 1)
            break
        if judging:
            scales, of_cost = scales_after(record)
            judging = not horizon_passed(scales, record.after.weights, dtype)
        if judging:
            judged += 1
            reached = moved_by_rounding(scales, record.after.weights, dtype)
            check.close("cost", cost, record.cost, forced(dtype), record.number, of_cost)
            check.close_all(weights, record.after.weights, forced(dtype), record.number, scales)
        curves["reference"].append(record.cost)
        curves["candidate"].append(cost)
        curves["weights_error"].append(
            max(error(weights.get(name, np.nan), w).relative for name, w in record.after.weights.items())
        )
    _say_how_far(check, judged, len(curves["reference"]), reached, TRAJECTORY_CAP[dtype])
    return curves


def _say_how_far(check: Check, judged: int, steps: int, reached: float, cap: float) -> None:
    """To which step the run was judged; not covered where these are too few. reached: the bound there, of a tensor."""
    if judged < min(FEWEST_STEPS, steps):
        check.not_covered.append(
            f"chaotic: after {judged + 1} of {steps} steps rounding alone may move a weight tensor by more than "
            f"{cap:g} of it"
        )
    if judged == steps:
        check.notes.append(f"judged on {judged} of {steps} steps")
    else:
        check.notes.append(
            f"judged on {judged} of {steps} steps, to step {judged - 1}, where rounding alone may move a weight tensor "
            f"by {reached:.1g} of it; chaos takes over then"
        )


def _free(
    checks: Checks, engine: Engine, params: dict[str, Any], epochs: int
) -> Generator[tuple[float, dict], Record, None]:
    """Runs on by itself; is sent the reference's records, and gives back its own cost and weights.

    An engine that cannot draw masks takes the reference's, and its check ``dropout`` is not covered.
    """
    own_masks = True
    record = yield 0.0, {}
    for _, batch in lanes_in_step(engine, params, epochs):
        masks = record.masks
        if masks and own_masks:
            drawn = checks.attempt(["dropout"], lambda _, M=len(batch.X): engine.draw_masks(M))
            own_masks, masks = drawn is not None, masks if drawn is None else drawn
        cost, _ = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=True)
        record = yield cost, engine.get_weights()
