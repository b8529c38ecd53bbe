"""The harness's own evaluation: ranks, Recall@N, MRR@N and top lists from any engine's ``scores``, in plain NumPy.

No engine's evaluation is taken on trust. The rules are those of the papers' program: test events of unknown items are
left out first; a session's events are read in the order of (session, time, item), from a hidden state of zeros; each
event after the first is predicted from those before it, by the score of its item among the scores of all items.

A score that is not finite ranks nothing: its event's rank is NaN, and so is every figure that counts it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from parity.protocol import Engine

MODES = ("standard", "conservative", "median")
CUT_OFFS = (1, 5, 10, 20)


class Events(NamedTuple):
    """Test events of E known items in S sessions, session after session."""

    items: np.ndarray  # (E,) int64, item indices
    offsets: np.ndarray  # (S + 1,) int64, where each session begins, and the end
    sessions: np.ndarray  # (S,) session ids, ascending

    @property
    def predicted(self) -> np.ndarray:
        """(P,) positions, ascending, of the events that are predicted: all but each session's first."""
        first = np.zeros(len(self.items), bool)
        first[self.offsets[:-1]] = True
        return np.flatnonzero(~first)


class Scored(NamedTuple):
    """One event of each of M sessions, scored: prediction number ``rows[k]`` is of lane k. n items."""

    rows: np.ndarray  # (M,) int64, in 0..P-1, the order of Events.predicted
    inputs: np.ndarray  # (M,) int64, index of the event before
    targets: np.ndarray  # (M,) int64, index of the event that is predicted
    scores: np.ndarray  # (M, n), of the engine's own float type
    hidden: list[np.ndarray]  # the state that gave the scores, one (M, L_k) array a layer


class Counts(NamedTuple):
    """Of each of M predictions: how the scored items stand to the target, as float64, NaN where that is not defined."""

    above: np.ndarray  # (M,) items with a higher score
    level: np.ndarray  # (M,) other items with the same score
    listed: np.ndarray  # (M,) how often the target itself is among the scored items: 0 or 1


class Lists(NamedTuple):
    """The N best items of each of K predictions, best first; of equal scores the lower index first."""

    items: np.ndarray  # (K, N) int64, item indices
    scores: np.ndarray  # (K, N)


class Evaluation(NamedTuple):
    """What :func:`evaluate` gives."""

    ranks: np.ndarray  # (P,) float64
    metrics: dict[int, tuple[float, float]]  # N -> (Recall@N, MRR@N)
    lists: Lists | None


def read_events(
    test: pd.DataFrame,
    item_ids: Sequence[Any] | pd.Index | np.ndarray,
    columns: Sequence[str] = ("SessionId", "ItemId", "Time"),
) -> Events:
    """Events of the items ``item_ids`` (n ids in the order of their indices), by (session, time, item).

    The frame may have any index and order, and is not changed.
    """
    session, item, time = columns
    ids = pd.Index(item_ids)
    known = test[test[item].isin(ids)].sort_values([session, time, item], kind="stable")
    of_session = known[session].to_numpy()
    starts = np.flatnonzero(of_session[1:] != of_session[:-1]) + 1
    starts = np.r_[0, starts].astype(np.int64) if len(known) else np.zeros(0, np.int64)
    return Events(
        ids.get_indexer(known[item]).astype(np.int64), np.r_[starts, len(known)].astype(np.int64), of_session[starts]
    )


def scored(engine: Engine, events: Events, widths: Sequence[int] | None = None, lanes: int = 100) -> Iterator[Scored]:
    """Score all predictions of ``events``, up to ``lanes`` sessions side by side, the longest first.

    widths: units of each GRU layer; by default those of the engine's training state. Every prediction comes once, in
    no particular order.
    """
    widths = [H.shape[1] for H in engine.get_hidden()] if widths is None else widths
    lengths = np.diff(events.offsets)
    number = np.full(len(events.items), -1)
    number[events.predicted] = np.arange(len(events.predicted))
    by_length = np.argsort(-lengths, kind="stable")
    by_length = by_length[lengths[by_length] > 1]
    for begin in range(0, len(by_length), lanes):
        sessions = by_length[begin : begin + lanes]
        hidden = [np.zeros((len(sessions), width)) for width in widths]
        for step in range(lengths[sessions[0]] - 1):
            going = lengths[sessions] > step + 1
            sessions, hidden = sessions[going], [np.asarray(H)[going] for H in hidden]
            positions = events.offsets[sessions] + step
            inputs, targets = events.items[positions], events.items[positions + 1]
            scores, hidden = engine.scores(inputs, hidden)
            hidden = [np.asarray(H) for H in hidden]
            yield Scored(number[positions + 1], inputs, targets, np.asarray(scores), hidden)


