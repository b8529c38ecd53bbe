"""Metrics whose ranks are known but for rounding: does one assignment of the ambiguous events explain them?"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

MOST = 200  # ambiguous events that an assignment is sought for


def fewest_moved(
    usual: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    by_cut_off: Mapping[int, tuple[float, float]],
    tolerance: float,
) -> int | None:
    """How many events must leave their usual rank so that all metrics come out as they were recorded.

    One assignment has to explain Recall and MRR at every N at once.

    Args:
        usual: (P,) the ranks where nothing is ambiguous. low, high: (P,) the lowest and the highest that rounding
            admits; between them lie low + 1, low + 2, ...
        by_cut_off: N -> (Recall@N, MRR@N). tolerance: of the metrics.

    Returns:
        The fewest, 0 where the usual ranks explain everything; None where no assignment does, or where more than
        :data:`MOST` events are ambiguous.
    """
    if _explained(usual, by_cut_off, tolerance):
        return 0
    moving = np.flatnonzero(high > low)
    if not 0 < len(moving) <= MOST or not all(np.isfinite(pair).all() for pair in by_cut_off.values()):
        return None
    P, beyond = len(usual), max(by_cut_off) + 1
    choices = [
        np.unique(np.append(np.minimum(np.arange(low[i], high[i] + 0.5), max(low[i], beyond)), usual[i]))
        for i in moving
    ]
    ranks = np.concatenate(choices)
    owner = np.repeat(np.arange(len(moving)), [len(each) for each in choices])
    one_each = lil_matrix((len(moving), len(ranks)))
    one_each[owner, np.arange(len(ranks))] = 1
    still = np.delete(usual, moving)
    rows, least, most = [], [], []
    for N, (recall, mrr) in by_cut_off.items():
        for weights, wanted, left in (
            (ranks <= N, recall * P, (still <= N).sum()),
            (np.where(ranks <= N, 1 / ranks, 0.0), mrr * P, np.where(still <= N, 1 / still, 0.0).sum()),
        ):
            rows.append(np.asarray(weights, float))
            least.append(wanted - left - tolerance * P)
            most.append(wanted - left + tolerance * P)
    constraints = [LinearConstraint(one_each.tocsr(), 1, 1), LinearConstraint(np.array(rows), least, most)]
    cost = (ranks != usual[moving][owner]).astype(float)
    found = milp(cost, constraints=constraints, integrality=np.ones(len(ranks)), bounds=Bounds(0, 1))
    if not found.success:
        return None
    chosen = np.array(usual, float)
    picked = np.flatnonzero(found.x > 0.5)
    chosen[moving[owner[picked]]] = ranks[picked]
    return int((chosen != usual).sum()) if _explained(chosen, by_cut_off, 2 * tolerance) else None


def _explained(ranks: np.ndarray, by_cut_off: Mapping[int, tuple[float, float]], tolerance: float) -> bool:
    for N, (recall, mrr) in by_cut_off.items():
        hit = ranks <= N
        if not (abs(hit.mean() - recall) <= tolerance and abs(np.where(hit, 1 / ranks, 0).mean() - mrr) <= tolerance):
            return False
    return True
