"""How sure a figure is: intervals by bootstrap over sessions, paired tests between models, many of them corrected.

Predictions of one session hang together, so whole sessions are drawn. A figure is a mean over predictions: with the
sums x_s and the counts c_s of sessions, sum x_s / sum c_s, and both are drawn together. The same draws serve all
figures at once, as one matrix product: a hundred figures take hardly longer than one, where ``scipy.stats.bootstrap``
and ``scipy.stats.permutation_test``, which the tests compare this with, draw anew for each.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
_CELLS = 8_000_000  # numbers of a matrix that is held at once


class Interval(NamedTuple):
    """A mean over predictions, and the interval of :data:`LEVEL`, NaN where there is none."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Of the means of two models: second - first.

    Attributes:
        value, low, high: and its interval.
        p: of no difference, two-sided, by drawn signs of the sessions' differences.
    """

    value: float
    low: float
    high: float
    p: float


class Sums(NamedTuple):
    """Figures of predictions, added up by session: both are (K, S), K figures of S sessions."""

    values: np.ndarray
    counts: np.ndarray


def per_session(values: np.ndarray, session: np.ndarray, n_sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """(sums, counts), (S,) each, of figures (P,) of predictions in ``session`` (P,), numbers below ``n_sessions``."""
    return np.bincount(session, values, n_sessions), np.bincount(session, minlength=n_sessions).astype(float)


def intervals(sums: Sums, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """The mean of each figure, and its percentile interval by bootstrap over sessions.

    Args:
        sums: of K figures.
        resamples: 0 for no interval.
        seed: of the draws.
    """
    means = sums.values.sum(axis=1) / sums.counts.sum(axis=1)
    S = sums.values.shape[1]
    if S < 2 or not resamples:
        return [Interval(mean, np.nan, np.nan) for mean in means.tolist()]
    drawn = np.full((resamples, len(means)), np.nan)
    for rows, random, size in _blocks(S, resamples, seed):
        offsets = S * np.arange(size)[:, None]
        times = np.bincount((random.integers(S, size=(size, S)) + offsets).ravel(), minlength=size * S)
        weights = times.reshape(size, S).astype(float)
        counts = weights @ sums.counts.T
        np.divide(weights @ sums.values.T, counts, out=drawn[rows], where=counts > 0)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(*each) for each in zip(means.tolist(), low.tolist(), high.tolist())]


def differences(first: Sums, second: Sums, resamples: int = RESAMPLES, seed: int = 0) -> list[Difference]:
    """Of K figures of two models on the same predictions, second - first.

    The test draws a sign for each session's difference (a paired randomisation test; Smucker, Allan, Carterette, CIKM
    2007), so that nothing is supposed of their distribution. p is (1 + hits) / (1 + resamples), NaN without resamples.
    """
    changed = Sums(second.values - first.values, first.counts)
    found = intervals(changed, resamples, seed)
    total = np.abs(changed.values.sum(axis=1))
    if not resamples:
        return [Difference(*each, np.nan) for each in found]
    K, S = changed.values.shape
    hits = np.zeros(K)
    for _, random, size in _blocks(S, resamples, seed + 1):
        signs = random.integers(2, size=(size, S)) * 2.0 - 1
        hits += (np.abs(signs @ changed.values.T) >= total * (1 - 1e-12)).sum(axis=0)
    p = (1 + hits) / (1 + resamples)
    return [Difference(*each, value) for each, value in zip(found, p.tolist())]


def _blocks(S: int, resamples: int, seed: int) -> Iterator[tuple[slice, np.random.Generator, int]]:
    """(resamples of a block, the stream to draw from, how many)."""
    random, size = np.random.default_rng(seed), int(np.clip(_CELLS // S, 1, resamples))
    for start in range(0, resamples, size):
        stop = min(start + size, resamples)
        yield slice(start, stop), random, stop - start


def holm(p: np.ndarray) -> np.ndarray:
    """p values (K,) of K tests, corrected so that the chance of any false one stays as given (Holm 1979).

    In ascending order the k-th becomes max over j <= k of min(1, (K - j + 1) * p_j). NaN values are no tests.
    """
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: int(np.sum(~np.isnan(p)))]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.maximum.accumulate(np.minimum(1, factors * p[order]))
    return corrected
