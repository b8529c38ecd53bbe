"""Ranks and metrics from identical weights.

The expected ranks are counted here, in NumPy, from the reference's scores, so that neither engine's evaluation is
taken on trust. Two scores closer than rounding have no order that means anything: where such an item stands next to
the target, the rank may lie anywhere in the range that they leave, and those events are counted. Items that are level
by construction (their output weights are set to zero) are no such case: every tie mode has one right answer for them.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from parity.engine import Engine
from parity.measure import Checks

MODES = ("standard", "conservative", "median", "tiebreaking")
CUT_OFFS = [1, 5, 10, 20]
LEVEL_EVERY = 3  # every third item is made level with the others of them
NOISE = 1e-10  # of the tie-breaking mode


class Counts(NamedTuple):
    """For each of P events: items above the target, level with it by construction, and closer than rounding."""

    above: np.ndarray
    level: np.ndarray
    near: np.ndarray
    listed: np.ndarray  # (P,) bool, whether the target is among the scored items
    above_noise: np.ndarray  # further above than the noise of the tie-breaking mode
    within_noise: np.ndarray  # no further away than it


class Ranking(NamedTuple):
    """Expected ranks of one set of weights: (lowest, highest) by (list, mode), each (P,)."""

    weights: dict[str, np.ndarray]
    bounds: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    items: np.ndarray  # ids of the list 'some'


def level_items(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights with the output rows of every third item at zero: their scores are equal to the last bit."""
    changed = {name: np.array(values) for name, values in weights.items()}
    changed["Wy"][::LEVEL_EVERY] = 0
    changed["By"][::LEVEL_EVERY] = 0
    return changed


def expected_ranking(engine: Engine, params: dict[str, Any], test: pd.DataFrame, dtype: str) -> Ranking:
    """Rank the events of ``test`` by the scores of ``engine`` as it is; its weights should come from
    :func:`level_items`.
    """
    n = engine.n_items
    some = np.flatnonzero(np.arange(n) % 5 != 1)
    counts = {"all": [], "some": []}
    softmax = str(params.get("final_act", "linear")).startswith("softmax")
    for scores, targets, order in _scored_events(engine, params, test):
        counts["all"].append((order, _count(scores, targets, np.arange(n), dtype, softmax)))
        counts["some"].append((order, _count(scores, targets, some, dtype, softmax)))
    bounds = {}
    for which, parts in counts.items():
        order = np.argsort(np.concatenate([order for order, _ in parts]))
        joined = Counts(*(np.concatenate([getattr(c, f) for _, c in parts])[order] for f in Counts._fields))
        for mode in MODES:
            bounds[which, mode] = _bounds(joined, mode)
    return Ranking(engine.get_weights(), bounds, np.asarray(engine.itemidmap.index)[some])


def check_ranking(
    checks: Checks, wanted: Ranking, engine: Engine, evaluation: Any, test: pd.DataFrame, who: str = ""
) -> None:
    """Ranks of every event in every mode over all items and over a list, and the metrics that follow from them."""
    if evaluation is None:
        for name in ("ranks", "metrics"):
            checks[name].not_covered.append("the engine has no evaluation with ranks and evaluate_gpu")
        return
    engine.set_weights(wanted.weights)
    for (which, mode), (low, high) in wanted.bounds.items():
        listed = None if which == "all" else wanted.items
        rank = evaluation.ranks(engine, test, items=listed, mode=mode, batch_size=50)["rank"].to_numpy().astype(float)
        check = checks["ranks"]
        expected = np.clip(rank, low, high) if len(rank) == len(low) else low
        check.equal(f"{who}{mode}, {which} items", rank, expected)
        near = int((low != high).sum()) if mode != "tiebreaking" else 0
        if near:
            check.notes.append(
                f"{who}{mode}, {which} items: {near} of {len(low)} events have a score closer than rounding"
            )
        if mode in ("conservative", "median") and len(rank) == len(low):
            _check_metrics(checks, rank, engine, evaluation, test, listed, f"{who}{mode}, {which} items", mode)


def _check_metrics(checks, rank, engine, evaluation, test, listed, label, mode) -> None:
    """evaluate_gpu against the definition: share of ranks up to N, and the mean of 1/rank, 0 beyond N."""
    found = evaluation.evaluate_gpu(engine, test, items=listed, cut_off=CUT_OFFS, mode=mode, batch_size=50)
    for N in CUT_OFFS:
        hit = rank <= N
        checks["metrics"].close(f"Recall@{N}, {label}", found[N][0], hit.mean(), 1e-12)
        checks["metrics"].close(f"MRR@{N}, {label}", found[N][1], np.where(hit, 1 / rank, 0).mean(), 1e-12)


def _known_events(engine: Engine, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Item indices of the known test events by (session, time, item); where each session begins, and the end."""
    known = test[test["ItemId"].isin(engine.itemidmap.index)].sort_values(
        ["SessionId", "Time", "ItemId"], kind="stable"
    )
    session = known["SessionId"].to_numpy()
    starts = np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
    return engine.itemidmap.index.get_indexer(known["ItemId"]), np.r_[starts, len(known)]


def _scored_events(engine: Engine, params: dict[str, Any], test: pd.DataFrame, block: int = 50):
    """Yields scores (M, n), targets (M,) and the events' positions in sorted order (M,), longest sessions first."""
    items, offsets = _known_events(engine, test)
    lengths = np.diff(offsets)
    by_length = [s for s in np.argsort(-lengths, kind="stable") if lengths[s] > 1]
    for at in range(0, len(by_length), block):
        sessions = np.array(by_length[at : at + block])
        hidden = [np.zeros((len(sessions), units)) for units in params.get("layers", [100])]
        for step in range(lengths[sessions[0]] - 1):
            going = lengths[sessions] > step + 1
            sessions, hidden = sessions[going], [H[going] for H in hidden]
            where = offsets[sessions] + step
            scores, hidden = engine.scores(items[where], hidden)
            hidden = [np.asarray(H) for H in hidden]
            yield np.asarray(scores), items[where + 1], where + 1


def _count(scores: np.ndarray, targets: np.ndarray, listed: np.ndarray, dtype: str, softmax: bool) -> Counts:
    own = scores[np.arange(len(targets)), targets][:, None].astype(np.float64)
    ranked = scores[:, listed].astype(np.float64)
    scale = np.abs(own) if softmax else np.abs(scores).max(axis=1, keepdims=True)
    slack = 256 * np.finfo(dtype).eps * scale
    is_target = listed[None] == targets[:, None]
    level = (listed % LEVEL_EVERY == 0)[None] & (targets % LEVEL_EVERY == 0)[:, None] & ~is_target
    near = (np.abs(ranked - own) <= slack) & ~is_target & ~level
    above = (ranked > own) & ~near & ~is_target & ~level
    noisy = (np.abs(ranked - own) <= slack + NOISE) & ~is_target
    above_noise = (ranked > own) & ~noisy & ~is_target
    return Counts(*(part.sum(1) for part in (above, level, near)), is_target.any(1), above_noise.sum(1), noisy.sum(1))


def _bounds(c: Counts, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest rank: with the near items all below the target, and all above it."""
    if mode == "standard":
        low, width = c.above + 1.0, c.near
    elif mode == "conservative":
        low, width = c.above + c.level + c.listed * 1.0, c.near
    elif mode == "median":
        low, width = c.above + 0.5 * (c.level + c.listed - 1) + 1.0, c.near
    else:
        low, width = c.above_noise + 1.0, c.within_noise
    return np.maximum(low, 1.0), np.maximum(low + width, 1.0)
