"""The two random streams of GRU4Rec: NumPy's legacy stream for weights and samples, MRG31k3p for dropout masks.

MRG31k3p is the combined multiple recursive generator of L'Ecuyer and Touzin, "Fast combined multiple recursive
generators with multipliers of the form a = ±2^q ± 2^r", WSC 2000:

    x_n = (2^22 x_{n-2} + (2^7 + 1) x_{n-3})  mod m1,   m1 = 2^31 - 1
    y_n = (2^15 y_{n-1} + (2^15 + 1) y_{n-3}) mod m2,   m2 = 2^31 - 21069
    u_n = ((x_n - y_n) mod m1) / m1

with streams 2^134 draws apart and their substreams 2^72 draws apart.
"""

import numpy as np

M1, M2 = 2**31 - 1, 2**31 - 21069
A1 = np.array([[0, 2**22, 2**7 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)
A2 = np.array([[2**15, 0, 2**15 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)
SUBSTREAMS = 60 * 256  # of a mask whose shape is only known when it is drawn


def _power(A, exponent_of_two, modulus):
    for _ in range(exponent_of_two):
        A = A.dot(A) % modulus
    return A


def _jump(state, J, modulus):
    """J·state mod modulus, for states (3, k). Products of numbers below 2^31 fit in 63 bits, one at a time."""
    J = J.astype(np.int64)
    return sum(J[:, j, None] * state[None, j] % modulus for j in range(3)) % modulus


def _substreams(start, A, modulus, count):
    """States (3, count) of the substreams of one stream, by doubling: s_{i+k} = J^k s_i."""
    states, J = np.reshape(start, (3, 1)).astype(np.int64), _power(A, 72, modulus)
    while states.shape[1] < count:
        states = np.concatenate([states, _jump(states, J, modulus)], axis=1)
        J = J.dot(J) % modulus
    return np.ascontiguousarray(states[:, :count])


class MaskStream:
    """Dropout masks of one site of the network: element i of a mask is drawn from substream i modulo 15,360.

    seed: integer from 1, the common value of the six numbers of the first stream's state. site: 0, 1, ... in graph
    order; every site has the next stream. retain: probability of a kept unit. dtype: 'float32' or 'float64', the type
    in which the uniform numbers are compared with ``retain``.
    """

    def __init__(self, seed, site, retain, dtype):
        start = np.full((3, 1), seed, dtype=np.int64)
        x = y = start
        for _ in range(site):
            x, y = _jump(x, _power(A1, 134, M1), M1), _jump(y, _power(A2, 134, M2), M2)
        self.x, self.y = _substreams(x, A1, M1, SUBSTREAMS), _substreams(y, A2, M2, SUBSTREAMS)
        # a kept unit has (x - y) mod m1 below this many steps of the generator
        self._dtype, self._retain = np.dtype(dtype), np.dtype(dtype).type(retain)
        self._step = np.float32(4.6566126e-10) if self._dtype == np.float32 else 4.656612873077392578125e-10  # 2^-31

    def draw(self, rows, width):
        """The next mask, (rows, width) bool, true = kept."""
        size = rows * width
        parts = [self._advance(min(SUBSTREAMS, size - done)) for done in range(0, size, SUBSTREAMS)]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(rows, width)

    def _advance(self, k):
        x, y = self.x[:, :k], self.y[:, :k]
        new_x = ((x[1] << 22) + 129 * x[2]) % M1
        new_y = ((y[0] << 15) + 32769 * y[2]) % M2
        x[2], x[1], x[0] = x[1], x[0], new_x
        y[2], y[1], y[0] = y[1], y[0], new_y
        difference = new_x - new_y
        difference[difference <= 0] += M1
        return difference.astype(self._dtype) * self._step < self._retain

    def get_state(self):
        """The six numbers of every substream, (6, 15360) int32."""
        return np.concatenate([self.x, self.y]).astype(np.int32)

    def set_state(self, state):
        """Continue from what :meth:`get_state` returned."""
        self.x, self.y = np.array(state[:3], dtype=np.int64), np.array(state[3:], dtype=np.int64)


class NegativeSampler:
    """Rows of ``n_sample`` items drawn with probability proportional to support^alpha, from a store drawn ahead.

    support: (n,) events of each item. store: samples drawn ahead; with fewer than two rows one row is drawn a step.
    rng: the RandomState to draw from: the first store at once, later ones when a row is needed and the store is used
    up. state: what :meth:`get_state` returned, to go on from there; the store is then drawn again when first needed.
    """

    def __init__(self, support, n_sample, alpha, store, rng, state=None):
        self.support, self.n_sample, self.store, self.rng = support, n_sample, store, rng
        self._cdf = None
        if alpha != 0:
            weight = np.asarray(support, dtype=np.float64) ** alpha
            self._cdf = np.cumsum(weight) / np.sum(weight)
            self._cdf[-1] = 1
        rows = store // n_sample if n_sample else 0
        self.store_rows = rows if rows > 1 else 0
        self._store = None
        if state is not None:
            self._before, self._used = state
        elif self.store_rows:
            self._refill()

    def _draw(self, rows):
        size = self.n_sample * rows
        if self._cdf is None:
            return self.rng.choice(len(self.support), size=size)
        return np.searchsorted(self._cdf, self.rng.rand(size))

    def _refill(self):
        self._before = self.rng.get_state()
        self._store = self._draw(self.store_rows).astype(np.int32).reshape(self.store_rows, self.n_sample)
        self._used = 0

    def _restore(self):
        now, used = self.rng.get_state(), self._used
        self.rng.set_state(self._before)
        self._refill()
        self._used = used
        self.rng.set_state(now)

    def row(self):
        """The samples of the next step, (n_sample,)."""
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

    def get_state(self):
        """(state of the stream before the present store was drawn, rows used); None where no store is kept."""
        return (self._before, self._used) if self.store_rows else None
