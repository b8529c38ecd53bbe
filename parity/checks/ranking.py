"""Ranks and metrics from identical weights.

The expected ranks are counted here: by the harness's own forward pass (:mod:`parity.plain`), so that no engine's
evaluation, nor its scores, are taken on trust. Every score gets an interval, its forward error bound; where the
intervals of another item and of the target overlap, their order means nothing, the rank may lie anywhere in the range
that they leave, and the event is ambiguous and counted. Items that are level by construction (their output weights are
zero, or relu has cut them) have no width, and every tie mode has one right answer for them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from parity.bounds import UNIT
from parity.evaluator import metrics, read_events
from parity.measure import Checks
from parity.plain.network import activation, logits, next_hidden
from parity.protocol import Engine

MODES = ("standard", "conservative", "median", "tiebreaking")
CUT_OFFS = [1, 5, 10, 20]
LEVEL_EVERY = 3  # every third item is made level with the others of them
LENGTHS = (2, 3, 17)  # of lists, besides those
BATCHES = {"standard": 3, "conservative": 50, "median": 3, "tiebreaking": 50}  # sessions side by side, by mode
OTHER_NAMES = {"SessionId": "user", "ItemId": "article", "Time": "clicked"}
KEYS = {"session_key": "user", "item_key": "article", "time_key": "clicked"}
FEWEST_LEVEL = 15  # events with level items, from which on their mean place says something
NOISE = 1e-10  # of the tie-breaking mode
MOST_AMBIGUOUS = 0.25  # of the events; where more are, the ranks say nothing
UNITS_MORE = 64  # besides one unit a term of the scores' sums: the hidden state's own rounding, the activation's


class Intervals(NamedTuple):
    """Ranks of P events: the lowest and the highest that rounding admits."""

    low: np.ndarray
    high: np.ndarray

    @property
    def ambiguous(self) -> int:
        return int((self.low != self.high).sum())


class Ranking(NamedTuple):
    """Expected ranks of one set of weights, by (list, mode)."""

    weights: dict[str, np.ndarray]
    ranks: dict[tuple[str, str], Intervals]
    items: np.ndarray  # ids of the list 'some'


class Columns(NamedTuple):
    """Names of a frame's columns."""

    session: str = "SessionId"
    item: str = "ItemId"
    time: str = "Time"

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Columns":
        return cls(*(params.get(f"{name}_key", default) for name, default in zip(cls._fields, cls())))

    def options(self) -> dict[str, str]:
        """As options of an evaluation; empty for the usual names, which an engine need not take."""
        return {} if self == Columns() else {f"{name}_key": key for name, key in zip(self._fields, self)}