def count(scores: np.ndarray, targets: np.ndarray, listed: np.ndarray | None = None) -> Counts:
    """Compare the scores (M, n) with those of ``targets`` (M,).

    listed: indices of the items that are ranked, each once; by default all. The target's own score is looked up once,
    so that it is equal to itself. NaN where the target's or a listed score is not finite.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    own = scores[np.arange(len(targets)), targets][:, None]
    ranked = scores if listed is None else scores[:, listed]
    own_listed = np.ones(len(targets)) if listed is None else (np.asarray(listed)[None] == targets[:, None]).sum(axis=1)
    with np.errstate(invalid="ignore"):
        above, level = (ranked > own).sum(axis=1), (ranked == own).sum(axis=1) - own_listed
    finite = np.isfinite(own[:, 0]) & np.isfinite(ranked).all(axis=1)
    return Counts(*(np.where(finite, part, np.nan) for part in (above, level, own_listed)))


def rank(counts: Counts, mode: str = "conservative") -> np.ndarray:
    """Ranks (M,), at least 1.

    ``standard`` has items level with the target below it, ``conservative`` above it, ``median`` half of them.

    Raises ValueError for another mode.
    """
    if mode == "standard":
        ranks = counts.above + 1
    elif mode == "conservative":
        ranks = counts.above + counts.level + counts.listed
    elif mode == "median":
        ranks = counts.above + 0.5 * (counts.level + counts.listed - 1) + 1
    else:
        raise ValueError(f"mode={mode!r}: {', '.join(MODES)} are accepted")
    return np.maximum(ranks, 1.0)  # NaN stays NaN


def metrics(ranks: np.ndarray, cut_offs: Sequence[int] = CUT_OFFS) -> dict[int, tuple[float, float]]:
    """{N: (Recall@N, MRR@N)}: the share of ranks up to N, and the mean of 1/rank, which counts 0 beyond N.

    NaN where a rank is NaN or there is none.
    """
    ranks = np.asarray(ranks, np.float64)
    if not len(ranks) or np.isnan(ranks).any():
        return dict.fromkeys(cut_offs, (np.nan, np.nan))
    return {N: (float(np.mean(ranks <= N)), float(np.mean(np.where(ranks <= N, 1 / ranks, 0)))) for N in cut_offs}


def top(scores: np.ndarray, length: int = 20) -> Lists:
    """The ``length`` best items of each row of ``scores`` (M, n), or all n where these are fewer. NaN comes last."""
    scores = np.asarray(scores)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :length].astype(np.int64)
    return Lists(best, np.take_along_axis(scores, best, axis=1))


def spread_over(predictions: int, wanted: int) -> np.ndarray:
    """``wanted`` of the predictions 0..P-1 at even distances, the first included: floor(k*P/wanted), ascending.

    All of them where they are no more than that.
    """
    wanted = min(wanted, predictions)
    return np.arange(wanted) * predictions // max(wanted, 1)


def evaluate(
    engine: Engine,
    events: Events,
    mode: str = "conservative",
    listed: np.ndarray | None = None,
    cut_offs: Sequence[int] = CUT_OFFS,
    lists_of: np.ndarray | None = None,
    length: int = 20,
    widths: Sequence[int] | None = None,
    lanes: int = 100,
) -> Evaluation:
    """Evaluate ``engine`` on ``events``, which were read by its own item ids.

    mode: of ties. listed: indices of the items that are ranked; by default all. lists_of: numbers of the predictions
    whose ``length`` best items are wanted, ascending. widths, lanes: see :func:`scored`.
    """
    predictions = len(events.predicted)
    ranks = np.full(predictions, np.nan)
    wanted = np.zeros(0, np.int64) if lists_of is None else np.asarray(lists_of)
    length = min(length, engine.n_items)
    lists = Lists(np.full((len(wanted), length), -1), np.full((len(wanted), length), np.nan))
    for part in scored(engine, events, widths, lanes):
        ranks[part.rows] = rank(count(part.scores, part.targets, listed), mode)
        for lane in np.flatnonzero(np.isin(part.rows, wanted)):
            at = np.searchsorted(wanted, part.rows[lane])
            best = top(part.scores[lane : lane + 1], length)
            lists.items[at], lists.scores[at] = best.items[0], best.scores[0]
    return Evaluation(ranks, metrics(ranks, cut_offs), None if lists_of is None else lists)
