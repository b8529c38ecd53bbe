"""The baselines of the papers, evaluated one event at a time on the test sessions or an even part of them."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from gru4rec import terminal
from gru4rec.datasets.prepared import Dataset
from gru4rec.frames import Columns
from gru4rec.metrics import CUT_OFFS, Metrics
from gru4rec.models import column_options

NAMES = ("RandomPred", "Pop", "SessionPop", "ItemKNN", "BPR")
POPULARITY = ("Pop", "SessionPop")


@dataclass
class BaselineResult:
    """What one of :data:`NAMES` came to."""

    name: str
    metrics: Metrics
    fit_seconds: float
    evaluation_seconds: float


def evenly_chosen_sessions(test: pd.DataFrame, columns: Columns, most: int) -> pd.DataFrame:
    """The events of at most ``most`` sessions, evenly spread over the session ids in ascending order."""
    ids = np.unique(test[columns.session])
    if len(ids) <= most:
        return test
    chosen = ids[np.linspace(0, len(ids) - 1, most).astype(int)]
    return test[test[columns.session].isin(chosen)]


def evaluate_baselines(data: Dataset, test: pd.DataFrame, seed: int) -> list[BaselineResult]:
    """Fit every baseline on the training part, with its default settings, and evaluate it on ``test``."""
    from original import baselines
    from original.evaluation import evaluate_sessions

    session_key, item_key, time_key = data.columns
    keys = column_options(data.columns)
    models: dict[str, Any] = {
        "RandomPred": baselines.RandomPred(seed=seed),
        "Pop": baselines.Pop(item_key=item_key),
        "SessionPop": baselines.SessionPop(item_key=item_key),
        "ItemKNN": baselines.ItemKNN(session_key=session_key, item_key=item_key, time_key=time_key),
        "BPR": baselines.BPR(session_key=session_key, item_key=item_key, seed=seed),
    }
    results = []
    for name in track(NAMES, description="baselines", **terminal.bar_options()):
        begin = perf_counter()
        models[name].fit(data.train)
        fitted = perf_counter()
        metrics = evaluate_sessions(models[name], test, data.train, cut_off=list(CUT_OFFS), **keys)
        assert isinstance(metrics, dict)  # as for every list of cut-offs
        results.append(BaselineResult(name, metrics, fitted - begin, perf_counter() - fitted))
    return results