def level_items(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights with the output rows of every third item at zero: their scores are equal to the last bit."""
    changed = {name: np.array(values) for name, values in weights.items()}
    changed["Wy"][::LEVEL_EVERY] = 0
    changed["By"][::LEVEL_EVERY] = 0
    return changed


def expected_ranking(
    weights: Mapping[str, np.ndarray],
    item_ids: pd.Index | np.ndarray,
    params: Mapping[str, Any],
    test: pd.DataFrame,
    dtype: str,
) -> Ranking:
    """Rank the events of ``test`` over all items and over a list of four fifths of them, in every mode."""
    some = np.flatnonzero(np.arange(len(item_ids)) % 5 != 1)
    ranks = {}
    for which, listed in (("all", None), ("some", some)):
        found = intervals(weights, item_ids, params, test, dtype, listed)
        ranks.update({(which, mode): each for mode, each in found.items()})
    return Ranking(dict(weights), ranks, np.asarray(item_ids)[some])


def intervals(
    weights: Mapping[str, np.ndarray],
    item_ids: pd.Index | np.ndarray,
    params: Mapping[str, Any],
    test: pd.DataFrame,
    dtype: str,
    listed: np.ndarray | None = None,
) -> dict[str, Intervals]:
    """The ranks that an evaluation in ``dtype`` may give each event, by mode.

    Args:
        weights: by the names of the protocol. item_ids: (n,) in index order. params: GRU4Rec's options.
        test: the frame. dtype: in which the evaluation computes. listed: indices of the items that are ranked.

    Returns:
        (P,) ranks in the order of the test events of known items by (session, time, item).
    """
    listed = np.arange(len(item_ids)) if listed is None else listed
    parts: dict[str, list] = {mode: [] for mode in MODES}
    places = []
    softmax = str(params.get("final_act", "linear")).startswith("softmax")
    for low, high, targets, order in _scored(weights, item_ids, params, test, dtype):
        places.append(order)
        for mode, each in _ranks(low, high, targets, listed, softmax).items():
            parts[mode].append(each)
    order = np.argsort(np.concatenate(places)) if places else np.zeros(0, int)
    return {
        mode: Intervals(*(np.concatenate([each[side] for each in found])[order] for side in (0, 1)))
        if found
        else Intervals(np.zeros(0), np.zeros(0))
        for mode, found in parts.items()
    }


def check_ranking(
    checks: Checks, wanted: Ranking, engine: Engine, evaluation: Any, test: pd.DataFrame, who: str = ""
) -> None:
    """Ranks of every event in every mode over all items and over a list, and the metrics that follow from them."""
    if evaluation is None:
        for name in ("ranks", "metrics"):
            checks[name].not_covered.append("the engine has no evaluation with ranks and evaluate_gpu")
        return
    engine.set_weights(wanted.weights)
    for (which, mode), each in wanted.ranks.items():
        listed, label = None if which == "all" else wanted.items, f"{who}{mode}, {which} items"
        if len(each.low) and each.ambiguous > MOST_AMBIGUOUS * len(each.low) and mode != "tiebreaking":
            for name in ("ranks", "metrics"):
                checks[name].not_covered.append(
                    f"{mode}, {which} items: {each.ambiguous} of {len(each.low)} events have a score within rounding"
                )
            continue
        if each.ambiguous and mode == MODES[0]:  # the other modes have the same ones
            checks["ranks"].notes.append(f"{which} items: {each.ambiguous} of {len(each.low)} events are ambiguous")
        rank = checks.attempt(["ranks"], _check_ranks, each, engine, evaluation, test, listed, mode, label)
        if rank is not None and mode == "tiebreaking":
            _check_noise(checks, rank, wanted, which, label)
        checks.attempt(["metrics"], _check_metrics, rank, each, engine, evaluation, test, listed, mode, label)


def _check_ranks(checks, wanted: Intervals, engine, evaluation, test, listed, mode, label) -> np.ndarray:
    found = evaluation.ranks(engine, test, items=listed, mode=mode, batch_size=BATCHES[mode])["rank"]
    rank = np.asarray(found.to_numpy(), float)
    inside = np.clip(rank, wanted.low, wanted.high) if len(rank) == len(wanted.low) else wanted.low
    checks["ranks"].equal(label, rank, inside)
    return rank


def _check_noise(checks: Checks, rank: np.ndarray, wanted: Ranking, which: str, label: str) -> None:
    """Noise puts a target anywhere among the items level with it, all places as likely: the mean place is the middle.

    The bound is five standard deviations of that mean; (k + 2)/(12 k) is the variance of a place among k others,
    over k.
    """
    least, most = (wanted.ranks[which, mode].low for mode in ("standard", "conservative"))
    level = most - least
    sure = (level > 0) & (least == wanted.ranks[which, "standard"].high)
    if sure.sum() >= FEWEST_LEVEL and len(rank) == len(level):
        k = level[sure]
        bound = 5 * float(np.sqrt(((k + 2) / (12 * k)).sum())) / len(k)
        place = float(((rank[sure] - least[sure]) / k).mean())
        checks["ranks"].within(f"{label}: mean place among level items", place, 0.5, bound)


def _check_metrics(checks, rank, wanted: Intervals, engine, evaluation, test, listed, mode, label) -> None:
    """evaluate_gpu against the definition: share of ranks up to N, and the mean of 1/rank, 0 beyond N.

    By the engine's own ranks, which stand within the intervals; tie-breaking draws its noise anew, so there the
    intervals themselves are the bound.
    """
    found = evaluation.evaluate_gpu(engine, test, items=listed, cut_off=CUT_OFFS, mode=mode, batch_size=BATCHES[mode])
    exact = rank is not None and len(rank) == len(wanted.low) and mode != "tiebreaking"
    lowest, highest = (rank, rank) if exact else (wanted.low, wanted.high)
    for N in CUT_OFFS:
        _check_pair(checks, N, label, found[N], lowest, highest)


def _check_pair(checks: Checks, N: int, label: str, found: Any, lowest: np.ndarray, highest: np.ndarray) -> None:
    """(Recall@N, MRR@N) against those of the lowest and the highest ranks."""
    bounds = (metrics(ranks, [N])[N] for ranks in (highest, lowest))
    for what, value, least, most in zip(("Recall", "MRR"), found, *bounds, strict=True):
        checks["metrics"].within(f"{what}@{N}, {label}", value, float(np.clip(value, least, most)), 1e-12)


def check_lists(checks: Checks, wanted: Ranking, engine: Engine, evaluation: Any, test: pd.DataFrame) -> None:
    """Metrics at odd lengths of the list, longer than all items too, and at one N; by ``evaluate_sessions_batch`` too.

    The last is a function of the published program that an engine need not have.
    """
    if evaluation is None:
        return  # which check_ranking has said
    engine.set_weights(wanted.weights)
    lengths, renamed = [*LENGTHS, len(wanted.weights["By"]) + 3], test.rename(columns=OTHER_NAMES)
    for name in ("evaluate_gpu", "evaluate_sessions_batch"):
        function = getattr(evaluation, name, None)
        if function is None:
            checks["metrics"].notes.append(f"{name}: the engine has none")
            continue
        for which, mode in (("all", "median"), ("some", "standard"), ("all", "tiebreaking"), ("some", "conservative")):
            listed, ranks = None if which == "all" else wanted.items, wanted.ranks[which, mode]
            label, options = f"{name}, {mode}, {which} items", dict(items=listed, mode=mode, batch_size=3)
            found = function(engine, test, cut_off=lengths, **options)
            for N in lengths:
                _check_pair(checks, N, label, found[N], ranks.low, ranks.high)
        found = function(engine, renamed, cut_off=LENGTHS[-1], **options, **KEYS)
        pair = found[LENGTHS[-1]] if isinstance(found, Mapping) else found
        _check_pair(checks, LENGTHS[-1], f"{label}, one N, columns of other names", pair, ranks.low, ranks.high)


def _scored(weights, item_ids, params, test, dtype, block: int = 50) -> Iterator[tuple]:
    """Yields lower and upper scores (M, n), targets (M,) and the events' places in order (M,)."""
    items, offsets, _ = read_events(test, item_ids, Columns.of(params))
    lengths = np.diff(offsets)
    by_length = [s for s in np.argsort(-lengths, kind="stable") if lengths[s] > 1]
    units = params.get("layers", [100])
    for start in range(0, len(by_length), block):
        sessions = np.array(by_length[start : start + block])
        hidden = [np.zeros((len(sessions), L)) for L in units]
        for step in range(lengths[sessions[0]] - 1):
            going = lengths[sessions] > step + 1
            sessions, hidden = sessions[going], [H[going] for H in hidden]
            places = offsets[sessions] + step
            hidden = next_hidden(weights, params, items[places], hidden)
            low, high = _interval(weights, params, hidden[-1], dtype)
            yield low, high, items[places + 1], places + 1


def _interval(weights, params, h: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper score (M, n): gamma_k times the sum of the absolute terms, k = L + 64 units, through final_act.

    A softmax keeps the order of its logits, so these are ranked; its own rounding and underflow are added to them.
    """
    u = UNIT[dtype]
    o, terms = logits(weights, h)
    e = (h.shape[1] + UNITS_MORE) * u * terms
    name = str(params.get("final_act", "linear"))
    if name.startswith("softmax"):
        below = o - o.max(axis=1, keepdims=True)
        e = np.where(terms > 0, e + 8 * u * (1 + np.abs(below)), 0.0)
        gone = below < (-80 if dtype == "float32" else -700)  # the probability may have become 0
        return np.where(gone, -np.inf, o - e), o + e
    act = activation(name).of
    low, high = act(o - e), act(o + e)
    return low - 4 * u * np.abs(low), high + 4 * u * np.abs(high)


def _ranks(
    low: np.ndarray, high: np.ndarray, targets: np.ndarray, listed: np.ndarray, softmax: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(lowest, highest) rank of each lane's target among the listed items, by mode."""
    rows, is_target = np.arange(len(targets)), listed[None] == targets[:, None]
    own_low, own_high = low[rows, targets][:, None], high[rows, targets][:, None]
    its_low, its_high = low[:, listed], high[:, listed]
    level = (its_low == its_high) & (own_low == own_high) & (its_low == own_low) & ~is_target
    above = (its_low > own_high) & ~is_target & ~level
    near = (~(above | (its_high < own_low) | is_target | level)).sum(1)
    above, level, target = above.sum(1), level.sum(1), is_target.any(1)
    lowest = {
        "standard": above + 1.0,
        "conservative": above + level + target * 1.0,
        "median": above + 0.5 * (level + target - 1) + 1.0,
    }
    found = {mode: (np.maximum(r, 1.0), np.maximum(r + near, 1.0)) for mode, r in lowest.items()}
    if softmax:  # the noise is added to probabilities
        total = logsumexp(high, axis=1, keepdims=True), logsumexp(low, axis=1, keepdims=True)
        low, high = np.exp(low - total[0]), np.exp(high - total[1])
        own_low, own_high = low[rows, targets][:, None], high[rows, targets][:, None]
        its_low, its_high = low[:, listed], high[:, listed]
    surely = ((its_low > own_high + NOISE) & ~is_target).sum(1)
    possibly = ((its_high + NOISE >= own_low) & ~is_target).sum(1)
    found["tiebreaking"] = surely + 1.0, possibly + 1.0
    return found
