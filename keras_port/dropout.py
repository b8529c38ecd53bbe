"""Dropout masks, from the MRG31k3p stream of the published program.

MRG31k3p is the combined multiple recursive generator of L'Ecuyer and Touzin, "Fast combined multiple recursive
generators with multipliers of the form a = ±2^q ± 2^r", WSC 2000:

    x_n = (2^22 x_{n-2} + (2^7 + 1) x_{n-3})  mod m1,   m1 = 2^31 - 1
    y_n = (2^15 y_{n-1} + (2^15 + 1) y_{n-3}) mod m2,   m2 = 2^31 - 21069
    u_n = ((x_n - y_n) mod m1) / m1

with streams 2^134 draws apart and their substreams 2^72 draws apart.
"""

from collections.abc import Sequence

import numpy as np

M1, M2 = 2**31 - 1, 2**31 - 21069
A1 = np.array([[0, 2**22, 2**7 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)
A2 = np.array([[2**15, 0, 2**15 + 1], [1, 0, 0], [0, 1, 0]], dtype=object)
SUBSTREAMS = 60 * 256  # of a mask whose shape is only known when it is drawn


def power(A: np.ndarray, exponent_of_two: int, modulus: int) -> np.ndarray:
    """A^(2^exponent_of_two) mod modulus, in Python integers."""
    for _ in range(exponent_of_two):
        A = A.dot(A) % modulus
    return A


def _jump(state: np.ndarray, J: np.ndarray, modulus: int) -> np.ndarray:
    """J·state mod modulus, for states (3, k). Products of numbers below 2^31 fit in 63 bits, one at a time."""
    J = J.astype(np.int64)
    return sum(J[:, j, None] * state[None, j] % modulus for j in range(3)) % modulus


def _substreams(start: np.ndarray, A: np.ndarray, modulus: int, count: int) -> np.ndarray:
    """States (3, count) of the substreams of one stream, by doubling: s_{i+k} = J^k s_i."""
    states, J = np.reshape(start, (3, 1)).astype(np.int64), power(A, 72, modulus)
    while states.shape[1] < count:
        states = np.concatenate([states, _jump(states, J, modulus)], axis=1)
        J = J.dot(J) % modulus
    return np.ascontiguousarray(states[:, :count])


class MaskStream:
    """Dropout masks of one site of the network: element i of a mask is drawn from substream i modulo 15,360.

    Args:
        seed: from 1, the common value of the six numbers of the first stream's state.
        site: 0, 1, ... in graph order; every site has the next stream.
        retain: probability of a kept unit.
        dtype: 'float32' or 'float64', the type in which the uniform numbers are compared with ``retain``.
    """

    def __init__(self, seed: int, site: int, retain: float, dtype: str):
        start = np.full((3, 1), seed, dtype=np.int64)
        x = y = start
        for _ in range(site):
            x, y = _jump(x, power(A1, 134, M1), M1), _jump(y, power(A2, 134, M2), M2)
        self.x, self.y = _substreams(x, A1, M1, SUBSTREAMS), _substreams(y, A2, M2, SUBSTREAMS)
        # a kept unit has (x - y) mod m1 below this many steps of the generator
        self._dtype, self._retain = np.dtype(dtype), np.dtype(dtype).type(retain)
        self._step = np.float32(4.6566126e-10) if self._dtype == np.float32 else 4.656612873077392578125e-10  # 2^-31

    def draw(self, rows: int, width: int) -> np.ndarray:
        """The next mask, (rows, width) bool, true = kept."""
        size = rows * width
        parts = [self._advance(min(SUBSTREAMS, size - done)) for done in range(0, size, SUBSTREAMS)]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(rows, width)

    def _advance(self, k: int) -> np.ndarray:
        x, y = self.x[:, :k], self.y[:, :k]
        new_x = ((x[1] << 22) + 129 * x[2]) % M1
        new_y = ((y[0] << 15) + 32769 * y[2]) % M2
        x[2], x[1], x[0] = x[1], x[0], new_x
        y[2], y[1], y[0] = y[1], y[0], new_y
        difference = new_x - new_y
        difference[difference <= 0] += M1
        return difference.astype(self._dtype) * self._step < self._retain

    def get_state(self) -> np.ndarray:
        """The six numbers of every substream, (6, 15360) int32."""
        return np.concatenate([self.x, self.y]).astype(np.int32)

    def set_state(self, state: np.ndarray) -> None:
        """Continue from what :meth:`get_state` returned."""
        self.x, self.y = np.array(state[:3], dtype=np.int64), np.array(state[3:], dtype=np.int64)


class DropoutMasks:
    """The masks of all dropout sites of a network.

    Args:
        seed: of the common stream.
        sites: (name, width, retain probability) of each, in graph order.
        dtype: of the network.
    """

    def __init__(self, seed: int, sites: Sequence[tuple[str, int, float]], dtype: str):
        self.seed, self.sites, self.dtype = seed, sites, dtype
        self._streams: list[MaskStream] = []

    @property
    def streams(self) -> list[MaskStream]:
        """One stream a site, made at their first use, which takes a second."""
        if not self._streams:
            self._streams = [
                MaskStream(self.seed, j, retain, self.dtype) for j, (_, _, retain) in enumerate(self.sites)
            ]
        return self._streams

    def draw(self, lanes: int) -> list[np.ndarray]:
        """The next masks: one (lanes, width) bool array a site, true = kept."""
        return [stream.draw(lanes, width) for stream, (_, width, _) in zip(self.streams, self.sites)]

    def get_state(self) -> list[np.ndarray]:
        """The state of each site's stream; empty as long as none has been drawn from."""
        return [stream.get_state() for stream in self._streams]

    def set_state(self, states: Sequence[np.ndarray]) -> None:
        """Continue from what :meth:`get_state` returned."""
        self._streams = []
        for stream, state in zip(self.streams if states else [], states):
            stream.set_state(state)
