"""The dropout masks' stream: MRG31k3p (L'Ecuyer and Touzin, 2000) in substreams, as the published program ran it.

    x_n = (2^22 x_{n-2} + (2^7 + 1) x_{n-3}) mod m1,    y_n = (2^15 y_{n-1} + (2^15 + 1) y_{n-3}) mod m2

A draw is (x_n - y_n) mod m1, in 1..m1, times 2^-31. Every dropout site has the next stream, 2^134 draws on; element i
of a mask is of substream i modulo 15,360, which are 2^72 draws apart. All six numbers of the first state are the seed.
"""

import numpy as np

from parity.plain.network import Array

M1, M2 = 2**31 - 1, 2**31 - 21069
SUBSTREAMS = 60 * 256
STEPS = (
    (((0, 2**22, 2**7 + 1), (1, 0, 0), (0, 1, 0)), M1),
    (((2**15, 0, 2**15 + 1), (1, 0, 0), (0, 1, 0)), M2),
)


class MaskStream:
    """The masks of one site. site: from 0, in the order of the graph. retain: probability of a unit that is kept."""

    def __init__(self, seed: int, site: int, retain: float, dtype: str):
        self.jumps, self.newest = [], []
        for matrix, modulus in STEPS:
            to_stream, to_substream = (_power(np.array(matrix, object), bits, modulus) for bits in (134, 72))
            state = np.array([seed] * 3, object)
            for _ in range(site):
                state = to_stream @ state % modulus
            self.jumps.append((to_substream, modulus))
            self.newest.append(state)  # the start of the substream that is made next
        self.states = np.zeros((2, 3, 0), np.int64)  # of x and of y: the last three numbers, newest first
        self.retain, self.dtype = np.dtype(dtype).type(retain), np.dtype(dtype)

    def draw(self, rows: int, width: int) -> Array:
        """The next mask, (rows, width) bool, true = kept."""
        size = rows * width
        parts = [self._next(min(SUBSTREAMS, size - done)) for done in range(0, size, SUBSTREAMS)]
        return np.concatenate(parts).reshape(rows, width)

    def _next(self, count: int) -> Array:
        self._begin(count)
        x, y = self.states[0, :, :count], self.states[1, :, :count]
        new = (2**22 * x[1] + 129 * x[2]) % M1, (2**15 * y[0] + 32769 * y[2]) % M2
        self.states[:, 1:, :count] = self.states[:, :2, :count].copy()
        self.states[:, 0, :count] = new
        z = new[0] - new[1]
        unit = self.dtype.type(np.float32(4.6566126e-10) if self.dtype == np.float32 else 2.0**-31)
        return np.where(z <= 0, z + M1, z).astype(self.dtype) * unit < self.retain

    def _begin(self, count: int) -> None:
        """So many substreams have begun."""
        made: tuple[list, list] = ([], [])
        while self.states.shape[2] + len(made[0]) < count:
            for which, (jump, modulus) in enumerate(self.jumps):
                made[which].append(self.newest[which])
                self.newest[which] = jump @ self.newest[which] % modulus
        if made[0]:
            more = np.array(made, np.int64).transpose(0, 2, 1)
            self.states = np.concatenate([self.states, more], axis=2)


def _power(matrix: Array, doublings: int, modulus: int) -> Array:
    """matrix^(2^doublings) mod modulus."""
    for _ in range(doublings):
        matrix = matrix @ matrix % modulus
    return matrix
