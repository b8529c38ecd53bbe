"""Negative samples against their probabilities, and the store that they are drawn into."""

import numpy as np
import pytest

from keras_port.sampling import NegativeSampler


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_samples_follow_support_to_the_power_alpha(alpha):
    support = np.array([1, 10, 100, 1000])
    sampler = NegativeSampler(support, 4000, alpha, 40000, np.random.RandomState(0))
    counts = np.bincount(np.concatenate([sampler.row() for _ in range(25)]), minlength=4)
    share = support**alpha / np.sum(support**alpha)
    assert np.abs(counts / 100_000 - share).max() < 4 * np.sqrt(0.25 / 100_000)


def test_a_store_is_drawn_when_a_row_is_needed_and_not_before():
    rng = np.random.RandomState(3)
    sampler = NegativeSampler(np.ones(9, int), 4, 0.0, 11, rng)  # two rows
    after_first = rng.get_state()[2]
    sampler.row(), sampler.row()
    assert rng.get_state()[2] == after_first
    sampler.row()
    assert rng.get_state()[2] != after_first


def test_a_sampler_goes_on_from_a_saved_state():
    rng = np.random.RandomState(3)
    sampler = NegativeSampler(np.ones(9, int), 4, 0.5, 20, rng)
    for _ in range(7):
        sampler.row()
    other = np.random.RandomState(0)
    other.set_state(rng.get_state())
    copy = NegativeSampler(np.ones(9, int), 4, 0.5, 20, other, sampler.get_state())
    for _ in range(8):
        np.testing.assert_array_equal(sampler.row(), copy.row())
