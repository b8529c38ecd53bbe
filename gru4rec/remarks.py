"""What a command says beside a result, where the result may mislead."""

from typing import Any

import numpy as np
import pandas as pd

from gru4rec import metrics
from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns

_FEW = 4  # samples of a step for each item from which on a note is due: 1 / 4
_OF_ITEMS = 8  # items for each sample, of what is suggested; RSC15 has 18
_LEAST = 32


def ties(spec: EngineSpec, gru: Any, test: pd.DataFrame, columns: Columns, cut_off: int) -> str:
    """What standard ranks owe to ties: the share of predicted events with one, and Recall@N where a tie counts against.

    A model that scores all items alike has Recall@N = 1 by standard ranks.
    """
    strict, _ = metrics.evaluate(spec, gru, test, columns, (cut_off,))[cut_off]
    share = share_of_ties(spec, gru, test, columns)
    said = "" if share is None else f": {share:.2%} of the predicted events have one"
    return (f"standard ranks count a tie for the model{said}. Where a tie counts against it, Recall@{cut_off} is "
            f"{strict:.6f}")  # fmt: skip


def share_of_ties(spec: EngineSpec, gru: Any, test: pd.DataFrame, columns: Columns) -> float | None:
    """Of the predicted events, those whose item shares its score with another; None where the engine has no ranks."""
    if not hasattr(spec.evaluation, "ranks"):
        return None
    with_ties = _ranks(spec, gru, test, columns, "standard") != _ranks(spec, gru, test, columns, "conservative")
    return float(with_ties.mean())


def _ranks(spec: EngineSpec, gru: Any, test: pd.DataFrame, columns: Columns, mode: str) -> np.ndarray:
    found = spec.evaluation.ranks(
        gru, test, session_key=columns.session, item_key=columns.item, time_key=columns.time,
        batch_size=metrics.LANES, mode=mode,
    )  # fmt: skip
    return found["rank"].to_numpy()


def small_catalogue(n_items: int, gru: Any) -> str | None:
    """What to say where a step draws a good part of all items; None where it does not.

    The published updates count a row as often as it is drawn: with 2,933 items and 2,048 samples bpr-max comes to a
    Recall@20 of 0.43 to 0.45 on RSC15-100k after three epochs, and to 0.61 to 0.65 where repeats are merged.
    """
    n_sample = getattr(gru, "n_sample", 0)
    if n_sample * _FEW <= n_items or n_sample <= _LEAST:
        return None
    better = max(_LEAST, 2 ** int(np.log2(max(1, n_items / _OF_ITEMS))))
    return (f"{n_sample:,} negative samples a step of {n_items:,} items draw most items again and again, and each draw "
            f"counts as one more update; bpr-max suffers most. Below 5,000 to 10,000 items a smaller n_sample is "
            f"advised: try n_sample={better}")  # fmt: skip
