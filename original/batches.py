"""Sessions from a DataFrame, and session-parallel mini-batches (arXiv 1511.06939, section 3.1.1)."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Batch(NamedTuple):
    """One step's input: M lanes, N = M + n_sample scored items."""

    X: np.ndarray  # (M,) int32, index of each lane's input item
    Y: np.ndarray  # (N,) int32, the lanes' target items, then the negative samples
    R: np.ndarray  # (M,) bool, true where the target is its session's last event
    lanes: np.ndarray  # (M,) int, ascending, the lane that each row belongs to


def check_frame(data, session_key, item_key, time_key, name="data"):
    """Raise for a frame without the three columns, without events, or with missing values; name what is wrong."""
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"{name} is a {type(data).__name__}: accepted is a pandas DataFrame")
    missing = [key for key in (session_key, item_key, time_key) if key not in data.columns]
    if missing:
        raise ValueError(f"{name} has no column {missing[0]!r}; its columns are {list(map(str, data.columns))}")
    if len(data) == 0:
        raise ValueError(f"{name} is empty: accepted is a frame with at least one event")
    for key in (session_key, item_key, time_key):
        bad = data[key].isna().to_numpy()
        if bad.any():
            raise ValueError(
                f"{name}: column {key!r} has no value (NaN) in {bad.sum()} rows, the first is row {int(bad.argmax())}"
            )


def item_map(data, item_key):
    """Item ids in order of first appearance -> 0..n-1, a Series."""
    ids = data[item_key].unique()
    return pd.Series(np.arange(len(ids)), index=pd.Index(ids, name=item_key), name="ItemIdx")


def item_indices(itemidmap, ids, what="item"):
    """Indices (len(ids),) int32 of item ids. Raises ValueError naming the ids that the model does not know."""
    indices = itemidmap.index.get_indexer(pd.Index(ids))
    if (indices < 0).any():
        unknown = pd.Index(ids)[indices < 0].unique()
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise ValueError(
            f"{what} {', '.join(map(str, unknown[:5]))}{more}: not among the {len(itemidmap)} "
            f"items of the training data"
        )
    return indices.astype(np.int32)


class Sessions:
    """The events of a frame, sorted by (session, time), stable.

    Attributes: ``items`` (events,) int32 item indices; ``offsets`` (sessions+1,), session s holds the events
    offsets[s]:offsets[s+1]; ``by_time``, the sessions by their first timestamp. Sessions are numbered by ascending
    session id.
    """

    def __init__(self, data, itemidmap, session_key, item_key, time_key):
        session = pd.factorize(data[session_key], sort=True)[0]
        time = data[time_key].to_numpy()
        order = np.lexsort((time, session))
        self.items = item_indices(itemidmap, data[item_key])[order]
        new = np.flatnonzero(np.r_[True, session[order][1:] != session[order][:-1]])
        self.offsets = np.r_[new, len(order)]
        self.by_time = np.argsort(time[order][self.offsets[:-1]], kind="stable")

    def __len__(self):
        return len(self.offsets) - 1


def parallel_batches(sessions, order, batch_size, n_sample, draw_samples):
    """Yield the epoch's :class:`Batch` es over ``sessions`` in ``order``. ``draw_samples()`` gives a step's (n_sample,)
    negatives.

    Lanes hold a session each. When a lane's session is used up it takes the next one; when none is left the lane is
    removed, so that no event is lost. The epoch ends with the last lane, or, without negative samples, when fewer than
    two lanes are left.
    """
    items, offsets = sessions.items, sessions.offsets
    lanes = np.arange(batch_size)
    position = offsets[order[:batch_size]]
    end = offsets[order[:batch_size] + 1]
    following = batch_size
    while len(lanes) > (0 if n_sample else 1):
        m = int((end - position).min())
        for i in range(m - 1):
            Y = items[position + i + 1]
            if n_sample:
                Y = np.concatenate([Y, draw_samples()])
            yield Batch(items[position + i], Y, position + i + 2 == end, lanes)
        position = position + m - 1
        finished = np.flatnonzero(end - position <= 1)
        taken = finished[: max(0, min(len(finished), len(order) - following))]
        sessions_in = order[following : following + len(taken)]
        end = end.copy()
        position[taken], end[taken] = offsets[sessions_in], offsets[sessions_in + 1]
        following += len(taken)
        left = np.setdiff1d(np.arange(len(lanes)), finished[len(taken) :], assume_unique=True)
        lanes, position, end = lanes[left], position[left], end[left]
