"""Dropout masks from the MRG31k3p stream, the generator of the published program.

P. L'Ecuyer and R. Touzin, Fast Combined Multiple Recursive Generators with Multipliers of the Form a = ±2^q ± 2^r,
Winter Simulation Conference 2000. Two recurrences of order three, and their difference:

    x_n = (2^22 x_{n-2} + (2^7 + 1) x_{n-3}) mod m1       m1 = 2^31 - 1
    y_n = (2^15 y_{n-1} + (2^15 + 1) y_{n-3}) mod m2      m2 = 2^31 - 21069
    u_n = z_n 2^-31, z_n = (x_n - y_n) mod m1, m1 where that is 0

A mask of a number of rows that is known only when it is drawn takes its entries in turn from 15,360 substreams, which
begin 2^72 numbers apart; the streams of two sites begin 2^134 apart (P. L'Ecuyer, R. Simard, E. J. Chen and
W. D. Kelton, Operations Research 50, 2002). The stream is written here and not taken from the symbolic library, which
has one in Aesara and none in PyTensor. parity's check ``dropout`` guards it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from original.settings import Settings

MODULI = (2**31 - 1, 2**31 - 21069)  # of the generator's first and of its second three numbers
SUBSTREAMS = 60 * 256
_SUBSTREAM, _STREAM = 72, 134  # log2 of how far apart they begin

# What takes the state (n-1, n-2, n-3) of a recurrence one number on.
_MATRICES = (
    ((0, 2**22, 2**7 + 1), (1, 0, 0), (0, 1, 0)),
    ((2**15, 0, 2**15 + 1), (1, 0, 0), (0, 1, 0)),
)
_Matrix = tuple[tuple[int, int, int], ...]


class Site(NamedTuple):
    """A place in the graph where something is dropped.

    Attributes:
        name: 'embed', 'hidden0', 'hidden1', ...
        width: how many columns are dropped from.
        retain: the probability that one is kept.
    """

    name: str
    width: int
    retain: float


def dropout_sites(settings: Settings) -> list[Site]:
    """The dropout sites in graph order."""
    sites = []
    if settings.input_width and settings.dropout_p_embed > 0:
        sites.append(Site("embed", settings.input_width, 1 - settings.dropout_p_embed))
    if settings.dropout_p_hidden > 0:
        sites += [Site(f"hidden{k}", L, 1 - settings.dropout_p_hidden) for k, L in enumerate(settings.layers)]
    return sites


def _product(A: _Matrix, B: _Matrix, modulus: int) -> _Matrix:
    """A B mod ``modulus``, in Python's whole numbers: products of three entries do not fit in 64 bits."""
    return tuple(tuple(sum(a * b for a, b in zip(row, column)) % modulus for column in zip(*B)) for row in A)


def _squared(A: _Matrix, times: int, modulus: int) -> _Matrix:
    """A^(2^times) mod ``modulus``."""
    for _ in range(times):
        A = _product(A, A, modulus)
    return A


def _moved(A: _Matrix, states: np.ndarray, modulus: int) -> np.ndarray:
    """A applied to every column of ``states`` (3, k) int64; a single product fits in 62 bits, their sum may not."""
    return np.stack([sum(a * row % modulus for a, row in zip(coefficients, states)) % modulus for coefficients in A])


def _substreams(start: np.ndarray, A: _Matrix, modulus: int) -> np.ndarray:
    """Where the substreams of a stream begin, (3, SUBSTREAMS) int64: what begins there, then 1, 2, 4, ... jumps on."""
    states, jump = start, _squared(A, _SUBSTREAM, modulus)
    while states.shape[1] < SUBSTREAMS:
        states, jump = np.hstack([states, _moved(jump, states, modulus)]), _product(jump, jump, modulus)
    return states[:, :SUBSTREAMS]


