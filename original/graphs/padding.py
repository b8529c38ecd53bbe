"""Fills a step up to the fixed shape of a graph, for backends whose graphs have one.

A lane keeps its row; the rows of lanes that have ended repeat the first lane that has not. Its item ids are in use
anyway, so no item is touched that the step does not use, and every value stays finite. The graph multiplies whatever
padding would add by zero (``real``).
"""

import numpy as np


class Padding:
    """Spreads steps of up to ``batch_size`` lanes over ``n_items`` items to ``batch_size`` rows."""

    def __init__(self, batch_size: int, n_items: int, dtype: str) -> None:
        self.batch_size, self.dtype = batch_size, dtype
        self._all = np.ones(batch_size, dtype)
        self._last = np.empty(n_items, np.int32)

    def last(self, rows: np.ndarray, real: np.ndarray | None) -> np.ndarray:
        """For each occurrence in ``rows`` the position of its row's last real one, int32.

        O(len(rows)) for any number of items.
        """
        positions = np.arange(len(rows), dtype=np.int32) if real is None else np.flatnonzero(real).astype(np.int32)
        self._last[rows[positions]] = positions
        return self._last[rows]

    def __call__(
        self, X: np.ndarray, Y: np.ndarray, R: np.ndarray, masks: list[np.ndarray], lanes: np.ndarray
    ) -> list[np.ndarray]:
        """The inputs of a training step of fixed shape.

        Args:
            X, Y, R, masks: those of the M lanes.
            lanes: (M,), the row of each of the step's lanes.

        Returns:
            X, Y, R, masks, then ``real`` (batch_size,) and the last occurrences in X, in Y and in both.
        """
        M, real = len(X), self._all
        real_X = real_Y = real_XY = None
        if self.batch_size > M:
            real = np.zeros(self.batch_size, self.dtype)
            real[lanes] = 1
            source = np.zeros(self.batch_size, np.intp)
            source[lanes] = np.arange(M)
            X, R, masks = X[source], R[source], [mask[source] for mask in masks]
            Y = np.concatenate([Y[:M][source], Y[M:]])
            real_X = real > 0
            real_Y = np.concatenate([real_X, np.ones(len(Y) - len(X), bool)])
            real_XY = np.concatenate([real_X, real_Y])
        XY = np.concatenate([X, Y])
        last = [self.last(X, real_X), self.last(Y, real_Y), self.last(XY, real_XY)]
        return [X, Y, R, *masks, real, *last]

    def without(self, gradient: np.ndarray, M: int, joint: bool) -> np.ndarray:
        """A gradient by occurrence of a step of M lanes, in the first rows, without its padding.

        Args:
            gradient: (occurrences, columns).
            joint: whether the occurrences are those of X and Y, rather than of one of them.
        """
        starts = [0, self.batch_size] if joint else [0]
        padding = np.concatenate([np.arange(start + M, start + self.batch_size) for start in starts])
        return np.delete(gradient, padding, axis=0)
