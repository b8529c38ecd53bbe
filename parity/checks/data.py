"""Batches, negative samples, initial weights: what is settled before the first step."""

from itertools import zip_longest
from typing import Iterable, Iterator, NamedTuple

import numpy as np

from parity.engine import Batch, Engine
from parity.measure import Checks


class Start(NamedTuple):
    """A prepared engine before its first step."""

    item_ids: np.ndarray
    support: np.ndarray
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]


def start_of(engine: Engine) -> Start:
    return Start(
        np.asarray(engine.itemidmap.index),
        np.asarray(engine.support),
        engine.get_weights(),
        engine.get_optimizer_state(),
    )


def epochs_of(engine: Engine, epochs: int) -> Iterator[Batch]:
    """Every batch of ``epochs`` epochs in a row."""
    for _ in range(epochs):
        yield from engine.batches()


def check_initial_weights(checks: Checks, wanted: Start, found: Start) -> None:
    """Every tensor bit for bit, and an optimizer that has seen nothing."""
    check = checks["initial-weights"]
    for name in {**wanted.weights, **found.weights}:
        check.equal(name, found.weights.get(name, np.nan), wanted.weights.get(name, np.nan))
    for name in {**wanted.optimizer, **found.optimizer}:
        check.equal(name, found.optimizer.get(name, np.nan), wanted.optimizer.get(name, np.nan))


def check_batches(checks: Checks, wanted: Iterable[Batch], found: Iterable[Batch]) -> None:
    """X, targets, R and lanes of every step, and the number of steps."""
    _, last = checks["batches"], 0
    for step, (a, b) in enumerate(zip_longest(wanted, found)):
        check, last = checks["batches"], step + 1
        if a is None or b is None:
            check.equal("number of steps", last if a is None else step, step if a is None else last, step)
            return
        _compare_batch(checks, a, b, step)
    checks["batches"].equal("number of steps", last, last)


def check_items(checks: Checks, wanted: Start, found: Start) -> None:
    """Item map and support."""
    checks["batches"].equal("itemidmap", found.item_ids, wanted.item_ids)
    checks["negatives"].equal("support", found.support, wanted.support)


def _compare_batch(checks: Checks, wanted: Batch, found: Batch, step: int) -> None:
    check = checks["batches"]
    M, K = len(wanted.X), len(found.X)
    check.equal("X", found.X, wanted.X, step)
    check.equal("Y", found.Y[:K], wanted.Y[:M], step)
    check.equal("R", found.R, wanted.R, step)
    check.equal("lanes", found.lanes, wanted.lanes, step)
    if len(wanted.Y) > M or len(found.Y) > K:
        checks["negatives"].equal("samples", found.Y[K:], wanted.Y[M:], step)
