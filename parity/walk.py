"""Training an engine step by step, and recording what it does."""

from typing import Any, Iterator, NamedTuple

import numpy as np

from parity.engine import Batch, Engine


class State(NamedTuple):
    """Everything that a step changes. Copies."""

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    hidden: list[np.ndarray]


class Record(NamedTuple):
    """One training step of an engine: what went in, what came out."""

    number: int  # from 0, over all epochs
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
    engine.set_optimizer_state(state.optimizer)
    engine.set_hidden(state.hidden)


def reset_hidden(engine: Engine, params: dict[str, Any]) -> None:
    """Zero states for all lanes, as at the start of an epoch."""
    B = params.get("batch_size", 32)
    engine.set_hidden([np.zeros((B, units)) for units in params.get("layers", [100])])


def lanes_in_step(engine: Engine, params: dict[str, Any], epochs: int = 1) -> Iterator[Batch]:
    """The batches of some epochs, the hidden state zeroed, or cut to the lanes of each, before it is given out."""
    for _ in range(epochs):
        lanes = np.arange(params.get("batch_size", 32))
        reset_hidden(engine, params)
        for batch in engine.batches():
            if len(batch.lanes) != len(lanes):
                engine.set_hidden([H[np.isin(lanes, batch.lanes)] for H in engine.get_hidden()])
            lanes = batch.lanes
            yield batch


def walk(engine: Engine, params: dict[str, Any], epochs: int = 1, scores: bool = True) -> Iterator[Record]:
    """Train a prepared engine from its own streams, free-running; yields a :class:`Record` a step."""
    for number, batch in enumerate(lanes_in_step(engine, params, epochs)):
        before = state_of(engine)
        masks = engine.draw_masks(len(batch.X)) if engine.dropout_sites() else []
        scored = engine.scores(batch.X, before.hidden)[0] if scores else None
        cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=True)
        yield Record(number, batch, masks, before, scored, cost, dict(gradients), state_of(engine))
