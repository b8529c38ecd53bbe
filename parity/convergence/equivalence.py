"""Are a candidate's runs equivalent to the stored ones? Two one-sided tests, with margin and power.

The figures of a run are its final loss (of the last epoch), Recall@20, MRR@20, and overlap@20, the share of its 20 best
items that the reference's runs have too. Of each the means are compared: delta = mean(candidate) - mean(reference).

* **held**: equivalence is shown, |delta| < margin. Two one-sided Welch tests (Schuirmann 1987) refuse delta <= -margin
  and delta >= margin.
* **failed**: a difference is shown, |delta| > margin. A Welch test refuses |delta| <= margin; so a difference that is
  real and smaller than the margin is no failure. Or a run of the candidate is not finite.
* **not covered**: neither is shown. There are too few runs, or delta is close to the margin.

**Levels.** A setting is held if every figure is, each at the level of 5 %; that claim is wrong with a probability of at
most 5 %, without any adjustment (an intersection-union test, Berger 1982). What is said of single figures where not all
are held is adjusted by Hochberg's procedure (1988), which is just that where all are. A setting is failed if any figure
is; so the p-values of differences are adjusted by Holm's procedure (1979), and a false alarm in any of the figures has
a probability of at most 5 %.

**The margin** is a property of the stored sample alone: the larger of 2 % of the reference's mean and one standard
deviation of its runs. Its first part is what readers of a table of results take for the same ("a few percent", as the
papers' authors put it). Its second holds where another seed alone moves a result further than that: with a mean moved
by one standard deviation, a run of the candidate beats a run of the reference with a probability between 0.24 and 0.76,
so that one published figure cannot tell which of the two it comes from.

**Overlap.** delta is the mean overlap of candidate and reference runs less that of two reference runs, so that
each of the n reference runs stands in both means. A candidate's run counts c, its mean overlap with the reference's
runs; a reference's run counts 2*o*(n-1)/(n-2) - m, with o its mean overlap with the others and m that with the
candidate's, all moved to the mean of o. These are the jackknife's pseudo-values of delta (Arvesen 1969); the plain
overlaps would be taken for independent, which they are not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from parity.convergence.sample import Runs

FIGURES = ("final loss", "Recall@20", "MRR@20", "overlap@20")
LEVEL = 0.05
RELATIVE = 0.02  # of the reference's mean
DEVIATIONS = 1.0  # of the reference's runs
POWER = 0.9  # that "runs needed" are for
MOST = 10_000  # runs that are thought of


@dataclass(frozen=True)
class Group:
    """Mean and standard deviation of ``count`` runs."""

    mean: float
    deviation: float
    count: int

    @property
    def variance_of_mean(self) -> float:
        return self.deviation**2 / self.count

    @classmethod
    def of(cls, values: np.ndarray) -> "Group":
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))


@dataclass(frozen=True)
class Equivalence:
    """The test of one figure. p-values are adjusted over the figures of the setting."""

    figure: str
    reference: Group
    candidate: Group
    margin: float
    interval: tuple[float, float]  # of delta, 1 - 2*LEVEL
    p_equivalent: float  # small: |delta| < margin
    p_beyond: float  # small: |delta| > margin
    p_zero: float  # small: delta is not 0, which is no verdict
    alone: Group  # the reference's runs without a candidate: for the last figure without pseudo-values

    @property
    def power(self) -> float:
        """Of holding at delta = 0 with that many runs, if these spread as the reference's do."""
        return self.power_of(self.candidate.count)

    def power_of(self, runs: int) -> float:
        """The power of another number of runs."""
        return power(self.margin, self.reference, Group(self.reference.mean, self.alone.deviation, runs))

    @property
    def delta(self) -> float:
        return self.candidate.mean - self.reference.mean

    @property
    def status(self) -> str:
        if self.p_beyond <= LEVEL:
            return "failed"
        return "held" if self.p_equivalent <= LEVEL else "not covered"

    @property
    def decides(self) -> int | None:
        """Runs that would decide with probability POWER if the true difference were the one found; None: none would."""
        beyond = abs(self.delta) > self.margin

        def enough(runs: int) -> bool:
            drawn = Group(self.candidate.mean, self.candidate.deviation, runs)
            return power(self.margin, self.reference, drawn, self.delta, beyond) >= POWER

        return least_runs(enough)


