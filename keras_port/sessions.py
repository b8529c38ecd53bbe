"""From a DataFrame of events to session-parallel mini-batches (arXiv 1511.06939, section 3.1.1)."""

import heapq
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from keras_port import dwell


class Batch(NamedTuple):
    """One step's input: M lanes, N = M + n_sample scored items."""

    X: np.ndarray  # (M,) index of each lane's input item
    Y: np.ndarray  # (N,) the lanes' target items, then the negative samples
    R: np.ndarray  # (M,) bool, true where the target is its session's last event
    lanes: np.ndarray  # (M,) ascending, the lane (0..batch_size-1) of each row


class DwellBatch(NamedTuple):
    """A :class:`Batch` of a model that learns from dwell time, with what ``train_step`` takes further."""

    X: np.ndarray
    Y: np.ndarray
    R: np.ndarray
    lanes: np.ndarray
    dwell: np.ndarray | None  # (M,) seconds since the event before, NaN at a session's first; None without dwell_time
    weights: np.ndarray | None  # (M,) weight of each lane's loss; None without dwell_weight


class Sessions(NamedTuple):
    """Events sorted by session, then time. S sessions, E events."""

    items: np.ndarray  # (E,) item index of each event
    offsets: np.ndarray  # (S + 1,) first event of each session, in ascending session id order
    first_times: np.ndarray  # (S,) smallest time of each session
    since_previous: np.ndarray | None = None  # (E,) seconds since the session's event before; None unless asked for


def check_frame(data, session_key, item_key, time_key, name="data"):
    """Raise TypeError or ValueError unless ``data`` is a usable frame of events."""
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"{name} is a {type(data).__name__}: a pandas DataFrame is accepted")
    missing = [key for key in (session_key, item_key, time_key) if key not in data.columns]
    if missing:
        raise ValueError(f"{name} has no column {missing}: it has {list(data.columns)}")
    if not len(data):
        raise ValueError(f"{name} has no rows")
    for key in (session_key, item_key, time_key):
        empty = data[key].isna()
        if empty.any():
            raise ValueError(
                f"{name}[{key!r}] is empty (NaN) in row {data.index[empty.to_numpy()][0]!r}: every event needs a value"
            )


def item_map(data, item_key):
    """Series: index = item ids in order of first appearance in the frame as given, values 0..n-1."""
    ids = data[item_key].unique()
    return pd.Series(np.arange(len(ids)), index=pd.Index(ids, name=item_key), name="ItemIdx")


def item_support(data, item_key, itemidmap):
    """(n,) events of each item of the map in ``data``."""
    return np.bincount(itemidmap.index.get_indexer(data[item_key].to_numpy()), minlength=len(itemidmap))


