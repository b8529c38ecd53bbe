"""Ranks and metrics against a plain loop, by a model whose scores are few and so often tied."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remembering import N_ITEMS, TABLE, Remembering, next_state
from toys import KEYS, frame_of

from original import evaluation

MODES = ["standard", "conservative", "median"]


def plain_ranks(events, mode, listed=None):
    """[(session, item, rank), ...], one event at a time, of events (session, item, time) of items 10 to 16."""
    known = sorted((e for e in events if 10 <= e[1] < 10 + N_ITEMS), key=lambda e: (e[0], e[2], e[1]))
    ranks, previous, state = [], None, 0
    for session, item, _ in known:
        if session == previous:
            scores = TABLE[state]
            target = scores[item - 10]
            among = [scores[i - 10] for i in (listed or range(10, 10 + N_ITEMS))]
            above, tied = sum(s > target for s in among), sum(s == target for s in among)
            rank = {"standard": above + 1, "conservative": above + tied, "median": above + 0.5 * (tied - 1) + 1}[mode]
            ranks.append((session, item, max(rank, 1)))
        else:
            state = 0
        state, previous = next_state(state, item - 10), session
    return ranks


def plain_metrics(ranks, N):
    return sum(r <= N for *_, r in ranks) / len(ranks), sum(1 / r for *_, r in ranks if r <= N) / len(ranks)


# Few sessions, so that most have several events; items 9 and 17 are unknown.
event_lists = st.lists(st.tuples(st.integers(0, 5), st.integers(9, 17), st.integers(0, 4)), min_size=1, max_size=40)
many_events = st.lists(st.tuples(st.integers(0, 5), st.integers(9, 17), st.integers(0, 4)), min_size=25, max_size=40)


@settings(max_examples=60)
@given(event_lists | many_events, st.integers(1, 8), st.sampled_from([None, [10], [12, 16, 11], [*range(16, 9, -1)]]))
def test_ranks_and_metrics_follow_the_definition(events, batch_size, items):
    test = frame_of(events)
    for mode in MODES:
        expected = plain_ranks(events, mode, items)
        if not expected:
            with pytest.raises(ValueError, match="test_data: a session with two events of items that the model knows"):
                evaluation.ranks(Remembering(), test, items, batch_size=batch_size, mode=mode)
            continue
        found = evaluation.ranks(Remembering(), test, items, batch_size=batch_size, mode=mode)
        assert list(found[["session", "item", "rank"]].itertuples(index=False, name=None)) == expected
        for evaluate in (evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch):
            by_N = evaluate(Remembering(), test, items, cut_off=[1, 2, 5], batch_size=batch_size, mode=mode)
            assert list(by_N) == [1, 2, 5]
            for N, metrics in by_N.items():
                assert metrics == pytest.approx(plain_metrics(expected, N), abs=1e-14), (evaluate.__name__, mode, N)


EVENTS = [(s, 10 + (s * 5 + t * t) % N_ITEMS, t) for s in range(12) for t in range(2 + s % 4)]


@pytest.mark.parametrize("evaluate", [evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch])
@pytest.mark.parametrize("mode", [*MODES, "tiebreaking"])
def test_a_list_of_cut_offs_is_one_result_each(evaluate, mode):
    model, test = Remembering(), frame_of(EVENTS)
    by_N = evaluate(model, test, cut_off=[1, 3, 20], mode=mode)
    assert by_N == {N: evaluate(model, test, cut_off=N, mode=mode) for N in (1, 3, 20)}
    assert by_N[1][0] < by_N[3][0] < by_N[20][0] == 1


@pytest.mark.parametrize("evaluate", [evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch])
def test_every_evaluation_starts_from_zeros(evaluate):
    """Neither an earlier evaluation nor a prediction for the very sessions that come first is carried over."""
    model, test = Remembering(), frame_of(EVENTS)
    first = evaluate(model, test, cut_off=2, batch_size=5)
    assert evaluate(model, test, cut_off=2, batch_size=5) == first
    model.predict_next_batch(np.arange(5), np.full(5, 12), batch=5)
    assert evaluate(model, test, cut_off=2, batch_size=5) == first
    assert evaluate(Remembering(), test, cut_off=2, batch_size=5) == first


@pytest.mark.parametrize("evaluate", [evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch])
def test_any_batch_size_gives_the_same(evaluate):
    """One lane, more lanes than sessions, and what lies between."""
    results = [evaluate(Remembering(), frame_of(EVENTS), cut_off=2, batch_size=b) for b in (1, 3, 12, 13, 1000)]
    assert results == [results[0]] * 5


def test_noise_breaks_ties_and_nothing_else():
    test = frame_of(EVENTS)

    def ranks(mode, **options):
        return evaluation.ranks(Remembering(), test, mode=mode, **options)["rank"].to_numpy()

    broken, others = ranks("tiebreaking"), [ranks("tiebreaking", noise_seed=seed) for seed in range(200)]
    assert (ranks("tiebreaking") == broken).all()
    assert any((other != broken).any() for other in others)
    assert (np.min(others, axis=0) == ranks("standard")).all()
    assert (np.max(others, axis=0) == ranks("conservative")).all()
    np.testing.assert_allclose(np.mean(others, axis=0), ranks("median"), atol=0.35)


def test_renamed_columns():
    renamed = frame_of(EVENTS).rename(columns=dict(zip(KEYS, "sit")))
    names = dict(session_key="s", item_key="i", time_key="t")
    for evaluate in (evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch):
        assert evaluate(Remembering(), renamed, **names) == evaluate(Remembering(), frame_of(EVENTS))


def test_a_model_whose_training_diverged_is_not_evaluated():
    model = Remembering()
    model.error_during_train = True
    with pytest.raises(RuntimeError, match="the model's training diverged: it cannot be evaluated"):
        evaluation.evaluate_gpu(model, frame_of(EVENTS))


@pytest.mark.parametrize("evaluate", [evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch])
def test_a_score_that_is_no_number_is_not_ranked(evaluate, monkeypatch):
    """Comparisons with NaN are all false: it would stand in front of every other score."""
    broken = TABLE.copy()
    broken[:, 3] = np.nan
    monkeypatch.setattr("remembering.TABLE", broken)
    with pytest.raises(RuntimeError, match="scores are (NaN|not finite)"):
        evaluate(Remembering(), frame_of(EVENTS))


# Baselines, one event at a time.


class Fixed:
    """The same score of an item whatever came before; remembers what it was asked."""

    def __init__(self, scores):
        self.scores, self.asked = scores, []

    def predict_next(self, session_id, input_item_id, predict_for_item_ids):
        self.asked.append((session_id, input_item_id))
        return pd.Series([self.scores.get(item, 0.0) for item in predict_for_item_ids], index=predict_for_item_ids)


TRAIN = frame_of([(0, item, item) for item in (10, 11, 12, 13)])


def test_evaluate_sessions_ranks_each_event_after_the_first():
    baseline = Fixed({10: 4.0, 11: 3.0, 12: 2.0, 13: 1.0})
    # 99 is not in the training data, session 2 is left with one event; session 3's times are equal, its items decide.
    test = frame_of([(1, 10, 2), (1, 13, 1), (1, 99, 3), (1, 11, 4), (2, 99, 1), (2, 10, 2), (3, 12, 5), (3, 11, 5)])
    results = evaluation.evaluate_sessions(baseline, test, TRAIN, cut_off=[1, 2, 3])
    assert baseline.asked == [(1, 13), (1, 10), (3, 11)]
    ranks = [1, 2, 3]
    for N, (recall, mrr) in results.items():
        assert recall == pytest.approx(N / 3)
        assert mrr == pytest.approx(sum(1 / r for r in ranks if r <= N) / 3)
    assert evaluation.evaluate_sessions(Fixed(baseline.scores), test, TRAIN, cut_off=2) == results[2]


def test_evaluate_sessions_takes_nan_for_zero_and_breaks_ties_by_little_noise():
    test = frame_of([(s, item, t) for s in range(300) for t, item in enumerate((10, 11))])
    recall, _ = evaluation.evaluate_sessions(Fixed({10: np.nan, 11: 0.0, 12: -1.0, 13: -1e-6}), test, TRAIN, cut_off=1)
    assert 0.4 < recall < 0.6  # tied with item 10, ahead of the rest
    recall, _ = evaluation.evaluate_sessions(Fixed({11: np.nan, 10: -1, 12: -1e-6, 13: -2}), test, TRAIN, cut_off=1)
    assert recall == 1


def test_evaluate_sessions_among_listed_items():
    baseline = Fixed({10: 4.0, 11: 3.0, 12: 2.0, 13: 1.0})
    test = frame_of([(1, 10, 1), (1, 11, 2), (1, 13, 3)])
    # 11 is not in the list: one listed item is above it, two are above 13.
    assert evaluation.evaluate_sessions(baseline, test, TRAIN, [10, 12, 13], cut_off=[1, 2, 3]) == {
        1: (0, 0),
        2: (0.5, 0.25),
        3: (1, pytest.approx((1 / 2 + 1 / 3) / 2)),
    }
