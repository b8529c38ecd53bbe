"""Training an engine step by step, and recording what it does."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from parity.protocol import Batch, Engine


class State(NamedTuple):
    """Everything that a step changes. Copies."""

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    hidden: list[np.ndarray]


class Record(NamedTuple):
    """One training step of an engine: what went in, what came out."""

    number: int  # from 0, over all epochs
    epoch: int  # from 0
    batch: Batch
    masks: list[np.ndarray]  # one (M, width) bool array a dropout site
    before: State
    scores: np.ndarray | None  # (M, n) of the batch before the step, without dropout
    cost: float
    gradients: dict[str, np.ndarray]
    after: State


def state_of(engine: Engine) -> State:
    return State(engine.get_weights(), engine.get_optimizer_state(), engine.get_hidden())


def set_state(engine: Engine, state: State) -> None:
    engine.set_weights(state.weights)
    if state.optimizer:  # an engine without an optimizer state need not have the method
        engine.set_optimizer_state(state.optimizer)
    engine.set_hidden(state.hidden)


def rounded(state: State, dtype: str) -> State:
    """``state`` as ``dtype`` holds it, in float64."""

    def nearest(values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype).astype(np.float64)

    return State(
        {name: nearest(w) for name, w in state.weights.items()},
        {name: nearest(a) for name, a in state.optimizer.items()},
        [nearest(H) for H in state.hidden],
    )


def step_with_gradients(
    engine: Engine, batch: Batch, masks: Sequence[np.ndarray] | None
) -> tuple[float, dict[str, np.ndarray]]:
    """The cost and the gradients of one step. Raises TypeError where the engine returns no gradients."""
    cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=True)
    if gradients is None:
        raise TypeError("train_step with gradients=True returns none")
    return cost, dict(gradients)


def not_finite(record: Record) -> str | None:
    """The first figure of a step that is not finite, by name; None where all are."""
    after = record.after
    figures: dict[str, Any] = {"cost": record.cost, **record.gradients, **after.weights, **after.optimizer}
    return next((name for name, values in figures.items() if not np.isfinite(values).all()), None)


def reset_hidden(engine: Engine, params: dict[str, Any]) -> None:
    """Zero states for all lanes, as at the start of an epoch."""
    B = params.get("batch_size", 32)
    engine.set_hidden([np.zeros((B, units)) for units in params.get("layers", [100])])


def lanes_in_step(engine: Engine, params: dict[str, Any], epochs: int = 1) -> Iterator[tuple[int, Batch]]:
    """(epoch, batch) of some epochs, the hidden state zeroed, or cut to the lanes of each, before it is given out."""
    for epoch in range(epochs):
        lanes = np.arange(params.get("batch_size", 32))
        reset_hidden(engine, params)
        for batch in engine.batches():
            if len(batch.lanes) != len(lanes):
                engine.set_hidden([H[np.isin(lanes, batch.lanes)] for H in engine.get_hidden()])
            lanes = batch.lanes
            yield epoch, batch


def walk(
    engine: Engine, params: dict[str, Any], epochs: int = 1, scores: bool = True, dtype: str = "float64"
) -> Iterator[Record]:
    """Train a prepared engine from its own streams, free-running.

    Args:
        engine: a prepared engine. params: its options. epochs: how many epochs.
        scores: whether the scores of all items are taken before each step.
        dtype: the state is rounded to it before each step, so that an engine of that type can start from equal values.

    Yields:
        A :class:`Record` a step.
    """
    for number, (epoch, batch) in enumerate(lanes_in_step(engine, params, epochs)):
        before = state_of(engine)
        if dtype != "float64":
            before = rounded(before, dtype)
            set_state(engine, before)
        masks = engine.draw_masks(len(batch.X)) if engine.dropout_sites() else []
        scored = engine.scores(batch.X, before.hidden)[0] if scores else None
        cost, gradients = step_with_gradients(engine, batch, masks)
        yield Record(number, epoch, batch, masks, before, scored, cost, gradients, state_of(engine))
