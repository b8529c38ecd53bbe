"""Recall@N and MRR@N, with and without the events whose item is the one just seen.

A model trained on repeated events learns to predict the item that it has just read. Where test sessions stay on an item
(a reloaded page, a second click) that is a hit, so that figures over all events do not tell whether anything about the
other items was learnt.
"""

from typing import Any

import numpy as np
import pandas as pd

from gru4rec import metrics
from gru4rec.datasets.prepared import Dataset
from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns

PARTS = ("all", "without_repeats", "repeats")

Measured = dict[str, float]  # "events", then "recall@N" and "mrr@N" for each N


def measure(engine: EngineSpec, gru: Any, data: Dataset) -> dict[str, Measured]:
    """The metrics over each of ``PARTS`` of the test events that are predicted, ranked as :func:`evaluate_gpu` does."""
    columns = data.columns
    table = metrics.ranks(engine, gru, data.test, columns)
    items, previous = targets(data.test, gru.itemidmap.index, columns)
    if not np.array_equal(table[columns.item if columns.item in table else "item"], items):
        raise RuntimeError(f"the ranks of {engine.name} are not in the order of the sorted test events")
    return by_part(table["rank"].to_numpy(), items == previous)


def targets(test: pd.DataFrame, known: pd.Index | np.ndarray, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Of each predicted event the item, and the item just seen: two (P,) arrays of item ids.

    Events of items that are not ``known`` are left out, and the others sorted by (session, time, item), as both engines
    do before they evaluate; every event but a session's first is predicted.
    """
    events = test[test[columns.item].isin(known)].sort_values([columns.session, columns.time, columns.item])
    predicted = events[columns.session].duplicated().to_numpy()
    items = events[columns.item].to_numpy()
    return items[predicted], items[np.flatnonzero(predicted) - 1]


def by_part(ranks: np.ndarray, is_repeat: np.ndarray) -> dict[str, Measured]:
    """Metrics of the ranks (P,) of all events, of those that are no repeats, and of the repeats (P,) bool alone."""
    chosen = (ranks, ranks[~is_repeat], ranks[is_repeat])
    return {part: of_part(ranks_of_part) for part, ranks_of_part in zip(PARTS, chosen)}


def of_part(ranks: np.ndarray) -> Measured:
    """Without an event there are no metrics: "events" alone."""
    found: Measured = {"events": len(ranks)}
    for N, pair in (metrics.of_ranks(ranks) if len(ranks) else {}).items():
        found |= {f"{name}@{N}": value for name, value in zip(metrics.NAMES, pair)}
    return found
