"""The harness's evaluation against a plain Python loop over one event at a time."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity import evaluator

LEVELS = st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0])  # few values, so that there are ties


class TableEngine:
    """Its scores depend on all items since the session's start: the hidden state adds up the rows of a table."""

    def __init__(self, table):
        self.table, self.n_items = table, len(table)

    def get_hidden(self):
        return [np.zeros((1, self.n_items))]

    def scores(self, X, hidden, items=None):
        H = 0.5 * hidden[0] + self.table[X]
        return H.astype(np.float32), [H]


@st.composite
def cases(draw):
    n = draw(st.integers(2, 6))
    table = np.array(draw(st.lists(st.lists(LEVELS, min_size=n, max_size=n), min_size=n, max_size=n)))
    row = st.tuples(st.integers(0, 4), st.integers(0, n), st.integers(0, 3))  # item n is unknown
    frame = pd.DataFrame(draw(st.lists(row, min_size=1, max_size=25)), columns=["SessionId", "ItemId", "Time"])
    frame["ItemId"] = 100 - 7 * frame["ItemId"]  # an order of ids that is not that of the indices
    listed = draw(st.none() | st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    return TableEngine(table), frame, 100 - 7 * np.arange(n), listed


def plain_loop(engine, frame, ids, listed, mode):
    """(rank, best items, hidden-state-carrying scores) of each event, one at a time."""
    found = []
    index = {identity: i for i, identity in enumerate(ids.tolist())}
    rows = sorted((s, t, i) for s, i, t in frame.itertuples(index=False) if i in index)
    for session in sorted({s for s, _, _ in rows}):
        items = [index[i] for s, _, i in rows if s == session]
        hidden = [np.zeros((1, engine.n_items))]
        for before, target in zip(items, items[1:]):
            scores, hidden = engine.scores(np.array([before]), hidden)
            scores = scores[0].tolist()
            ranked = range(len(scores)) if listed is None else listed
            above = sum(scores[i] > scores[target] for i in ranked)
            same = sum(scores[i] == scores[target] for i in ranked)
            place = {"standard": above + 1, "conservative": above + same, "median": above + 0.5 * (same - 1) + 1}[mode]
            found.append((max(place, 1), sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:3]))
    return found


@settings(deadline=None, max_examples=150)
@given(cases(), st.sampled_from(evaluator.MODES), st.integers(1, 3))
def test_ranks_metrics_and_lists_are_those_of_a_plain_loop(case, mode, lanes):
    engine, frame, ids, listed = case
    before = frame.copy(deep=True)
    wanted = plain_loop(engine, frame, ids, listed, mode)
    events = evaluator.read_events(frame, ids)
    every = np.arange(len(wanted))
    found = evaluator.evaluate(engine, events, mode, listed, (1, 2), lists_of=every, length=3, lanes=lanes)
    assert found.ranks.tolist() == [place for place, _ in wanted]
    assert list(found.lists.items.tolist()) == [best for _, best in wanted]
    pd.testing.assert_frame_equal(frame, before)
    for N, (recall, mrr) in found.metrics.items():
        if not wanted:
            assert math.isnan(recall) and math.isnan(mrr)
            continue
        assert recall == pytest.approx(sum(place <= N for place, _ in wanted) / len(wanted))
        assert mrr == pytest.approx(sum(1 / place for place, _ in wanted if place <= N) / len(wanted))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 2])  # the target itself, another item
@pytest.mark.parametrize("mode", evaluator.MODES)
def test_a_score_that_is_not_finite_ranks_nothing(value, where, mode):
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    scores[0, where] = value
    ranks = evaluator.rank(evaluator.count(scores, [0, 0]), mode)
    assert np.isnan(ranks[0]) and ranks[1] == 1
    assert all(math.isnan(value) for pair in evaluator.metrics(ranks).values() for value in pair)


def test_a_score_that_is_not_ranked_harms_nothing():
    scores = np.array([[3.0, np.nan, 1.0]])
    assert evaluator.rank(evaluator.count(scores, [0], np.array([0, 2]))) == [1]


def test_a_target_that_is_not_listed_has_at_least_rank_one():
    counts = evaluator.count(np.array([[3.0, 2.0, 1.0]]), [0], np.array([1, 2]))
    assert [evaluator.rank(counts, mode).item() for mode in evaluator.MODES] == [1, 1, 1]


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="mode='best': standard, conservative, median are accepted"):
        evaluator.rank(evaluator.count(np.zeros((1, 2)), [0]), "best")


@given(st.integers(0, 500), st.integers(1, 120))
def test_prefixes_are_spread_over_all_predictions(predictions, wanted):
    chosen = evaluator.spread_over(predictions, wanted)
    assert len(chosen) == len(set(chosen.tolist())) == min(predictions, wanted)
    assert all(0 <= at < predictions for at in chosen) and (np.diff(chosen) > 0).all()


def test_lists_have_ties_by_index_and_nan_last():
    found = evaluator.top(np.array([[1.0, np.nan, 2.0, 1.0]]), 4)
    assert found.items.tolist() == [[2, 0, 3, 1]]