# Figures of runs.


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B): the share of the lists (A, K, L) of run i of ``a`` that is in those (B, K, L) of run j of ``b``.

    -1 is no item, and is shared with nobody.
    """
    found = np.zeros((len(a), len(b)))
    for i, first in enumerate(a):
        for j, second in enumerate(b):
            same = (first[:, :, None] == second[:, None, :]) & (first[:, :, None] >= 0)
            found[i, j] = same.any(axis=2).mean()
    return found


def values(runs: Runs) -> list[np.ndarray]:
    """(R,) values of each figure that a run has by itself: all of :data:`FIGURES` but the last."""
    return [runs.losses[:, -1], runs.metrics[:, -1, 0], runs.metrics[:, -1, 1]]


def own_shared(own: np.ndarray) -> np.ndarray:
    """(n,) mean overlap of each reference run with the others, from their overlaps (n, n)."""
    return (own.sum(axis=1) - np.diag(own)) / (len(own) - 1)


def shared(own: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the runs of the reference (n,) and of the candidate (N,) count for the last figure (see above).

    own: (n, n) overlaps of the reference's runs, n >= 3; cross: (N, n) those of the candidate's with them.
    """
    n, o = len(own), own_shared(own)
    pseudo = 2 * o * (n - 1) / (n - 2) - cross.mean(axis=0)
    return pseudo - pseudo.mean() + o.mean(), cross.mean(axis=1)


def alone(reference: Runs, own: np.ndarray | None = None) -> list[Group]:
    """Mean and deviation of each figure of the reference's runs; they give the margins. own: their overlaps."""
    own = overlaps(reference.lists, reference.lists) if own is None else own
    return [Group.of(v) for v in (*values(reference), own_shared(own))]


def margin_of(group: Group) -> float:
    return max(RELATIVE * abs(group.mean), DEVIATIONS * group.deviation)


# The tests.


def welch(a: Group, b: Group) -> tuple[float, float]:
    """(standard error, degrees of freedom) of the difference of two means."""
    va, vb = a.variance_of_mean, b.variance_of_mean
    if va + vb == 0:
        return 0.0, float(a.count + b.count - 2)
    return math.sqrt(va + vb), (va + vb) ** 2 / (va**2 / (a.count - 1) + vb**2 / (b.count - 1))


def p_values(delta: float, margin: float, error: float, freedom: float) -> tuple[float, float]:
    """p of the hypotheses |delta| >= margin and |delta| <= margin, each at its least favourable point."""
    if error == 0:
        return float(abs(delta) >= margin), float(abs(delta) <= margin)
    equivalent = stats.t.sf((margin - abs(delta)) / error, freedom)
    beyond = stats.t.sf((abs(delta) - margin) / error, freedom) + stats.t.sf((abs(delta) + margin) / error, freedom)
    return float(equivalent), float(min(beyond, 1.0))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values, in the order given."""
    p, order = np.asarray(p, float), np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def hochberg(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Hochberg's adjusted p-values, in the order given: all are up to LEVEL where the largest of ``p`` is."""
    p, order = np.asarray(p, float), np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate((p[order] * np.arange(len(p), 0, -1))[::-1])[::-1]
    return adjusted


