"""Expected ranks against a plain Python loop over one event at a time."""

import numpy as np
import pytest
import spoilt
from numpy_gru4rec import GRU4Rec

from parity import data
from parity.checks.ranking import MODES, check_ranking, expected_ranking, level_items
from parity.measure import Checks

PARAMS = dict(layers=[5], batch_size=6, n_sample=4)


@pytest.fixture(scope="module")
def dataset():
    return data.embedded(sessions=40, items=25, test_sessions=25, seed=2)


@pytest.fixture(scope="module", params=["linear", "softmax"])
def engine(request, dataset):
    final = dict(loss="cross-entropy", final_act="softmax") if request.param == "softmax" else {}
    made = GRU4Rec(**PARAMS, **final)
    made.prepare(dataset.train, 40)
    made.set_weights(level_items(made.get_weights()))
    made.params = PARAMS | final
    return made


def ranking_of(engine, dataset, dtype="float64"):
    return expected_ranking(engine.get_weights(), engine.itemidmap.index, engine.params, dataset.test, dtype)


@pytest.mark.parametrize("which", ["all", "some"])
@pytest.mark.parametrize("mode", MODES)
def test_expected_ranks_are_those_of_a_plain_loop(engine, dataset, which, mode):
    ranking = ranking_of(engine, dataset)
    low, high = ranking.ranks[which, mode]
    listed = None if which == "all" else ranking.items
    wanted = spoilt.ranks_of(engine, dataset.test, listed, mode)
    if mode == "tiebreaking":
        assert (high > low).any()
        assert (low <= wanted).all() and (wanted <= high).all()
    else:
        np.testing.assert_array_equal(low, high)
        np.testing.assert_array_equal(low, wanted)


@pytest.mark.parametrize("act", ["relu", "elu-0.5", "leaky-0.1", "tanh", "selu-1.05-1.6"])
def test_items_that_an_activation_makes_level_have_one_right_rank_in_every_mode(dataset, act):
    from parity.plain import Plain

    engine = Plain(dtype="float64", final_act=act, **PARAMS)
    engine.L = 5
    engine.prepare(dataset.train, 40)
    weights = engine.get_weights()
    ranking = expected_ranking(weights, engine.itemidmap.index, engine.params, dataset.test, "float64")
    for mode in MODES[:3]:
        wanted = spoilt.ranks_of(engine, dataset.test, None, mode)
        low, high = ranking.ranks["all", mode]
        assert (low <= wanted).all() and (wanted <= high).all()
        assert ranking.ranks["all", mode].ambiguous == 0
    if act == "relu":
        assert (ranking.ranks["all", "standard"].low != ranking.ranks["all", "conservative"].low).any()


def test_in_float32_the_intervals_are_wider_and_hold_the_float64_rank(engine, dataset):
    wide, exact = ranking_of(engine, dataset, "float32"), ranking_of(engine, dataset)
    for key, (low, high) in exact.ranks.items():
        assert (wide.ranks[key].low <= low).all() and (high <= wide.ranks[key].high).all()


def test_an_evaluation_by_the_definitions_holds(engine, dataset):
    checks = Checks()
    check_ranking(checks, ranking_of(engine, dataset), engine, spoilt.Evaluation(), dataset.test)
    assert checks["ranks"].verdict == checks["metrics"].verdict == "held"


def test_hidden_ties_fail(engine, dataset):
    checks = Checks()
    evaluation = spoilt.Evaluation(hides_ties=True)
    check_ranking(checks, ranking_of(engine, dataset), engine, evaluation, dataset.test)
    assert checks["ranks"].verdict == "failed"
    assert {"conservative, all items", "median, all items"} <= {
        name for name, worst in checks["ranks"].by_tensor.items() if not worst.held
    }


def test_scores_that_say_nothing_are_not_covered_and_never_held(engine, dataset):
    """Saturated: every score is within rounding of every other, so that any rank would pass."""
    weights = {name: np.array(w) for name, w in engine.get_weights().items()}
    weights["By"][:] = 30.0 + 1e-14 * np.arange(len(weights["By"]))[:, None]
    params = engine.params | dict(final_act="tanh", loss="bpr-max")
    checks = Checks()
    wanted = expected_ranking(weights, engine.itemidmap.index, params, dataset.test, "float32")
    check_ranking(checks, wanted, engine, spoilt.Evaluation(), dataset.test)
    assert checks["ranks"].verdict in ("not covered", "failed")
    assert any("within rounding" in reason for reason in checks["ranks"].reasons)


def test_an_engine_without_evaluation_is_not_covered(engine, dataset):
    checks = Checks()
    check_ranking(checks, ranking_of(engine, dataset), engine, None, dataset.test)
    assert checks["ranks"].verdict == checks["metrics"].verdict == "not covered"