def sort_events(data, itemidmap, session_key, item_key, time_key, with_dwell=False):
    """:class:`Sessions` of a frame whose items are all in ``itemidmap``; the sort by (session, time) is stable."""
    codes, _ = pd.factorize(data[session_key], sort=True)
    times = data[time_key].to_numpy()
    order = np.lexsort((times, codes))
    times = times[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    items = itemidmap.index.get_indexer(data[item_key].to_numpy())[order].astype(np.int32)
    passed = dwell.since_previous(times, offsets) if with_dwell else None
    return Sessions(items, offsets, times[offsets[:-1]], passed)


def session_order(sessions, time_sort):
    """Order in which lanes take the sessions: by first time (stable), or by ascending session id."""
    return np.argsort(sessions.first_times, kind="stable") if time_sort else np.arange(len(sessions.offsets) - 1)


def schedule(offsets, order, batch_size, n_sample):
    """Which event every lane reads at every step of an epoch: (steps, batch_size), -1 for an empty lane.

    A lane that finishes takes the next session, lanes that finish together in lane order; a session of one event is
    passed over in the next round of the same step. Without negative samples the epoch ends when fewer than two lanes
    are left.
    """
    lengths = np.diff(offsets)[order] - 1  # steps of each session
    free = [(0, 0, lane) for lane in range(batch_size)]  # (step, round, lane), the order in which lanes take sessions
    starts, lanes = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    for k, length in enumerate(lengths.tolist()):
        step, turn, lane = free[0]
        starts[k], lanes[k] = step, lane
        heapq.heapreplace(free, (step + length, 0, lane) if length else (step, turn + 1, lane))
    total = int((starts + lengths).max(initial=0))
    positions = np.full((total, batch_size), -1, dtype=np.int64)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    positions[np.repeat(starts, lengths) + within, np.repeat(lanes, lengths)] = (
        np.repeat(offsets[:-1][order], lengths) + within
    )
    if not n_sample:
        positions = positions[(positions >= 0).sum(axis=1) >= 2]
    return positions


def last_occurrence(indices, scratch):
    """For each position of ``indices`` the last that holds the same index. scratch: (n,) integers, overwritten."""
    scratch[indices] = np.arange(len(indices))
    return scratch[indices]


class SessionParallel(keras.utils.PyDataset):
    """Chunks of consecutive steps of an epoch, as arrays of one fixed shape.

    K = steps_per_call, B = batch_size lanes, N = B + n_sample. A chunk is a dict of

    * ``steps`` (): steps that count, K except in the last chunk;
    * ``X`` (K, B), ``Y`` (K, N): input items, and scored items (targets, then samples). An empty lane repeats the item
      of the first lane in use, so that it never names a row that the step does not use anyway;
    * ``lanes``, ``R`` (K, B) bool: lanes with an event, lanes whose target is their session's last event;
    * ``last_X``, ``last_Y``: :func:`last_occurrence` of the rows of X and Y (or ``last_XY`` of both joined), where
      asked for;
    * ``mask0``, ... (K, B, width) bool: dropout masks, one a site;
    * with ``dwell_time``: ``dwell`` (K, B), the bucket of each input; with ``dwell_weight``: ``weights`` (K, B), the
      weight of each lane's loss.

    Negative samples and masks come from the streams of ``state`` (:class:`~keras_port.train_state.TrainState`), so
    chunks have to be read in order, each once an epoch.
    """

    def __init__(self, sessions, settings, state, mask_widths, occurrences, steps_per_call):
        super().__init__(workers=1, use_multiprocessing=False)
        self.sessions, self.settings, self.state = sessions, settings, state
        self.mask_widths, self.occurrences, self.steps_per_call = mask_widths, occurrences, steps_per_call
        self._is_last = np.zeros(len(sessions.items), dtype=bool)
        self._is_last[sessions.offsets[1:] - 1] = True
        passed = sessions.since_previous
        self._buckets = dwell.buckets(passed, settings.dwell_time) if settings.dwell_time else None
        self._weights = None
        if settings.dwell_weight:
            self._weights = dwell.loss_weights(passed, settings.dwell_weight).astype(settings.dtype)
        self._scratch = np.zeros(len(state.sampler.support), dtype=np.int32)
        self._fixed = None
        self.positions = np.empty((0, settings.batch_size), dtype=np.int64)

    @property
    def num_batches(self):
        return -(-len(self.positions) // self.steps_per_call)

    def start_epoch(self):
        """Lay out the next epoch; with ``train_random_order`` this draws its permutation."""
        s = self.settings
        if s.train_random_order:
            order = self.state.rng.permutation(len(self.sessions.offsets) - 1)
            self.positions = schedule(self.sessions.offsets, order, s.batch_size, s.n_sample)
            return
        if self._fixed is None:
            order = session_order(self.sessions, s.time_sort)
            self._fixed = schedule(self.sessions.offsets, order, s.batch_size, s.n_sample)
        self.positions = self._fixed

    def batches(self):
        """The steps of the epoch as :class:`Batch` or :class:`DwellBatch`, without the rows of empty lanes."""
        for row in self.positions:
            lanes = np.flatnonzero(row >= 0)
            at = row[lanes]
            Y = np.concatenate([self.sessions.items[at + 1], self.state.sampler.row()])
            batch = Batch(self.sessions.items[at], Y, self._is_last[at + 1], lanes)
            if not self.settings.reads_times:
                yield batch
                continue
            passed = None if self._buckets is None else self.sessions.since_previous[at]
            yield DwellBatch(*batch, passed, None if self._weights is None else self._weights[at + 1])

    def __getitem__(self, index):
        K, B = self.steps_per_call, self.settings.batch_size
        positions = self.positions[index * K : (index + 1) * K]
        steps = len(positions)
        lanes = positions >= 0
        first = positions[np.arange(steps), lanes.argmax(axis=1)]
        at = np.where(lanes, positions, first[:, None])
        items = self.sessions.items
        chunk = {"steps": np.int32(steps), "lanes": lanes, "R": self._is_last[at + 1] & lanes, "X": items[at]}
        chunk["Y"] = np.empty((K, B + self.settings.n_sample), dtype=np.int32)
        chunk["Y"][:steps, :B] = items[at + 1]
        for k in range(steps):
            chunk["Y"][k, B:] = self.state.sampler.row()
        chunk["Y"][steps:] = 0
        if self._buckets is not None:
            chunk["dwell"] = self._buckets[at]
        if self._weights is not None:
            chunk["weights"] = self._weights[at + 1]
        self._draw_masks(chunk, lanes)
        chunk = {name: self._pad(values, K) for name, values in chunk.items()}
        add_occurrences(chunk, self.occurrences, self._scratch)
        return chunk

    def _draw_masks(self, chunk, lanes):
        for site, (stream, width) in enumerate(zip(self.state.mask_streams, self.mask_widths)):
            masks = np.ones((*lanes.shape, width), dtype=bool)
            for k, used in enumerate(lanes):
                masks[k, used] = stream.draw(int(used.sum()), width)
            chunk[f"mask{site}"] = masks

    @staticmethod
    def _pad(values, K):
        if values.ndim == 0 or len(values) == K:
            return values
        return np.concatenate([values, np.zeros((K - len(values), *values.shape[1:]), values.dtype)])


def add_occurrences(chunk, names, scratch):
    """Add ``last_X``, ``last_Y`` or ``last_XY`` for each of the ``names`` 'X', 'Y', 'XY' to a chunk."""
    for name in names:
        rows = np.concatenate([chunk[part] for part in name], axis=1)
        # an empty lane comes after the lane it repeats, so its own position must not win: see `real` below
        chunk[f"last_{name}"] = np.stack(
            [_last_real(row, real, scratch) for row, real in zip(rows, _real(chunk, name))]
        )


def _real(chunk, name):
    lanes = chunk["lanes"]
    samples = np.ones((len(lanes), chunk["Y"].shape[1] - lanes.shape[1]), dtype=bool)
    return np.concatenate(
        [part for letter in name for part in ([lanes] if letter == "X" else [lanes, samples])], axis=1
    )


def _last_real(row, real, scratch):
    if real.all():
        return last_occurrence(row, scratch)
    used = np.flatnonzero(real)
    scratch[row] = 0  # rows of unused steps name no real position
    scratch[row[used]] = used
    return scratch[row]
