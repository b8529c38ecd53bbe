"""Teacher-forced steps: forward, loss, gradients, update. Before each step the engine is set to the reference's
state.
"""

from typing import Iterable, Iterator

from parity.checks.rounding import OwnRounding
from parity.engine import Engine
from parity.measure import Checks
from parity.walk import Record, set_state

NAMES = ("forward", "loss", "gradients", "update")


def check_steps(
    checks: Checks, records: Iterable[Record], engine: Engine, tolerance: float, exact: Engine | None = None
) -> None:
    """Compare every step of the reference with the same step of ``engine``, from the same state.

    exact: the reference in a longer float type; then notes say how far the reference itself is from it.
    """
    for _ in checked_steps(checks, records, engine, tolerance, exact):
        pass


def checked_steps(
    checks: Checks, records: Iterable[Record], engine: Engine, tolerance: float, exact: Engine | None = None
) -> Iterator[Record]:
    """The same, giving each record on once it is compared."""
    own = None if exact is None else OwnRounding(exact)
    for record in records:
        _check_step(checks, record, engine, tolerance)
        if own:
            own.see(record)
        yield record
    if own:
        own.note(checks)


def _check_step(checks: Checks, record: Record, engine: Engine, tolerance: float) -> None:
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
    checks["gradients"].close_all(gradients, record.gradients, tolerance, step)
    checks["update"].close_all(engine.get_weights(), record.after.weights, tolerance, step)
    checks["update"].close_all(engine.get_optimizer_state(), record.after.optimizer, tolerance, step)
