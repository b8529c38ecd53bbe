"""Dwell time: how long a session stayed at an event, as an input of the network and as a weight in the loss.

The dwell of an event is the time to the next event of its session. When an event is read, its own dwell is not known
yet; that of the event before is, and the network sees it in a bucket (in the manner of Dallmann et al. 2017, arXiv
1706.10231, who read it as a feature of the event).

Times and dwells are in seconds. A dwell is NaN where there is none: before a session's first event.
"""

from typing import Any

import numpy as np

MOST_BUCKETS = 32  # the last begins at 2^31 - 1 seconds, 68 years


def check_times(times: np.ndarray, where: str) -> None:
    """Raise ValueError unless the times (E,) can be subtracted: numbers of seconds. ``where``: for the error."""
    if times.dtype.kind not in "iuf":
        raise ValueError(f"{where} holds {times.dtype}; dwell_time and dwell_weight need numbers of seconds")


def since_previous(times: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(E,) seconds from the event before of the same session to each event; NaN at a session's first.

    times: (E,) sorted by session, then time; offsets: (S + 1,) the sessions' first events.
    """
    passed = np.empty(len(times))
    passed[1:] = np.diff(times)
    passed[offsets[:-1]] = np.nan
    return passed


def check_session(times: Any, size: int, session: int) -> np.ndarray:
    """(size,) times of one session's items. Raises ValueError unless they are finite numbers that do not fall."""
    values = np.asarray(times, np.float64)
    if values.shape != (size,):
        raise ValueError(f"times of session {session} have shape {values.shape}: one an item, ({size},), is accepted")
    if not np.isfinite(values).all() or (np.diff(values) < 0).any():
        raise ValueError(f"times of session {session}: finite seconds that do not fall are accepted, given {times!r}")
    return values


def bounds(n_buckets: int) -> np.ndarray:
    """(n_buckets - 1,) lower ends of the buckets 2, 3, ...: 1, 3, 7, ... seconds."""
    return 2.0 ** np.arange(1, n_buckets) - 1


def buckets(passed: np.ndarray, n_buckets: int) -> np.ndarray:
    """Buckets of seconds since the event before: 0 for NaN, else 1 + min(floor(log2(1 + passed)), n_buckets - 1)."""
    found = 1 + np.searchsorted(bounds(n_buckets), passed, side="right")
    return np.where(np.isnan(passed), 0, found).astype(np.int32)


def given_buckets(dwell: Any, lanes: int, n_buckets: int) -> np.ndarray | None:
    """(lanes,) buckets of the ``dwell`` of a call: seconds or NaN of each lane, or None for none.

    Raises ValueError for anything else, and for a dwell where ``n_buckets`` is 0. None without buckets.
    """
    if not n_buckets:
        if dwell is not None:
            raise ValueError("dwell is given with dwell_time=0: a model that was trained with dwell_time takes it")
        return None
    if dwell is None:
        return np.zeros(lanes, np.int32)
    passed = np.asarray(dwell, np.float64)
    if passed.shape != (lanes,):
        raise ValueError(f"dwell has shape {passed.shape}: one value a lane, ({lanes},), is accepted")
    if (passed < 0).any() or np.isinf(passed).any():
        wrong = passed[(passed < 0) | np.isinf(passed)][0]
        raise ValueError(f"dwell has the value {wrong}: seconds of at least 0, or NaN for none, are accepted")
    return buckets(passed, n_buckets)


def loss_weights(passed: np.ndarray, strength: float) -> np.ndarray:
    """(E,) weight in the loss of each event as a target, from (E,) seconds since the event before it.

    With d the event's own dwell, the weight is (1 + strength*log2(1 + d)) / c, where c is the mean of the numerator
    over the targets that have a dwell; a session's last event has none and weighs 1. The mean over all targets (all
    events but the sessions' first) is 1.
    """
    dwell = np.append(passed[1:], np.nan)  # NaN at a session's last event, which the next session's first follows
    raised = 1.0 + strength * np.log2(1.0 + dwell)
    counted = np.isfinite(dwell) & np.isfinite(passed)
    weights = raised / raised[counted].mean() if counted.any() else np.ones(len(passed))
    return np.where(np.isnan(dwell), 1.0, weights)
