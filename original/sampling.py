"""Negative samples by popularity, drawn ahead into a store (arXiv 1706.03847, section 3.1)."""

import numpy as np


class NegativeSampler:
    """Draws items with probability proportional to support**alpha from a NumPy ``RandomState``.

    ``rows`` samples of ``n_sample`` items are drawn at once and used one a step; used up, they are drawn anew at the
    next step that needs one. Without a store (``rows`` <= 1) a row is drawn a step.
    """

    def __init__(self, support, alpha, n_sample, sample_store, stream):
        self.n_items, self.n_sample, self.stream = len(support), n_sample, stream
        self.rows = sample_store // n_sample if sample_store else 0
        self.cdf = None
        if alpha != 0:
            with np.errstate(divide="ignore"):
                power = np.where(support > 0, support.astype(float) ** alpha, 0.0)
            self.cdf = power.cumsum() / power.sum()
            self.cdf[-1] = 1
        self.store, self.pointer, self.state_before_store = None, 0, None
        if self.rows > 1:
            self._refill()

    def _sample(self, rows):
        if self.cdf is None:
            drawn = self.stream.choice(self.n_items, size=self.n_sample * rows)
        else:
            drawn = np.searchsorted(self.cdf, self.stream.rand(self.n_sample * rows))
        return drawn.astype(np.int32)

    def _refill(self):
        self.state_before_store = self.stream.get_state()
        self.store, self.pointer = self._sample(self.rows).reshape(self.rows, self.n_sample), 0

    def __call__(self):
        """The next step's samples, (n_sample,) int32."""
        if self.rows <= 1:
            return self._sample(1)
        if self.pointer == self.rows:
            self._refill()
        self.pointer += 1
        return self.store[self.pointer - 1]
