"""Negative samples: items drawn by popularity, besides the other lanes' targets (arXiv 1706.03847)."""

from typing import Any, cast

import numpy as np

RngState = tuple[str, np.ndarray, int, int, float]  # of RandomState.get_state()


def state_of(rng: np.random.RandomState) -> RngState:
    """The state of a stream, as ``set_state`` takes it."""
    return cast(RngState, rng.get_state())


class NegativeSampler:
    """Rows of ``n_sample`` items drawn with probability proportional to support^alpha, from a store drawn ahead.

    A sample may equal a target or repeat: nothing is filtered, as published.

    Args:
        support: (n,) events of each item.
        n_sample: samples a step; 0 for none.
        alpha: power of the support; 0 draws uniformly.
        store: samples drawn ahead; with fewer than two rows one row is drawn a step.
        rng: the stream to draw from: the first store at once, later ones when a row is needed and the store is used up.
        state: what :meth:`get_state` returned, to go on from there; the store is drawn again when it is first needed.
    """

    def __init__(
        self,
        support: np.ndarray,
        n_sample: int,
        alpha: float,
        store: int,
        rng: np.random.RandomState,
        state: tuple[RngState, int] | None = None,
    ):
        self.support, self.n_sample, self.store, self.rng = support, n_sample, store, rng
        self._cdf = None
        if alpha != 0:
            weight = np.asarray(support, dtype=np.float64) ** alpha
            self._cdf = np.cumsum(weight) / np.sum(weight)
            self._cdf[-1] = 1
        self.store_rows = rows_in_store(store, n_sample)
        self._store: Any = None
        if state is not None:
            self.set_state(state)
        elif self.store_rows:
            self._refill()

    def row(self) -> np.ndarray:
        """The samples of the next step, (n_sample,) int32."""
        if not self.n_sample:
            return np.empty(0, np.int32)
        if not self.store_rows:
            return self._draw(1).astype(np.int32)
        if self._store is None:
            self._restore()
        if self._used == self.store_rows:
            self._refill()
        self._used += 1
        return self._store[self._used - 1]

    def get_state(self) -> tuple[RngState, int] | None:
        """(state of the stream before the present store was drawn, rows used); None where no store is kept."""
        return (self._before, self._used) if self.store_rows else None

    def set_state(self, state: tuple[RngState, int]) -> None:
        """Continue from what :meth:`get_state` returned; the stream's own state is set apart."""
        self._store, (self._before, self._used) = None, state

    def _draw(self, rows: int) -> np.ndarray:
        size = self.n_sample * rows
        if self._cdf is None:
            return self.rng.choice(len(self.support), size=size)
        return np.searchsorted(self._cdf, self.rng.rand(size))

    def _refill(self) -> None:
        self._before = state_of(self.rng)
        self._store = self._draw(self.store_rows).astype(np.int32).reshape(self.store_rows, self.n_sample)
        self._used = 0

    def _restore(self) -> None:
        now, used = state_of(self.rng), self._used
        self.rng.set_state(self._before)
        self._refill()
        self._used = used
        self.rng.set_state(now)


def rows_in_store(store: int, n_sample: int) -> int:
    """Steps that a store of ``store`` samples lasts; 0 where it would be one, and is not kept."""
    rows = store // n_sample if n_sample else 0
    return rows if rows > 1 else 0
