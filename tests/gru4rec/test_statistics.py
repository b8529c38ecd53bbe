"""Intervals, tests and corrections against SciPy, and against what is known."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from gru4rec import statistics
from gru4rec.statistics import Sums


def drawn(S=80, seed=0, shift=0.0):
    """(values (P,), session (P,)) of sessions of 1 to 6 predictions that hang together."""
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 7, size=S)
    session = np.repeat(np.arange(S), sizes)
    return (random.rand(len(session)) < np.repeat(random.rand(S), sizes) + shift).astype(float), session


def sums(*figures, S=80):
    pairs = [statistics.per_session(values, session, S) for values, session in figures]
    return Sums(*(np.array(each) for each in zip(*pairs)))


def test_intervals_are_those_of_scipy():
    values, session = drawn()
    (found,) = statistics.intervals(sums((values, session)), resamples=20_000)
    theirs = stats.bootstrap(
        statistics.per_session(values, session, 80), lambda x, c, axis: x.sum(axis=axis) / c.sum(axis=axis),
        paired=True, n_resamples=20_000, method="percentile", vectorized=True, batch=1000, random_state=1,
    ).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(values.mean())
    # the noise of two draws of 20,000 is about a hundredth of the width
    width = theirs.high - theirs.low
    assert abs(found.low - theirs.low) < 0.04 * width and abs(found.high - theirs.high) < 0.04 * width
    assert found.low < found.value < found.high


def test_whole_sessions_are_drawn():
    """Predictions that are all alike within a session say no more than one of them."""
    random = np.random.RandomState(0)
    one = (random.rand(400) < 0.5).astype(float)
    single, tenfold = np.arange(400), np.repeat(np.arange(400), 10)
    found, repeated = statistics.intervals(sums((one, single), (np.repeat(one, 10), tenfold), S=400))
    assert repeated == pytest.approx(found)


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.RandomState(3)
    inside = 0
    for trial in range(200):
        sizes = random.randint(1, 6, size=100)
        values = (random.rand(sizes.sum()) < 0.3).astype(float)
        session = np.repeat(np.arange(100), sizes)
        (found,) = statistics.intervals(sums((values, session), S=100), resamples=400, seed=trial)
        inside += found.low <= 0.3 <= found.high
    assert 176 <= inside <= 199  # 95 % of 200, four standard deviations


def test_many_figures_at_once_and_in_blocks_are_those_of_one(monkeypatch):
    figures = [drawn(seed=seed) for seed in range(3)]
    together = statistics.intervals(sums(*figures), resamples=300, seed=5)
    for figure, each in zip(figures, together):
        assert statistics.intervals(sums(figure), resamples=300, seed=5)[0] == pytest.approx(each)
    monkeypatch.setattr(statistics, "_CELLS", 80 * 70)
    assert np.array(statistics.intervals(sums(*figures), resamples=300, seed=5)) == pytest.approx(np.array(together))


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_p_values_are_those_of_scipy(shift):
    (one, session), (other, _) = drawn(seed=1), drawn(seed=1, shift=shift)
    rng = np.random.RandomState(0)
    other = np.where(rng.rand(len(other)) < 0.15, 1 - other, other)
    (found,) = statistics.differences(sums((one, session)), sums((other, session)), resamples=20_000)
    per_session = statistics.per_session(other - one, session, 80)[0]
    theirs = stats.permutation_test(
        (per_session, np.zeros(80)), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples",
        n_resamples=20_000, vectorized=True, batch=1000, random_state=1,
    )  # fmt: skip
    assert found.value == pytest.approx((other - one).mean())
    assert abs(found.p - theirs.pvalue) < 0.02


def test_equal_models_differ_in_nothing():
    figure = drawn()
    (found,) = statistics.differences(sums(figure), sums(figure))
    assert found == (0, 0, 0, 1)


def test_without_resamples_there_is_the_value_alone():
    figure = drawn()
    ((value, low, high),) = statistics.intervals(sums(figure), resamples=0)
    assert value == pytest.approx(figure[0].mean()) and np.isnan([low, high]).all()
    assert np.isnan(statistics.differences(sums(figure), sums(drawn(shift=0.1)), resamples=0)[0].p)


def test_one_session_has_no_interval():
    ((value, low, high),) = statistics.intervals(Sums(np.array([[2.0]]), np.array([[4.0]])))
    assert value == 0.5 and np.isnan([low, high]).all()


def test_holm_is_the_closed_test_of_bonferroni():
    """Holm's value of a test is the largest Bonferroni value over all sets of tests that it is in (closed testing)."""
    random = np.random.RandomState(0)
    for K in (1, 2, 5):
        p = random.rand(K) ** 3
        sets = [np.array(chosen) for size in range(1, K + 1) for chosen in combinations(range(K), size)]
        closed = [max(min(1, len(chosen) * p[chosen].min()) for chosen in sets if k in chosen) for k in range(K)]
        assert statistics.holm(p) == pytest.approx(closed)
    assert statistics.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert len(statistics.holm(np.zeros(0))) == 0
