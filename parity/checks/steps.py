"""Teacher-forced steps: forward, loss, gradients, update. Before each step the engine is set to the reference's
state.
"""

from typing import Iterable, Iterator, Mapping

import numpy as np

from parity.engine import Engine
from parity.measure import Checks
from parity.walk import Record, set_state

NAMES = ("forward", "loss", "gradients", "update")


def check_steps(checks: Checks, records: Iterable[Record], engine: Engine, tolerance: float) -> None:
    """Compare every step of the reference with the same step of ``engine``, from the same state."""
    for _ in checked_steps(checks, records, engine, tolerance):
        pass


def checked_steps(checks: Checks, records: Iterable[Record], engine: Engine, tolerance: float) -> Iterator[Record]:
    """The same, giving each record on once it is compared."""
    for record in records:
        check_step(checks, record, engine, tolerance)
        yield record


def check_step(checks: Checks, record: Record, engine: Engine, tolerance: float) -> None:
    """One step: hidden states, scores, cost, gradients before the cap, weights and optimizer state after it."""
    set_state(engine, record.before)
    batch, step = record.batch, record.number
    if record.scores is not None:
        scores, _ = engine.scores(batch.X, record.before.hidden)
        checks["forward"].close("scores", scores, record.scores, tolerance, step)
    cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=record.masks, gradients=True)
    checks["loss"].close("cost", cost, record.cost, tolerance, step)
    hidden = engine.get_hidden()
    for k, wanted in enumerate(record.after.hidden):
        checks["forward"].close(f"H{k}", hidden[k], wanted, tolerance, step)
        if record.masks:
            checks["dropout"].close(f"H{k} given the masks", hidden[k], wanted, tolerance, step)
    tiny = _rounding(record.gradients) / tolerance
    checks["gradients"].close_all(gradients, record.gradients, tolerance, step, tiny=tiny)
    checks["update"].close_all(engine.get_weights(), record.after.weights, tolerance, step)
    checks["update"].close_all(engine.get_optimizer_state(), record.after.optimizer, tolerance, step)


def _rounding(gradients: Mapping[str, np.ndarray]) -> float:
    """One rounding of the norm of all gradients of a step.

    A saturated gate's own gradient can be 1e-13 of the others. It then is the difference of two numbers that are equal
    but for their last bit, and has no digits of its own to compare: this much absolute error is always granted.
    """
    norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in gradients.values()))
    return float(norm * max(np.finfo(g.dtype).eps for g in gradients.values()))
