"""Expected ranks against a plain Python loop over one event at a time."""

import numpy as np
import pytest
from numpy_gru4rec import GRU4Rec

from parity import data
from parity.checks.ranking import MODES, check_ranking, expected_ranking, level_items
from parity.measure import Checks

PARAMS = dict(layers=[5], batch_size=6, n_sample=4)


@pytest.fixture(scope="module")
def dataset():
    return data.embedded(sessions=40, items=25, test_sessions=25, seed=2)


@pytest.fixture(scope="module")
def engine(dataset):
    made = GRU4Rec(**PARAMS)
    made.prepare(dataset.train, 40)
    made.set_weights(level_items(made.get_weights()))
    return made


def ranks_of(engine, test, items, mode):
    """One event at a time; the tie-breaking mode without its noise, which leaves the highest of the level places."""
    known = test[test["ItemId"].isin(engine.itemidmap.index)].sort_values(["SessionId", "Time", "ItemId"])
    listed = range(engine.n_items) if items is None else engine.itemidmap[items]
    found = []
    for _, session in known.groupby("SessionId"):
        indices, hidden = engine.itemidmap[session["ItemId"]].tolist(), [np.zeros((1, 5))]
        for at, target in zip(indices, indices[1:]):
            scores, hidden = engine.scores(np.array([at]), hidden)
            own, others = scores[0, target], [scores[0, i] for i in listed]
            above, level = sum(o > own for o in others), sum(o == own for o in others)
            rank = {"conservative": above + level, "median": above + 0.5 * (level - 1) + 1}.get(mode, above + 1)
            found.append(max(rank, 1))
    return np.array(found, float)


@pytest.mark.parametrize("which", ["all", "some"])
@pytest.mark.parametrize("mode", MODES)
def test_expected_ranks_are_those_of_a_plain_loop(engine, dataset, which, mode):
    ranking = expected_ranking(engine, PARAMS, dataset.test, "float64")
    low, high = ranking.bounds[which, mode]
    wanted = ranks_of(engine, dataset.test, None if which == "all" else ranking.items, mode)
    if mode == "tiebreaking":
        assert (high > low).any()
        np.testing.assert_array_equal(low, wanted)
    else:
        np.testing.assert_array_equal(low, high)
        np.testing.assert_array_equal(low, wanted)


class PlainEvaluation:
    """An evaluation of its own for the NumPy engine; ``hides_ties`` ranks as a sort would."""

    def __init__(self, hides_ties=False):
        self.hides_ties = hides_ties

    def ranks(self, engine, test, items=None, mode="conservative", batch_size=100):
        return {"rank": _Column(ranks_of(engine, test, items, "standard" if self.hides_ties else mode))}

    def evaluate_gpu(self, engine, test, items=None, cut_off=(20,), mode="conservative", batch_size=100):
        rank = self.ranks(engine, test, items, mode)["rank"].to_numpy()
        return {N: (np.mean(rank <= N), np.mean((rank <= N) / rank)) for N in cut_off}


class _Column(np.ndarray):
    def __new__(cls, values):
        return values.view(cls)

    def to_numpy(self):
        return np.asarray(self)


def test_an_evaluation_by_the_definitions_holds(engine, dataset):
    checks = Checks()
    ranking = expected_ranking(engine, PARAMS, dataset.test, "float64")
    check_ranking(checks, ranking, engine, PlainEvaluation(), dataset.test)
    assert checks["ranks"].status == checks["metrics"].status == "held"


def test_hidden_ties_fail(engine, dataset):
    checks = Checks()
    ranking = expected_ranking(engine, PARAMS, dataset.test, "float64")
    check_ranking(checks, ranking, engine, PlainEvaluation(hides_ties=True), dataset.test)
    assert checks["ranks"].status == "failed"
    assert {"conservative, all items", "median, all items"} <= {
        name for name, worst in checks["ranks"].by_tensor.items() if not worst.held
    }


def test_an_engine_without_evaluation_is_not_covered(engine, dataset):
    checks = Checks()
    check_ranking(checks, None, engine, None, dataset.test)
    assert checks["ranks"].status == checks["metrics"].status == "not covered"
