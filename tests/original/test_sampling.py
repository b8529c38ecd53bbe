"""Negative samples and their store against plain loops."""

from bisect import bisect_left
from itertools import accumulate

import numpy as np
import pytest

from original.sampling import NegativeSampler


def plain_cumulated(support, alpha):
    powers = list(accumulate(float(count) ** alpha for count in support))
    return [power / powers[-1] for power in powers[:-1]] + [1.0]


def plain_samples(support, alpha, n_sample, sample_store, seed):
    """One row a step, for ever."""
    stream = np.random.RandomState(seed)
    rows = max(sample_store // n_sample, 1)
    while True:
        if alpha == 0:
            drawn = stream.choice(len(support), size=n_sample * rows).tolist()
        else:
            cdf = plain_cumulated(support, alpha)
            drawn = [bisect_left(cdf, stream.rand()) for _ in range(n_sample * rows)]
        for row in range(rows):
            yield drawn[row * n_sample : (row + 1) * n_sample]


@pytest.mark.parametrize("alpha", [0, 0.5, 1.0, -0.5])
@pytest.mark.parametrize("sample_store", [0, 3, 7, 8, 20, 23])
def test_samples_and_refills_of_the_store(alpha, sample_store):
    support = np.array([3, 1, 7, 2, 2, 9])
    sampler = NegativeSampler(support, alpha, 4, sample_store, np.random.RandomState(7))
    expected = plain_samples(support, alpha, 4, sample_store, 7)
    for step in range(17):
        assert sampler().tolist() == next(expected), step


def test_a_used_up_store_is_refilled_by_the_step_that_needs_it():
    stream = np.random.RandomState(0)
    sampler = NegativeSampler(np.ones(5), 0.5, 2, 6, stream)
    full = stream.get_state()[2]
    for _ in range(3):
        sampler()
    assert stream.get_state()[2] == full
    sampler()
    assert stream.get_state()[2] != full


def test_without_a_store_every_step_draws_its_own():
    stream = np.random.RandomState(0)
    sampler = NegativeSampler(np.ones(5), 0.5, 2, 0, stream)
    assert stream.get_state()[2] == np.random.RandomState(0).get_state()[2]
    positions = [stream.get_state()[2] for _ in range(3) if sampler() is not None]
    assert len(set(positions)) == 3


def test_popular_items_are_drawn_by_their_support():
    support = np.array([1, 10, 100])
    draws = NegativeSampler(support, 1.0, 10_000, 0, np.random.RandomState(0))()
    np.testing.assert_allclose(np.bincount(draws) / 10_000, support / 111, atol=0.01)


@pytest.mark.parametrize("sample_store", [0, 8, 20])
def test_a_sampler_goes_on_where_another_stands(sample_store):
    """Also where the store was drawn before the stream moved on for something else."""
    support, stream = np.array([3, 1, 7, 2]), np.random.RandomState(3)
    first = NegativeSampler(support, 0.5, 4, sample_store, stream)
    for _ in range(3):
        first()
    stream.permutation(9)
    other = np.random.RandomState()
    other.set_state(stream.get_state())
    second = NegativeSampler(support, 0.5, 4, sample_store, other, first.position)
    for _ in range(9):
        assert first().tolist() == second().tolist()


@pytest.mark.parametrize("alpha", [1000, -2000])
def test_powers_that_leave_no_probabilities(alpha):
    with pytest.raises(ValueError, match=f"sample_alpha={alpha}: a number with a finite sum"):
        NegativeSampler(np.array([50, 7, 3]), alpha, 4, 0, np.random.RandomState(0))
