"""Negative samples by popularity, drawn ahead into a store (arXiv 1706.03847)."""

from typing import Any, NamedTuple, cast

import numpy as np


def state_of(stream: np.random.RandomState) -> tuple[Any, ...]:
    """The state of a stream, as ``set_state`` takes it."""
    return cast(tuple[Any, ...], stream.get_state())


class StorePosition(NamedTuple):
    """Where a sampler stands in its store.

    Attributes:
        state: the stream's state before the present store was drawn.
        pointer: how many of its rows are used.
    """

    state: tuple[Any, ...]
    pointer: int


class NegativeSampler:
    """Draws items with probability proportional to support**alpha from a NumPy ``RandomState``.

    ``rows`` samples of ``n_sample`` items are drawn at once and used one a step; used up, they are drawn anew at the
    next step that needs one. Without a store (``rows`` <= 1) a row is drawn a step.

    Args:
        support: (n,) events of each item.
        alpha: 0 samples uniformly.
        n_sample: samples a step.
        sample_store: how many samples are drawn ahead, at most; 0 for none.
        stream: what is drawn from.
        position: where to go on, None to draw the first store.
    """

    def __init__(
        self,
        support: np.ndarray,
        alpha: float,
        n_sample: int,
        sample_store: int,
        stream: np.random.RandomState,
        position: StorePosition | None = None,
    ) -> None:
        self.n_items, self.n_sample, self.stream = len(support), n_sample, stream
        self.rows = sample_store // n_sample if sample_store else 0
        self.cdf = None if alpha == 0 else cumulated(support, alpha)
        self.store: np.ndarray | None = None
        self.pointer, self.state_before_store = 0, state_of(stream)
        if position is not None:
            now = state_of(stream)
            stream.set_state(position.state)
            self._refill()
            self.pointer = position.pointer
            stream.set_state(now)
        elif self.rows > 1:
            self._refill()

    @property
    def position(self) -> StorePosition | None:
        """Where this sampler stands; None without a store."""
        return StorePosition(self.state_before_store, self.pointer) if self.store is not None else None

    def _sample(self, rows: int) -> np.ndarray:
        if self.cdf is None:
            drawn = self.stream.choice(self.n_items, size=self.n_sample * rows)
        else:
            drawn = np.searchsorted(self.cdf, self.stream.rand(self.n_sample * rows))
        return drawn.astype(np.int32)

    def _refill(self) -> None:
        self.state_before_store, self.pointer = state_of(self.stream), 0
        self.store = self._sample(self.rows).reshape(self.rows, self.n_sample)

    def __call__(self) -> np.ndarray:
        """The next step's samples, (n_sample,) int32."""
        if self.store is None or self.rows <= 1:
            return self._sample(1)
        if self.pointer == self.rows:
            self._refill()
        self.pointer += 1
        return self.store[self.pointer - 1]


def cumulated(support: np.ndarray, alpha: float) -> np.ndarray:
    """(n,) cumulated probabilities of the items, the last of them 1; an item without an event is never drawn.

    Raises:
        ValueError: where support**alpha is too large or too small for a probability.
    """
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        power = np.where(support > 0, support.astype(float) ** alpha, 0.0)
        total = power.sum()
    if not np.isfinite(total) or total == 0:
        raise ValueError(f"sample_alpha={alpha!r}: a number with a finite sum of support**sample_alpha is accepted")
    cdf = power.cumsum() / total
    cdf[-1] = 1
    return cdf