def power(margin: float, a: Group, b: Group, delta: float = 0.0, beyond: bool = False) -> float:
    """Probability to show |delta| < margin at LEVEL, or with ``beyond`` > margin.

    The latter is shown at the strictest level of Holm's procedure. The distribution of the statistic is taken as
    Student's, moved; with few runs that is low by some percent.
    """
    error, freedom = welch(a, b)
    if error == 0:
        return float((abs(delta) > margin) if beyond else (abs(delta) < margin))
    limit = stats.t.isf(LEVEL / len(FIGURES) if beyond else LEVEL, freedom)
    if beyond:
        return float(stats.t.sf(limit - (abs(delta) - margin) / error, freedom))
    upper, lower = (margin - delta) / error - limit, -(margin + delta) / error + limit
    return float(max(0.0, stats.t.cdf(upper, freedom) - stats.t.cdf(lower, freedom)))


def least_runs(enough: Callable[[int], bool]) -> int | None:
    """The least number of runs, 2 to :data:`MOST`, that is ``enough``, which more runs are too; None: MOST are not."""
    if not enough(MOST):
        return None
    low, high = 1, MOST  # not enough, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def power_of_all(tests: list[Equivalence], runs: int) -> float:
    """A lower bound of the probability that all figures are held at delta = 0: 1 less those that each is not."""
    return max(0.0, 1 - sum(1 - test.power_of(runs) for test in tests))


def runs_needed(tests: list[Equivalence]) -> int | None:
    """Runs for a :func:`power_of_all` of :data:`POWER`; None: not against the stored runs, however many are drawn."""
    return least_runs(lambda runs: power_of_all(tests, runs) >= POWER)


def compare(
    reference: Runs, candidate: Runs, own: np.ndarray | None = None, cross: np.ndarray | None = None
) -> list[Equivalence]:
    """The tests of all :data:`FIGURES`. Both need finite runs, at least three and two.

    own, cross: the :func:`overlaps` of the reference's runs and of the candidate's with them, where these are known.
    """
    own = overlaps(reference.lists, reference.lists) if own is None else own
    cross = overlaps(candidate.lists, reference.lists) if cross is None else cross
    pairs = list(zip(values(reference), values(candidate))) + [shared(own, cross)]
    return _tested([(Group.of(a), Group.of(b)) for a, b in pairs], alone(reference, own))


def _tested(pairs: list[tuple[Group, Group]], lone: list[Group]) -> list[Equivalence]:
    margins, found = [margin_of(group) for group in lone], []
    for (a, b), margin in zip(pairs, margins):
        error, freedom = welch(a, b)
        reach = error * stats.t.isf(LEVEL, freedom)
        delta = b.mean - a.mean
        not_zero = p_values(delta, 0.0, error, freedom)[1]
        found.append(((delta - reach, delta + reach), *p_values(delta, margin, error, freedom), not_zero))
    equivalent = hochberg([part[1] for part in found])
    beyond, zero = holm([part[2] for part in found]), holm([part[3] for part in found])
    return [
        Equivalence(
            figure, a, b, margins[k], found[k][0], float(equivalent[k]), float(beyond[k]), float(zero[k]), lone[k]
        )
        for k, (figure, (a, b)) in enumerate(zip(FIGURES, pairs))
    ]


def resampled(runs: Runs, count: int, splits: int, seed: int = 0) -> dict[str, float]:
    """What the test says where nothing is wrong: ``count`` of the stored runs, at random, against the others.

    Returns the shares of ``splits`` such splits in which all figures were held, any failed (a false alarm), and
    neither. The splits are of one set of runs, and so a little more alike than new draws would be.
    """
    own, stream = overlaps(runs.lists, runs.lists), np.random.RandomState(seed)
    shares = dict.fromkeys(("held", "failed", "not covered"), 0.0)
    for _ in range(splits):
        order = stream.permutation(len(runs))
        a, b = np.sort(order[count:]), np.sort(order[:count])
        tests = compare(runs.take(a), runs.take(b), own[np.ix_(a, a)], own[np.ix_(b, a)])
        shares[verdict(tests)] += 1 / splits
    return shares


def verdict(tests: list[Equivalence]) -> str:
    """Of a setting: failed where any figure failed, held where all held."""
    found = {test.status for test in tests}
    return "failed" if "failed" in found else "not covered" if "not covered" in found or not tests else "held"
