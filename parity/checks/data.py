"""Batches, negative samples, initial weights: what is settled before the first step."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd

from parity.measure import Check, Checks
from parity.protocol import Batch, Engine
from parity.scenario import Scenario

NAMES = ("batches", "negatives", "initial-weights")
EPOCHS = 2  # of batches: what carries over from one epoch to the next is seen in the second


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


def epochs_of(engine: Engine, epochs: int = EPOCHS) -> Iterator[Batch]:
    """Every batch of ``epochs`` epochs in a row."""
    for _ in range(epochs):
        yield from engine.batches()


def check_initial_weights(checks: Checks, wanted: Start, found: Start) -> None:
    """Every tensor bit for bit and of the same type, and an optimizer that has seen nothing."""
    check = checks["initial-weights"]
    equal_all(check, found.weights, wanted.weights)
    equal_all(check, found.optimizer, wanted.optimizer)
    for name, values in wanted.weights.items():
        if name in found.weights:
            check.equal(f"type of {name}", str(np.asarray(found.weights[name]).dtype), str(np.asarray(values).dtype))


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


def check_frame_kept(checks: Checks, before: pd.DataFrame, after: pd.DataFrame, what: str) -> None:
    """The caller's frame is as it was: rows, order, index, columns, types."""
    same = before.index.equals(after.index) and list(before.columns) == list(after.columns) and before.equals(after)
    checks["batches"].equal(f"the frame given to {what}", same, True)


def check_start(checks: Checks, scenario: Scenario, wanted: Engine, found: Engine) -> None:
    """All of the above for two engines of ``scenario`` that are not prepared yet."""
    given = scenario.dataset.train.copy()
    for engine in (wanted, found):
        engine.prepare(given, scenario.store)
        check_frame_kept(checks, scenario.dataset.train, given, "prepare")
    start = start_of(wanted)
    check_items(checks, start, start_of(found))
    check_initial_weights(checks, start, start_of(found))
    check_batches(checks, epochs_of(wanted), epochs_of(found))
    if not scenario.params.get("n_sample", 2048):
        checks["negatives"].notes.append("n_sample=0: no negatives are drawn, only the support was compared")


def equal_all(check: Check, found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    """Tensors by name, bit for bit; one that is missing on either side fails."""
    for name in {**wanted, **found}:
        if name not in found or name not in wanted:
            check.fails(name, "missing" if name not in found else "the reference has no such tensor")
        else:
            check.equal(name, found[name], wanted[name])


def _compare_batch(checks: Checks, wanted: Batch, found: Batch, step: int) -> None:
    check = checks["batches"]
    M, K = len(wanted.X), len(found.X)
    check.equal("X", found.X, wanted.X, step)
    check.equal("Y", found.Y[:K], wanted.Y[:M], step)
    check.equal("R", np.asarray(found.R, bool), np.asarray(wanted.R, bool), step)
    check.equal("lanes", found.lanes, wanted.lanes, step)
    if len(wanted.Y) > M or len(found.Y) > K:
        checks["negatives"].equal("samples", found.Y[K:], wanted.Y[M:], step)
