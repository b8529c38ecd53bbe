"""Runs of ``fit``: to the end, on further data, into a cost that is no number."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parity.protocol import Engine
from parity.situations.outcome import Make, Outcome
from parity.situations.situation import Situation

HUGE = 1e200  # finite, and its square is not


def fitted(make: Make, situation: Situation) -> Outcome:
    """A full run."""
    s = situation.scenario
    engine, losses = make(s), _Losses()
    engine.fit(s.dataset.train.copy(), s.store, on_epoch_end=losses)
    return _trained(engine, losses)


def resumed(make: Make, situation: Situation) -> Outcome:
    """A run that is stopped after each epoch, written to a file and read again where an engine can, and goes on."""
    s = situation.scenario
    epochs, engine, losses = s.params["n_epochs"], make(s.with_params(n_epochs=1)), _Losses()
    engine.fit(s.dataset.train.copy(), s.store, on_epoch_end=losses)
    for epoch in range(1, epochs):
        engine = _read_again(engine)
        engine.set_params(n_epochs=epoch + 1)
        engine.fit(s.dataset.train.copy(), s.store, resume=True, on_epoch_end=losses)
    return _trained(engine, losses)


def _read_again(engine: Engine) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        try:
            engine.save(path)
            return type(engine).load(path)
        except NotImplementedError:
            return engine


def extended(make: Make, situation: Situation) -> Outcome:
    """New items of further data get their rows, before anything is trained: no epoch on either data."""
    s = situation.trained(n_epochs=0)
    engine = make(s)
    engine.fit(s.dataset.train.copy(), s.store)
    engine.fit(situation.further(), s.store, retrain=True)
    exact = {"itemidmap": np.asarray(engine.itemidmap.index), "support": np.asarray(engine.support)}
    batch = next(iter(engine.batches()))
    exact |= {"X of the next step": batch.X, "Y of the next step": batch.Y}
    return Outcome(exact, {name: np.array(w, np.float64) for name, w in engine.get_weights().items()})


def retrained(make: Make, situation: Situation) -> Outcome:
    """A run, and another that goes on from its weights on further data with new items."""
    s = situation.trained()
    engine, losses = make(s), _Losses()
    engine.fit(s.dataset.train.copy(), s.store)
    engine.fit(situation.further(), s.store, retrain=True, on_epoch_end=losses)
    outcome = _trained(engine, losses)
    exact = {"itemidmap": np.asarray(engine.itemidmap.index), "support": np.asarray(engine.support)}
    return Outcome(outcome.exact | exact, outcome.floats)


def diverged(make: Make, situation: Situation) -> Outcome:
    """A run on the weights of another, with one item's bias so large that the square of its score overflows.

    The item is first read in the middle of an epoch. The cost of that step is no number, and training ends with it:
    what no step has read until then is as it was.
    """
    s = situation.scenario
    engine, losses = make(s), _Losses()
    engine.fit(s.dataset.train.copy(), s.store)
    By = engine.get_weights()["By"]
    with np.errstate(all="ignore"), _unlogged():
        By[_read_late(situation)] = HUGE
        engine.set_weights({"By": By})
        engine.fit(s.dataset.train.copy(), s.store, retrain=True, on_epoch_end=losses)
    outcome = _trained(engine, losses)
    finite = {f"finite in {name}": np.isfinite(values) for name, values in outcome.floats.items()}
    kept = {name: np.where(np.isfinite(values), values, 0.0) for name, values in outcome.floats.items()}
    ended: dict[str, Any] = {"error_during_train": bool(getattr(engine, "error_during_train", True))}
    return Outcome(outcome.exact | ended | finite, kept)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Within, no engine logs that its training has ended, as it is meant to."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _read_late(situation: Situation) -> int:
    """The item that is first a target nearest to the middle of an epoch."""
    steps = list(situation.scenario.plain().batches())
    first: dict[int, int] = {}
    for number, batch in enumerate(steps):
        for item in batch.Y.tolist():
            first.setdefault(item, number)
    return min(first, key=lambda item: (abs(first[item] - len(steps) // 2), item))


class _Losses:
    """What ``on_epoch_end`` is called with."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def __call__(self, epoch: int, loss: float) -> None:
        self.seen.append((epoch, float(loss)))


def _trained(engine: Engine, losses: _Losses) -> Outcome:
    floats: dict[str, Any] = {f"loss of epoch {epoch + 1}": loss for epoch, loss in losses.seen}
    floats |= {name: np.array(w, np.float64) for name, w in engine.get_weights().items()}
    floats |= {name: np.array(a, np.float64) for name, a in engine.get_optimizer_state().items()}
    return Outcome({"epochs": np.array([epoch for epoch, _ in losses.seen])}, floats)
