"""What a step is given: session-parallel lanes and negative samples."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from parity.plain.network import Array


def in_sessions(session: Array, items: Array, time: Array) -> tuple[list[list[int]], Array]:
    """The items of each session in the order of (session, time), stable; and the sessions by their first times."""
    order = np.lexsort((np.arange(len(time)), time, session))
    items, session = items[order], session[order]
    starts = np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
    sessions = [part.tolist() for part in np.split(items, starts[1:])]
    return sessions, np.argsort(time[order][starts], kind="stable")


def session_parallel(
    sessions: Iterable[Sequence[int]], lanes: int, least: int
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """(inputs, targets, ends, lanes) of each step of an epoch, until fewer than ``least`` lanes are left."""
    waiting = iter(sessions)
    going = {lane: next(waiting) for lane in range(lanes)}
    while True:
        while any(len(left) == 1 for left in going.values()):  # one event left: the session is done
            taken = {lane: next(waiting, None) if len(left) == 1 else left for lane, left in going.items()}
            going = {lane: left for lane, left in taken.items() if left is not None}
        if len(going) < least:
            return
        X, Y, R = zip(*((left[0], left[1], len(left) == 2) for left in going.values()), strict=True)
        yield np.array(X), np.array(Y), np.array(R), np.array(list(going))
        going = {lane: left[1:] for lane, left in going.items()}


def samples(stream: np.random.RandomState, support: Array, alpha: float, size: tuple[int, int]) -> list[Array]:
    """Rows of negative samples, drawn by support to the power ``alpha``."""
    if alpha == 0:
        return list(stream.choice(len(support), size=size))
    cumulative = np.cumsum(support**alpha) / (support**alpha).sum()
    return list(np.searchsorted(np.r_[cumulative[:-1], 1], stream.rand(*size)))


def log_popularity(support: Array, Y: Array, M: int, alpha: float) -> Array:
    """log P of the scored items (N,): P is the support of a target's item, support^alpha of a sample's."""
    powers = np.where(np.arange(len(Y)) < M, 1.0, alpha)
    return powers * np.log(np.maximum(support, 1))[Y]
