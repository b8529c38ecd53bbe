"""Recall@N and MRR@N of a model, as every command measures them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns

CUT_OFFS = (1, 5, 10, 20)
LANES = 100  # sessions side by side; it changes no figure
MODES = ("standard", "conservative", "median", "tiebreaking")
DEFAULT_MODE = "conservative"

Metrics = dict[int, tuple[float, float]]  # N -> (Recall@N, MRR@N)
NAMES = ("recall", "mrr")


def evaluate(
    spec: EngineSpec,
    gru: Any,
    test: pd.DataFrame,
    columns: Columns,
    cut_offs: tuple[int, ...] = CUT_OFFS,
    mode: str = DEFAULT_MODE,
) -> Metrics:
    """Recall@N and MRR@N at each cut-off.

    mode: how a tie is ranked. ``conservative`` counts it against the model, ``standard`` for it.
    """
    found: Mapping[int, tuple[float, float]] = spec.evaluation.evaluate_gpu(
        gru, test, session_key=columns.session, item_key=columns.item, time_key=columns.time, cut_off=list(cut_offs),
        batch_size=LANES, mode=mode,
    )  # fmt: skip
    return {N: (float(recall), float(mrr)) for N, (recall, mrr) in found.items()}


def ranks(spec: EngineSpec, gru: Any, test: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The engine's table of ranks, ties counted against the model: a row for every predicted event."""
    return spec.evaluation.ranks(
        gru, test, session_key=columns.session, item_key=columns.item, time_key=columns.time, batch_size=LANES,
        mode=DEFAULT_MODE,
    )  # fmt: skip


def of_ranks(found: np.ndarray, cut_offs: tuple[int, ...] = CUT_OFFS) -> Metrics:
    """Recall@N and MRR@N of ranks (P,), P > 0, by the formulas: mean of rank <= N, and of 1/rank where that holds."""
    return {
        N: (float(np.mean(found <= N)), float(np.mean(np.where(found <= N, 1 / found, 0)))) for N in cut_offs
    }  # fmt: skip


def by_metric(metrics: Metrics) -> dict[str, dict[int, float]]:
    """Figures by name: ``{"recall": {N: value}, "mrr": {N: value}}``."""
    return {name: {N: pair[which] for N, pair in metrics.items()} for which, name in enumerate(NAMES)}
