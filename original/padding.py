"""Fills a step up to the fixed shape of a graph, for backends whose graphs have one.

A lane keeps its row; the rows of lanes that have ended repeat the first lane that has not. Its item ids are in use
anyway, so no item is touched that the step does not use, and every value stays finite. The graph multiplies whatever
padding would add by zero (``real``).
"""

import numpy as np


class Padding:
    """Spreads steps of up to ``batch_size`` lanes over ``n_items`` items to ``batch_size`` rows."""

    def __init__(self, batch_size, n_items, dtype):
        self.batch_size, self.dtype = batch_size, dtype
        self._all = np.ones(batch_size, dtype)
        self._last = np.empty(n_items, np.int32)

    def winner(self, index, real):
        """For each occurrence in ``index`` the position of the last real one of its row, int32. O(len(index)) for any
        number of rows.
        """
        positions = np.arange(len(index), dtype=np.int32) if real is None else np.flatnonzero(real).astype(np.int32)
        self._last[index[positions]] = positions
        return self._last[index]

    def __call__(self, X, Y, R, masks, lanes):
        """The inputs of a fixed-shape training step: X, Y, R, masks, then ``real`` and the winners of X, of Y and of
        both.

        ``lanes`` (M,): the row of each of the step's lanes.
        """
        M, real = len(X), self._all
        real_X = real_Y = real_both = None
        if M < self.batch_size:
            real = np.zeros(self.batch_size, self.dtype)
            real[lanes] = 1
            source = np.zeros(self.batch_size, np.intp)
            source[lanes] = np.arange(M)
            X, R, masks = X[source], R[source], [mask[source] for mask in masks]
            Y = np.concatenate([Y[:M][source], Y[M:]])
            real_X = real > 0
            real_Y = np.concatenate([real_X, np.ones(len(Y) - len(X), bool)])
            real_both = np.concatenate([real_X, real_Y])
        both = np.concatenate([X, Y])
        winners = [self.winner(X, real_X), self.winner(Y, real_Y), self.winner(both, real_both)]
        return [X, Y, R, *masks, real, *winners]
