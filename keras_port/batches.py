"""From events to session-parallel mini-batches (arXiv 1511.06939, section 3.1.1 "Session-parallel mini-batches")."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from keras_port import dwell
from keras_port.dropout import DropoutMasks
from keras_port.events import Columns, Events
from keras_port.sampling import NegativeSampler
from keras_port.settings import Settings


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


def check(events: Events, settings: Settings, columns: Columns) -> None:
    """Raise ValueError unless there is a session for each lane, a next item to learn, and times that can be read."""
    if settings.reads_times:
        dwell.check_times(events.times, f"data: column {columns.time!r}")
    lengths = np.diff(events.offsets)
    if settings.batch_size > len(lengths):
        raise ValueError(f"batch_size={settings.batch_size}: at most {len(lengths)}, the sessions of data, is accepted")
    if lengths.max() < 2:
        raise ValueError(f"data: a session of at least two events is needed, all {len(lengths)} sessions have one")


def session_order(events: Events, time_sort: bool) -> np.ndarray:
    """Order in which lanes take the sessions: by first time (stable), or by ascending session id."""
    return np.argsort(events.first_times, kind="stable") if time_sort else np.arange(len(events.offsets) - 1)


class Schedule:
    """Which event every lane reads at every step of an epoch: (steps, batch_size), -1 for an empty lane.

    Kept are the sessions alone, in the order in which lanes take them; the rows are laid out for the steps that are
    asked for, so that the memory does not grow with the events.

    A lane that finishes takes the next session, lanes that finish together in lane order; a session of one event is
    passed over in the next round of the same step. Without negative samples the epoch ends when fewer than two lanes
    are left.

    Args:
        offsets: (S + 1,) the sessions' first events.
        order: (S,) the sessions, as lanes take them.
        batch_size: the lanes.
        n_sample: negative samples a step.
    """

    _BLOCK = 4096  # steps that are laid out at a time

    def __init__(self, offsets: np.ndarray, order: np.ndarray, batch_size: int, n_sample: int):
        self._lengths = (np.diff(offsets)[order] - 1).astype(np.int32)  # steps of each session
        self._events = np.asarray(offsets[:-1])[order]
        self._longest = int(self._lengths.max(initial=0))
        self._starts, self._lanes = self._taken(self._lengths, batch_size)  # starts ascend
        ends = np.zeros(batch_size, np.int64)
        np.maximum.at(ends, self._lanes, self._starts + self._lengths)
        # lanes that once found no session left stay empty, so the steps of two lanes or more come first
        self.shape = int(np.sort(ends)[-1 if n_sample or batch_size < 2 else -2]), batch_size
        self._block, self._first = np.empty((0, batch_size), np.int64), 0

    @staticmethod
    def _taken(lengths: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """(first step, lane) of each session."""
        free = [(0, 0, lane) for lane in range(batch_size)]  # (step, round, lane), the order in which lanes take them
        starts, lanes = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int32)
        blocks = (lengths[first : first + 2**20].tolist() for first in range(0, len(lengths), 2**20))
        for k, length in enumerate(chain.from_iterable(blocks)):
            step, turn, lane = free[0]
            starts[k], lanes[k] = step, lane
            heapq.heapreplace(free, (step + length, 0, lane) if length else (step, turn + 1, lane))
        return starts, lanes

    def __len__(self) -> int:
        """The steps."""
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The rows, (batch_size,) each."""
        for first in range(0, len(self), self._BLOCK):
            yield from self.rows(first, first + self._BLOCK)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows."""
        return self._laid_out(0, len(self)).astype(dtype or np.int64, copy=False)

    def rows(self, first: int, end: int) -> np.ndarray:
        """Rows ``first`` to ``end`` - 1, as far as there are."""
        end = min(end, len(self))
        if not self._first <= first <= end <= self._first + len(self._block):
            self._first = first
            self._block = self._laid_out(first, min(len(self), max(end, first + self._BLOCK)))
        return self._block[first - self._first : max(first, end) - self._first]

    def _laid_out(self, first: int, end: int) -> np.ndarray:
        rows = np.full((max(0, end - first), self.shape[1]), -1, np.int64)
        # a session that is read at these steps begins before their end, and no longer before than the longest lasts
        some = slice(*np.searchsorted(self._starts, (first - self._longest, end)))
        starts, lengths = self._starts[some], self._lengths[some]
        begins = np.maximum(starts, first)
        counts = np.maximum(np.minimum(starts + lengths, end) - begins, 0)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        steps = np.repeat(begins, counts) + within
        rows[steps - first, np.repeat(self._lanes[some], counts)] = (
            np.repeat(self._events[some] - starts, counts) + steps
        )
        return rows

    def events_by_step(self) -> np.ndarray:
        """(steps,) the events that the steps up to each one read."""
        used = np.zeros(len(self) + 1, np.int64)
        np.add.at(used, np.minimum(self._starts, len(self)), 1)
        np.subtract.at(used, np.minimum(self._starts + self._lengths, len(self)), 1)
        return used[:-1].cumsum().cumsum()


def schedule(offsets: np.ndarray, order: np.ndarray, batch_size: int, n_sample: int) -> Schedule:
    """The :class:`Schedule` of an epoch."""
    return Schedule(offsets, order, batch_size, n_sample)


def last_occurrences(rows: np.ndarray, real: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """For each position of ``rows`` the last real position that holds the same row.

    Args:
        rows: (N,) row of each occurrence.
        real: (N,) bool, false for an occurrence of an empty lane, whose row some real one has too.
        scratch: (n,) integers, overwritten.
    """
    if real.all():
        scratch[rows] = np.arange(len(rows))
        return scratch[rows]
    used = np.flatnonzero(real)
    scratch[rows] = 0  # rows of unused steps name no real position
    scratch[rows[used]] = used
    return scratch[rows]


def add_last_occurrences(chunk: dict[str, np.ndarray], read_at: Sequence[str], scratch: np.ndarray) -> None:
    """Add ``last_X``, ``last_Y`` or ``last_XY`` to a chunk, for each of ``read_at``: 'X', 'Y', 'XY'."""
    lanes = chunk["lanes"]
    samples = np.ones((len(lanes), chunk["Y"].shape[1] - lanes.shape[1]), dtype=bool)
    real = {"X": [lanes], "Y": [lanes, samples], "XY": [lanes, lanes, samples]}
    for name in read_at:
        rows = np.concatenate([chunk[part] for part in name], axis=1)
        # an empty lane comes after the lane whose item it repeats, so its own position must not be the last
        pairs = zip(rows, np.concatenate(real[name], axis=1))
        chunk[f"last_{name}"] = np.stack([last_occurrences(*pair, scratch) for pair in pairs])


class SessionParallel:
    """The batches of a training, and chunks of consecutive steps of an epoch as arrays of one fixed shape.

    K = steps_per_call, B = batch_size lanes, N = B + n_sample. A chunk is a dict of

    * ``steps`` (): steps that count, K except in the last chunk;
    * ``X`` (K, B), ``Y`` (K, N): input items, and scored items (targets, then samples). An empty lane repeats the item
      of the first lane in use, so that it never names a row that the step does not use anyway;
    * ``lanes``, ``R`` (K, B) bool: lanes with an event, lanes whose target is their session's last event;
    * ``last_X``, ``last_Y``: :func:`last_occurrences` of the rows of X and Y (or ``last_XY`` of both joined), where
      ``read_at`` asks for them;
    * ``mask0``, ... (K, B, width) bool: dropout masks, one a site;
    * with ``dwell_time``: ``dwell`` (K, B), the bucket of each input; with ``dwell_weight``: ``weights`` (K, B), the
      weight of each lane's loss.

    Negative samples, masks and random orders come from streams, so chunks have to be read in order, each once an epoch.

    Args:
        events: what to train on.
        settings: of the model.
        rng: the stream of random orders.
        sampler: of negative samples.
        masks: of dropout.
        read_at: where momentum needs the last occurrence of a row: some of 'X', 'Y', 'XY'.
    """

    def __init__(
        self,
        events: Events,
        settings: Settings,
        rng: np.random.RandomState,
        sampler: NegativeSampler,
        masks: DropoutMasks,
        read_at: Sequence[str] = (),
    ):
        self.events, self.settings, self.rng = events, settings, rng
        self.sampler, self.masks, self.read_at = sampler, masks, read_at
        self._is_last = np.zeros(len(events.items), dtype=bool)
        self._is_last[events.offsets[1:] - 1] = True
        self._passed = dwell.since_previous(events.times, events.offsets) if settings.reads_times else np.empty(0)
        self._buckets = dwell.buckets(self._passed, settings.dwell_time) if settings.dwell_time else None
        self._weights: np.ndarray | None = None
        if settings.dwell_weight:
            self._weights = dwell.loss_weights(self._passed, settings.dwell_weight).astype(settings.dtype)
        self._scratch = np.zeros(len(events.item_ids), dtype=np.int32)
        self._fixed: Schedule | None = None
        self.positions = schedule(np.zeros(1, np.int64), np.arange(0), settings.batch_size, settings.n_sample)
        self.steps = 0

    @property
    def chunks(self) -> int:
        """Number of chunks of the present epoch."""
        return -(-self.steps // self.settings.steps_per_call)

    def start_epoch(self) -> None:
        """Lay out the next epoch; with ``train_random_order`` this draws its permutation."""
        settings, offsets = self.settings, self.events.offsets
        if settings.train_random_order:
            order = self.rng.permutation(len(offsets) - 1)
            self.positions = schedule(offsets, order, settings.batch_size, settings.n_sample)
        else:
            if self._fixed is None:
                order = session_order(self.events, settings.time_sort)
                self._fixed = schedule(offsets, order, settings.batch_size, settings.n_sample)
            self.positions = self._fixed
        self.steps = len(self.positions)

    def keep_steps(self, steps: int | None) -> None:
        """Cut the present epoch to its first ``steps``; None keeps all."""
        self.steps = self.steps if steps is None else min(self.steps, steps)

    def events_by_step(self) -> np.ndarray:
        """(steps,) the events that the steps of the epoch up to each one train on."""
        return self.positions.events_by_step()[: self.steps]

    def batches(self) -> Iterator[Batch | DwellBatch]:
        """The steps of the epoch as :class:`Batch` or :class:`DwellBatch`, without the rows of empty lanes."""
        items = self.events.items
        for row in islice(self.positions, self.steps):
            lanes = np.flatnonzero(row >= 0)
            events = row[lanes]
            Y = np.concatenate([items[events + 1], self.sampler.row()])
            batch = Batch(items[events], Y, self._is_last[events + 1], lanes)
            if not self.settings.reads_times:
                yield batch
                continue
            passed = None if self._buckets is None else self._passed[events]
            yield DwellBatch(*batch, passed, None if self._weights is None else self._weights[events + 1])

    def chunk(self, number: int) -> dict[str, np.ndarray]:
        """The ``number``-th chunk of the present epoch, from 0."""
        K, B, items = self.settings.steps_per_call, self.settings.batch_size, self.events.items
        positions = self.positions.rows(number * K, min((number + 1) * K, self.steps))
        steps = len(positions)
        lanes = positions >= 0
        first = positions[np.arange(steps), lanes.argmax(axis=1)]
        events = np.where(lanes, positions, first[:, None])
        chunk = {"steps": np.int32(steps), "lanes": lanes, "R": self._is_last[events + 1] & lanes, "X": items[events]}
        chunk["Y"] = np.empty((K, B + self.settings.n_sample), dtype=np.int32)
        chunk["Y"][:steps, :B] = items[events + 1]
        for k in range(steps):
            chunk["Y"][k, B:] = self.sampler.row()
        chunk["Y"][steps:] = 0
        if self._buckets is not None:
            chunk["dwell"] = self._buckets[events]
        if self._weights is not None:
            chunk["weights"] = self._weights[events + 1]
        chunk.update(self._masks(lanes))
        chunk = {name: _filled_up(values, K) for name, values in chunk.items()}
        add_last_occurrences(chunk, self.read_at, self._scratch)
        return chunk

    def _masks(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        masks = {
            f"mask{j}": np.ones((*lanes.shape, width), dtype=bool) for j, (_, width, _) in enumerate(self.masks.sites)
        }
        if masks:
            for k, used in enumerate(lanes):
                for mask, drawn in zip(masks.values(), self.masks.draw(int(used.sum()))):
                    mask[k, used] = drawn
        return masks


def _filled_up(values: np.ndarray, steps: int) -> np.ndarray:
    if values.ndim == 0 or len(values) == steps:
        return values
    return np.concatenate([values, np.zeros((steps - len(values), *values.shape[1:]), values.dtype)])