class Stream:
    """One site's stream of kept and dropped entries.

    Args:
        seed: from 1 to MODULI[1] - 1: each of the six numbers that the first stream begins with.
        site: 0, 1, ...; each has the next stream.
        retain: the probability that an entry is kept.
        dtype: 'float32' or 'float64'. u is rounded to it, and so is ``retain``, before the two are compared.
    """

    def __init__(self, seed: int, site: int, retain: float, dtype: str) -> None:
        parts = []
        for A, modulus in zip(_MATRICES, MODULI, strict=True):
            start, jump = np.full((3, 1), seed, np.int64), _squared(A, _STREAM, modulus)
            for _ in range(site):
                start = _moved(jump, start, modulus)
            parts.append(_substreams(start, A, modulus))
        self._states = np.vstack(parts)  # (6, SUBSTREAMS): x_{n-1}, x_{n-2}, x_{n-3}, y_{n-1}, ...
        self._dtype = np.dtype(dtype)
        # The published program writes 2^-31 with eight digits in float32.
        self._unit = self._dtype.type(4.6566126e-10 if dtype == "float32" else 2.0**-31)
        self._retain = self._dtype.type(retain)

    def uniform(self, count: int) -> np.ndarray:
        """The next ``count`` numbers u in (0, 1], in the dtype; entry i is of substream i modulo SUBSTREAMS."""
        rounds = [self._next(min(SUBSTREAMS, count - done)) for done in range(0, count, SUBSTREAMS)]
        z = rounds[0] if len(rounds) == 1 else np.concatenate(rounds)
        return z.astype(self._dtype) * self._unit

    def mask(self, rows: int, width: int) -> np.ndarray:
        """The next mask (rows, width) in the dtype, 1 = kept."""
        return (self.uniform(rows * width) < self._retain).reshape(rows, width).astype(self._dtype)

    def _next(self, count: int) -> np.ndarray:
        """The next z of each of the first ``count`` substreams; the others stay where they are."""
        x1, x2, x3, y1, y2, y3 = self._states[:, :count]
        x = ((x2 << 22) + 129 * x3) % MODULI[0]
        y = ((y1 << 15) + 32769 * y3) % MODULI[1]
        x3[:], x2[:], x1[:] = x2, x1, x
        y3[:], y2[:], y1[:] = y2, y1, y
        z = x - y
        z[z <= 0] += MODULI[0]
        return z

    @property
    def state(self) -> np.ndarray:
        """(SUBSTREAMS, 6) int32, a copy."""
        return np.ascontiguousarray(self._states.T, np.int32)

    @state.setter
    def state(self, value: np.ndarray) -> None:
        shape, limits = (SUBSTREAMS, 6), np.repeat(np.array(MODULI, np.int64), 3)
        if value.shape != shape or value.dtype != np.int32:
            raise ValueError(f"a dropout stream of shape {value.shape} {value.dtype}; {shape} int32 is accepted")
        if (value < 0).any() or (value >= limits).any():
            raise ValueError("a dropout stream holds numbers that MRG31k3p never has")
        self._states = np.ascontiguousarray(value.T, np.int64)


class DropoutMasks:
    """The masks of each site; a site has a stream of its own, in graph order.

    Args:
        settings: of the model.
        states: where the streams go on, as :meth:`get_state` gives them; None for their beginning.

    Raises:
        ValueError: for states that are none of these streams.
    """

    def __init__(self, settings: Settings, states: Sequence[np.ndarray] | None = None) -> None:
        self.settings, self.sites = settings, dropout_sites(settings)
        self._streams = [
            Stream(settings.dropout_seed, number, site.retain, settings.dtype) for number, site in enumerate(self.sites)
        ]
        if states is None:
            return
        if len(states) != len(self._streams):
            raise ValueError(f"{len(states)} dropout streams; {len(self._streams)} are accepted")
        for stream, state in zip(self._streams, states, strict=True):
            stream.state = state

    def __call__(self, M: int) -> list[np.ndarray]:
        """The next mask of each site, (M, width), 1 = kept, in the graph's dtype."""
        return [stream.mask(M, site.width) for stream, site in zip(self._streams, self.sites, strict=True)]

    def get_state(self) -> list[np.ndarray]:
        """Each site's stream: (SUBSTREAMS, 6) int32."""
        return [stream.state for stream in self._streams]

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: made anew, where it stands."""
        return DropoutMasks, (self.settings, self.get_state())
