"""Figures of lists against plain loops over their definitions, and against ranx."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec import measures, sessions
from gru4rec.frames import Columns
from gru4rec.lists import Lists

ITEMS = 8
test_sessions = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=7), min_size=1, max_size=6)
CUT_OFFS = (1, 3, 5)


def lists_of(drawn, seed, length=5):
    """Lists of random items for every prediction; None where there is nothing to predict."""
    rows = [(s, item, x) for s, items in enumerate(drawn) for x, item in enumerate(items)]
    ids = pd.Index(np.arange(ITEMS))
    events = sessions.read(pd.DataFrame(rows, columns=list(Columns())), Columns(), ids)
    predicted = events.predicted
    if not len(predicted):
        return None
    random = np.random.RandomState(seed)
    items = np.array([random.permutation(ITEMS)[:length] for _ in predicted])
    hit = items == events.items[predicted][:, None]
    rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)
    return Lists(events, predicted, items, -np.arange(length) + np.zeros((len(items), 1)), rank, ids)


def plain(drawn, found, N):
    """One prediction at a time."""
    rows, place = [], 0

    def average_precision(relevant):
        return sum(hit * sum(relevant[: k + 1]) / (k + 1) for k, hit in enumerate(relevant))

    for items in drawn:
        for seen in range(1, len(items)):
            listed, target, rest = found.items[place][:N].tolist(), items[seen], set(items[seen:])
            place += 1
            rank = listed.index(target) + 1 if target in listed else math.inf
            relevant = [item in rest for item in listed]
            rows.append(
                {
                    "recall": rank <= N, "mrr": 1 / rank, "ndcg": 1 / math.log2(1 + rank),
                    "precision_rest": sum(relevant) / N,
                    "recall_rest": sum(relevant) / len(rest),
                    "map_rest": average_precision(relevant) / len(rest),
                    "ndcg_rest": sum(hit / math.log2(2 + k) for k, hit in enumerate(relevant))
                    / sum(1 / math.log2(2 + k) for k in range(min(N, len(rest)))),
                    "popularity": sum(1 + item for item in listed) / len(listed) / ITEMS,
                    "is_repeat": target in items[:seen], "position": seen,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


@settings(deadline=None)
@given(test_sessions, st.integers(0, 1000))
def test_figures_of_predictions(drawn, seed):
    found = lists_of(drawn, seed)
    if found is None:
        return
    ours = measures.per_prediction(found, CUT_OFFS, np.arange(1, ITEMS + 1))
    for N in CUT_OFFS:
        expected = plain(drawn, found, N)
        for name in (*measures.NEXT, *measures.REST, *measures.LIST):
            np.testing.assert_allclose(ours[f"{name}@{N}"], expected[name].astype(float), err_msg=f"{name}@{N}")
    assert measures.is_repeat(found).tolist() == expected["is_repeat"].tolist()
    assert found.position.tolist() == expected["position"].tolist()


@settings(deadline=None)
@given(test_sessions, st.integers(0, 1000))
def test_figures_of_all_lists(drawn, seed):
    found = lists_of(drawn, seed)
    if found is None:
        return
    ours = measures.of_all(found, (3,))
    lists = [set(row[:3].tolist()) for row in found.items]
    counts = np.array([sum(item in row for row in lists) for item in range(ITEMS)])
    assert ours["coverage@3"] == pytest.approx((counts > 0).mean())
    gini = np.abs(counts[:, None] - counts[None]).sum() / (2 * ITEMS * counts.sum())
    assert ours["gini@3"] == pytest.approx(gini)
    differ = [1 - len(one & other) / 3 for one, other in combinations(lists, 2)]
    if differ:
        assert ours["diversity@3"] == pytest.approx(np.mean(differ))


def test_parts_of_the_predictions_are_all_of_them():
    found = lists_of([[1, 2, 1, 3, 3, 4, 5, 6, 7, 1, 2, 3], [5, 5]], 0)
    parts = measures.groups(found)
    assert {name: int(mask.sum()) for name, mask in parts.items()} == {
        "length 1": 2, "length 2": 1, "length 3": 1, "length 4": 1, "length 5-9": 5, "length 10+": 2,
        "repeat": 6, "new": 6,
    }  # fmt: skip
    assert (sum(mask.astype(int) for name, mask in parts.items() if name.startswith("length")) == 1).all()


def test_lists_too_short_for_a_cut_off_have_no_figures_of_whole_lists():
    found = lists_of([[1, 2, 3]], 0, length=3)
    names = measures.per_prediction(found, (3, 5), None)
    assert "recall@5" in names and "recall_rest@5" not in names and "recall_rest@3" in names
    assert "popularity@3" not in names  # no support
    assert set(measures.of_all(found, (3, 5))) == {"coverage@3", "gini@3", "diversity@3"}


# what ranx 0.3.21 gives for the lists below (evaluate of Qrels and Run): it is not needed to run the tests, since numba
# compiles its metrics for minutes
RANX = {
    "recall@1": 0.10232558139534884, "recall@3": 0.386046511627907, "recall@5": 0.6744186046511628,
    "mrr@1": 0.10232558139534884, "mrr@3": 0.22248062015503875, "mrr@5": 0.2873643410852713,
    "ndcg@1": 0.10232558139534884, "ndcg@3": 0.26428224124585165, "ndcg@5": 0.3821585683367632,
}  # fmt: skip
RANX_OF_REST = {
    "precision@1": 0.24186046511627907, "precision@3": 0.27286821705426356, "precision@5": 0.29395348837209306,
    "recall@1": 0.10255813953488371, "recall@3": 0.34976744186046504, "recall@5": 0.6309302325581395,
    "map@1": 0.10255813953488371, "map@3": 0.2292635658914729, "map@5": 0.33052713178294574,
    "ndcg@1": 0.24186046511627907, "ndcg@3": 0.33002646529171703, "ndcg@5": 0.4535170121459936,
}  # fmt: skip


def test_figures_are_those_of_ranx():
    random = np.random.RandomState(1)
    drawn = [random.randint(ITEMS, size=random.randint(2, 9)).tolist() for _ in range(60)]
    ours = measures.per_prediction(lists_of(drawn, 5), CUT_OFFS, None)
    assert {name: ours[name].mean() for name in RANX} == pytest.approx(RANX)
    of_rest = {name: ours[name.replace("@", "_rest@")].mean() for name in RANX_OF_REST}
    assert of_rest == pytest.approx(RANX_OF_REST)
