"""Session-parallel mini-batches (arXiv 1511.06939, section "Session-parallel mini-batches")."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from original.events import Events
from original.sampling import NegativeSampler, StorePosition
from original.settings import Settings, refusal


class Batch(NamedTuple):
    """One step's input: M lanes, N = M + n_sample scored items.

    Attributes:
        X: (M,) int32, index of each lane's input item.
        Y: (N,) int32, the lanes' target items, then the negative samples.
        R: (M,) bool, true where the target is its session's last event.
        lanes: (M,) int64, ascending, the lane that each row belongs to.
    """

    X: np.ndarray
    Y: np.ndarray
    R: np.ndarray
    lanes: np.ndarray


def session_order(events: Events, settings: Settings, stream: np.random.RandomState) -> np.ndarray:
    """(S,) the sessions in the order of an epoch; a random order is drawn from ``stream``."""
    if settings.train_random_order:
        return stream.permutation(len(events))
    return events.by_time if settings.time_sort else np.arange(len(events))


def parallel_batches(
    events: Events, order: np.ndarray, settings: Settings, draw_samples: Callable[[], np.ndarray] | None
) -> Iterator[Batch]:
    """An epoch's batches.

    Lanes hold a session each. When a lane's session is used up it takes the next one; when none is left the lane is
    removed, so that no event is lost. The epoch ends with the last lane, or, without negative samples, when fewer than
    two lanes are left.

    Args:
        events: the training data.
        order: (S,) the sessions in the order in which lanes take them; at least ``batch_size``.
        settings: for ``batch_size`` and ``n_sample``.
        draw_samples: gives a step's (n_sample,) negatives; None with ``n_sample=0``.
    """
    items, offsets = events.items, events.offsets
    lanes = np.arange(settings.batch_size)
    position = offsets[order[: settings.batch_size]]
    end = offsets[order[: settings.batch_size] + 1]
    following = settings.batch_size
    while len(lanes) > (0 if draw_samples else 1):
        shortest = int((end - position).min())
        for i in range(shortest - 1):
            Y = items[position + i + 1]
            if draw_samples:
                Y = np.concatenate([Y, draw_samples()])
            yield Batch(items[position + i], Y, position + i + 2 == end, lanes)
        position = position + shortest - 1
        finished = np.flatnonzero(end - position <= 1)
        taken = finished[: max(0, min(len(finished), len(order) - following))]
        sessions_in = order[following : following + len(taken)]
        end = end.copy()
        position[taken], end[taken] = offsets[sessions_in], offsets[sessions_in + 1]
        following += len(taken)
        left = np.setdiff1d(np.arange(len(lanes)), finished[len(taken) :], assume_unique=True)
        lanes, position, end = lanes[left], position[left], end[left]


class Begun(NamedTuple):
    """What a training that is to go on began with.

    Attributes:
        digests: of its events, see :class:`original.events.Events`.
        sample_store: how many samples were drawn ahead.
        position: where its sampler stands in its store, None without one.
    """

    digests: dict[str, str]
    sample_store: int
    position: StorePosition | None


class Schedule:
    """The epochs of a training: its events, its negative samples, and the random stream that both come from.

    Args:
        events: the training data.
        settings: of the model.
        sample_store: how many samples are drawn ahead.
        stream: the model's NumPy stream; the first store is drawn from it at once.
        position: where to go on in a store that was drawn before; None to begin.

    Raises:
        ValueError: for fewer sessions than lanes, or where no session has two events.
    """

    def __init__(
        self,
        events: Events,
        settings: Settings,
        sample_store: int,
        stream: np.random.RandomState,
        position: StorePosition | None = None,
    ) -> None:
        check_sessions(events, settings)
        self.events, self.settings, self.sample_store, self.stream = events, settings, sample_store, stream
        self.sampler = None
        if settings.n_sample:
            self.sampler = NegativeSampler(
                events.support, settings.sample_alpha, settings.n_sample, sample_store, stream, position
            )

    @property
    def begun(self) -> Begun:
        """What is needed to go on from here."""
        position = self.sampler.position if self.sampler is not None else None
        return Begun(self.events.digests, self.sample_store, position)

    def epoch(self) -> Iterator[Batch]:
        """The batches of the next epoch; a random order of sessions is drawn at the call."""
        order = session_order(self.events, self.settings, self.stream)
        return parallel_batches(self.events, order, self.settings, self.sampler)


def resumed(
    begun: Begun, events: Events, settings: Settings, sample_store: int, stream: np.random.RandomState
) -> Schedule:
    """The schedule of a training that goes on.

    Raises:
        ValueError: where the data or the store are not those that it began with.
    """
    ordered_by_time = settings.time_sort and not settings.train_random_order
    different = events.difference(begun.digests, ordered_by_time)
    if different:
        raise ValueError(f"resume=True: {different} of the data is not that of the training")
    if settings.n_sample and sample_store != begun.sample_store:
        raise ValueError(f"resume=True: sample_store={sample_store}, but the training began with {begun.sample_store}")
    return Schedule(events, settings, sample_store, stream, begun.position)


def check_sessions(events: Events, settings: Settings) -> None:
    """Raise ValueError for fewer sessions than lanes, or where no session has two events."""
    if len(events) < settings.batch_size:
        raise refusal("batch_size", settings.batch_size, f"at most {len(events)}, the sessions of data,")
    if events.n_steps == 0:
        raise ValueError(f"data: a session of at least two events is needed, all {len(events)} sessions have one")
