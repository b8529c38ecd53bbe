"""What lists are worth, one figure a prediction, and what they are like all together.

Of the next item, whose rank is r (one relevant item, so MAP@N is MRR@N):

    recall@N = [r <= N]      mrr@N = [r <= N] / r      ndcg@N = [r <= N] / log2(1 + r)

Of the remaining items of the session, the R distinct ones from the next on, with rel_k = 1 where the k-th of the list
is one of them (Ludewig, Jannach 2018, section 4.3; average precision and NDCG as trec_eval and ranx have them):

    precision_rest@N = sum_{k<=N} rel_k / N                    recall_rest@N = sum_{k<=N} rel_k / R
    map_rest@N       = sum_{k<=N} rel_k precision_rest@k / R
    ndcg_rest@N      = sum_{k<=N} rel_k / log2(1 + k)  /  sum_{k<=min(N, R)} 1 / log2(1 + k)

Of the list: popularity@N, the mean of its items' support divided by the highest support (popularity bias).

Of all lists:

- coverage@N: the share of all items that are in any list.
- gini@N: the Gini index of how often items are recommended, 0 where all are alike, near 1 where few take all.
- diversity@N: the share of their items in which two lists differ, the mean over all pairs of predictions (Zhou et al.,
  PNAS 107, 2010).
"""

from collections.abc import Iterable

import numpy as np

from gru4rec.lists import Lists

NEXT = ("recall", "mrr", "ndcg")
REST = ("precision_rest", "recall_rest", "map_rest", "ndcg_rest")
LIST = ("popularity",)
WHOLE = ("coverage", "gini", "diversity")


def of_ranks(rank: np.ndarray, N: int) -> dict[str, np.ndarray]:
    """recall, mrr and ndcg at N, (P,) each, of ranks (P,) of at least 1."""
    hit = rank <= N
    r = np.where(hit, rank, 1.0)
    return {"recall": hit.astype(float), "mrr": hit / r, "ndcg": hit / np.log2(1 + r)}


def per_prediction(lists: Lists, cut_offs: Iterable[int], support: np.ndarray | None) -> dict[str, np.ndarray]:
    """(P,) figures by ``metric@N``; those of whole lists only where the lists are long enough.

    Args:
        lists: of the predictions.
        cut_offs: the Ns.
        support: (n,) events of each item in the training data, for the popularity; None where it is not known.
    """
    found: dict[str, np.ndarray] = {}
    relevant, left = remaining(lists)
    for N in cut_offs:
        found |= {f"{name}@{N}": values for name, values in of_ranks(lists.rank, N).items()}
        if lists.length < N and lists.length < len(lists.ids):
            continue
        found |= {f"{name}@{N}": values for name, values in _of_rest(relevant[:, :N], left, N).items()}
        if support is not None:
            listed = lists.items[:, :N]
            shares = np.where(listed >= 0, _padded(support, len(lists.ids))[listed], 0) / max(1, support.max())
            found[f"popularity@{N}"] = shares.sum(axis=1) / np.maximum(1, (listed >= 0).sum(axis=1))
    return found


def remaining(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
    """(relevant (P, N), left (P,)): whether an item of a list is still to come in its session; how many items are."""
    events, n = lists.events, len(lists.ids)
    keys = events.session * n + events.items
    order = np.argsort(keys, kind="stable")
    is_end = np.r_[keys[order][1:] != keys[order][:-1], True]
    last, known = order[is_end], keys[order][is_end]  # the last event of each session and item
    wanted = lists.session[:, None] * n + np.maximum(lists.items, 0)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    comes = (known[place] == wanted) & (last[place] >= lists.predicted[:, None]) & (lists.items >= 0)
    is_last = np.zeros(len(events.items) + 1, np.int64)
    is_last[last] = 1
    before = np.r_[0, is_last.cumsum()]
    return comes, before[events.offsets[lists.session + 1]] - before[lists.predicted]


def _of_rest(relevant: np.ndarray, left: np.ndarray, N: int) -> dict[str, np.ndarray]:
    places = np.arange(1, relevant.shape[1] + 1)
    hits = relevant.cumsum(axis=1)
    ideal = np.r_[0, (1 / np.log2(1 + np.arange(1, N + 1))).cumsum()][np.minimum(left, N)]
    return {
        "precision_rest": hits[:, -1] / N,
        "recall_rest": hits[:, -1] / left,
        "map_rest": (relevant * hits / places).sum(axis=1) / left,
        "ndcg_rest": (relevant / np.log2(1 + places)).sum(axis=1) / ideal,
    }


def of_all(lists: Lists, cut_offs: Iterable[int]) -> dict[str, float]:
    """coverage, gini and diversity by ``metric@N``, of lists that are long enough."""
    found = {}
    for N in cut_offs:
        if lists.length < N and lists.length < len(lists.ids):
            continue
        listed = lists.items[:, :N]
        counts = np.bincount(listed[listed >= 0], minlength=len(lists.ids))
        n, total, P = len(counts), counts.sum(), len(listed)
        ascending = np.sort(counts)
        found[f"coverage@{N}"] = float((counts > 0).mean())
        found[f"gini@{N}"] = float(((2 * np.arange(1, n + 1) - n - 1) * ascending).sum() / (n * total))
        width = total / P  # N, but for short lists
        pairs = P * (P - 1)
        shared = (counts.astype(float) * (counts - 1)).sum()
        found[f"diversity@{N}"] = float(1 - shared / (pairs * width)) if pairs else float("nan")
    return found


def groups(lists: Lists) -> dict[str, np.ndarray]:
    """(P,) bool masks of parts of the predictions, by name; those without any are left out.

    ``length L``: after so many events. ``repeat``: the next item was in the session before; ``new``: it was not.
    """
    position = lists.position
    found = {f"length {length}": position == length for length in range(1, 5)}
    found |= {"length 5-9": (position >= 5) & (position < 10), "length 10+": position >= 10}
    again = is_repeat(lists)
    found |= {"repeat": again, "new": ~again}
    return {name: mask for name, mask in found.items() if mask.any()}


def is_repeat(lists: Lists) -> np.ndarray:
    """(P,) whether the next item stands in its session before."""
    events = lists.events
    keys = events.session * len(lists.ids) + events.items
    _, first = np.unique(keys, return_index=True)
    is_first = np.zeros(len(keys), bool)
    is_first[first] = True
    return ~is_first[lists.predicted]


def _padded(support: np.ndarray, n: int) -> np.ndarray:
    return np.pad(support, (0, n - len(support))).astype(float)
