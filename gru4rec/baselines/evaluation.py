"""Ranks, Recall@N and MRR@N of anything that :func:`gru4rec.sessions.scored` can walk, as the engines give them."""

from typing import Any

import numpy as np
import pandas as pd

from gru4rec import sessions
from gru4rec.frames import Columns

MODES = ("standard", "conservative", "median", "tiebreaking")


def ranks(
    gru: Any, test_data: Any, items: Any = None, session_key: str = "SessionId", item_key: str = "ItemId",
    time_key: str = "Time", batch_size: int = sessions.LANES, mode: str = "conservative",
) -> pd.DataFrame:  # fmt: skip
    """The rank of every predicted event.

    Args:
        gru: the model.
        test_data: a pandas or Polars frame.
        items: ids of the items to rank among; None for all.
        session_key, item_key, time_key: its columns.
        batch_size: sessions side by side.
        mode: standard #(score > target) + 1; conservative #(score >= target); median the middle of the tied places;
            tiebreaking standard after adding 1e-10 * uniform noise.

    Returns:
        A frame (session, item, position, rank), sorted by (session, time, item): the target's id, 1 for a session's
        second event and so on, the target's rank.

    Raises:
        TypeError, ValueError: for what is not accepted, or where nothing can be predicted.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: {', '.join(MODES[:-1])} or {MODES[-1]} is accepted")
    known = gru.itemidmap.index
    events = sessions.read(test_data, Columns(session_key, item_key, time_key), known, "test_data")
    sessions.check_predictable(events, "test_data")
    listed = None if items is None else known.get_indexer(pd.Index(items).unique())
    if listed is not None and (listed < 0).any():
        unknown = pd.Index(items).unique()[int((listed < 0).argmax())]
        raise ValueError(f"items: item {unknown!r} is not among the {len(known)} items of the model")
    found = np.full(len(events.items), np.nan)
    noise = np.random.RandomState(42)
    for positions, scores in sessions.scored(gru, events, batch_size):
        found[positions] = rank(scores, events.items[positions], mode, listed, noise)
    predicted = events.predicted
    session = events.session[predicted]
    return pd.DataFrame(
        {
            "session": events.ids[session],
            "item": known[events.items[predicted]],
            "position": predicted - events.offsets[session],
            "rank": found[predicted],
        }
    )


def rank(
    scores: np.ndarray, targets: np.ndarray, mode: str, listed: np.ndarray | None = None,
    noise: np.random.RandomState | None = None,
) -> np.ndarray:  # fmt: skip
    """Ranks (M,) of the ``targets`` (M,) item indices by scores (M, n), among the ``listed`` items alone if given."""
    if mode == "tiebreaking" and noise is not None:
        scores = scores + 1e-10 * noise.rand(*scores.shape)
    target = np.take_along_axis(scores, targets[:, None], axis=1)
    among = scores if listed is None else scores[:, listed]
    if mode == "conservative":
        return np.maximum((among >= target).sum(axis=1), 1)
    above = (among > target).sum(axis=1)
    if mode == "median":
        return np.maximum(above + 0.5 * ((among == target).sum(axis=1) - 1) + 1, 1)
    return above + 1


def evaluate_gpu(
    gru: Any, test_data: Any, items: Any = None, session_key: str = "SessionId", item_key: str = "ItemId",
    time_key: str = "Time", cut_off: Any = 20, batch_size: int = sessions.LANES, mode: str = "conservative",
) -> Any:  # fmt: skip
    """(Recall@N, MRR@N); a dict of them by N for a list of cut-offs. Arguments and errors as in :func:`ranks`."""
    found = ranks(gru, test_data, items, session_key, item_key, time_key, batch_size, mode)["rank"].to_numpy()

    def at(N: int) -> tuple[float, float]:
        return float(np.mean(found <= N)), float(np.mean(np.where(found <= N, 1 / found, 0)))

    return at(cut_off) if np.ndim(cut_off) == 0 else {int(N): at(N) for N in cut_off}
