"""What a model has besides its options: network, random streams, data, and where its training stands."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from original import checkpoint as files
from original.batches import Begun, Schedule, check_sessions, resumed
from original.checkpoint import Checkpoint
from original.dropout import DropoutMasks
from original.events import Columns, Events, id_map, read
from original.initial_weights import Weights, draw, extended
from original.network import Network
from original.prediction import KnownSessions, Scorer
from original.sampling import state_of
from original.settings import Settings, is_whole, refusal
from original.training import NO_DATA, Progress, Trainer

log = logging.getLogger(__name__)

NO_WEIGHTS = "the model has no weights yet: call fit, prepare, build or load first"


@dataclass(eq=False)
class Built:
    """What there is once a model has weights."""

    trainer: Trainer
    scorer: Scorer
    sessions: KnownSessions
    stream: np.random.RandomState


@dataclass(eq=False)
class State:
    """A model without its options; the functions below make one.

    Attributes:
        itemidmap, support, epochs_done, error_during_train, fault: see :class:`original.gru4rec.GRU4Rec`.
        schedule: the epochs over the prepared data; None before there are any, or where a file did not bring them.
        before: what the training of a file began with; None elsewhere.
    """

    itemidmap: pd.Series | None = None
    support: np.ndarray | None = None
    epochs_done: int = 0
    error_during_train: bool = False
    fault: str = ""
    schedule: Schedule | None = None
    before: Begun | None = None
    maybe_built: Built | None = field(default=None, repr=False)

    @property
    def built(self) -> Built:
        """What is built. Raises RuntimeError before there are weights."""
        if self.maybe_built is None:
            raise RuntimeError(NO_WEIGHTS)
        return self.maybe_built

    @property
    def items(self) -> pd.Series:
        """The item map. Raises RuntimeError before there are weights, or data."""
        known = self.itemidmap if self.built else None
        if known is None:
            raise RuntimeError(NO_DATA)
        return known

    @property
    def begun(self) -> Begun | None:
        """What the present training began with; None before there is one."""
        return self.schedule.begun if self.schedule is not None else self.before

    def epochs(self) -> Schedule:
        """The epochs over the prepared data. Raises RuntimeError before there are data."""
        if self.schedule is None:
            raise RuntimeError(NO_DATA)
        return self.schedule

    def resume(self, settings: Settings, data: Any, sample_store: int) -> None:
        """Make ready to go on with a training. Raises ValueError where data or store are not its own."""
        sample_store = _store(sample_store)
        if self.begun is None:
            raise ValueError("resume=True: this model has never been fitted")
        events = _read(settings, data, self.itemidmap)
        self.schedule = resumed(self.begun, events, settings, sample_store, self.built.stream)

    def train(
        self,
        n_epochs: int,
        on_step: Callable[[Progress], None] | None = None,
        on_epoch_end: Callable[[int, float], None] | None = None,
    ) -> None:
        """Train until ``n_epochs`` are done, or training diverges."""
        trainer, schedule = self.built.trainer, self.epochs()
        self.error_during_train, self.fault = False, ""
        for epoch in range(self.epochs_done, n_epochs):
            loss, fault = trainer.epoch(epoch, schedule.epoch(), schedule.events.n_steps, on_step)
            if fault is not None:
                self.error_during_train, self.fault = True, fault
                return
            self.epochs_done = epoch + 1
            log.info("epoch %d, loss %.6f", epoch + 1, loss)
            if on_epoch_end:
                on_epoch_end(epoch, loss)

    def save(self, settings: Settings, path: str | os.PathLike[str]) -> None:
        """Write a model file; see :func:`original.checkpoint.write`."""
        trainer, stream = self.built.trainer, self.built.stream
        files.target(path)  # a missing folder shows before all tensors are copied
        network, begun = trainer.network, self.begun
        files.write(
            Checkpoint(
                settings=settings,
                weights=network.get(network.weights),
                optimizer_state=network.get(network.optimizer_state),
                hidden=[trainer.filled(H) for H in trainer.get_hidden()],
                lanes=trainer.lanes,
                stream=state_of(stream),
                dropout=trainer.masks.get_state(),
                epochs_done=self.epochs_done,
                error_during_train=self.error_during_train,
                item_ids=None if self.itemidmap is None else self.itemidmap.index,
                support=self.support,
                begun=begun,
            ),
            path,
        )


def _read(settings: Settings, data: Any, known: pd.Series | None = None) -> Events:
    columns = Columns(settings.session_key, settings.item_key, settings.time_key)
    return read(data, columns, known, grow=True)


def _built(
    settings: Settings,
    weights: Weights,
    stream: np.random.RandomState,
    support: np.ndarray | None = None,
    masks: DropoutMasks | None = None,
) -> Built:
    """A network of ``weights`` with a fresh optimizer; ``masks`` are a dropout stream that goes on."""
    network = Network(settings, weights)
    sessions = KnownSessions(settings.layers, settings.dtype)
    return Built(Trainer(network, support, masks), Scorer(network), sessions, stream)


def _store(sample_store: Any) -> int:
    """The size of a store. Raises ValueError for what is none."""
    if not is_whole(sample_store, 0):
        raise refusal("sample_store", sample_store, "a whole number of at least 0")
    return int(sample_store)


def of_size(settings: Settings, n_items: int) -> State:
    """A model of ``n_items`` items without data."""
    if not is_whole(n_items, 1):
        raise refusal("n_items", n_items, "a whole number of at least 1")
    stream = np.random.RandomState(settings.seed)
    return State(maybe_built=_built(settings, draw(settings, int(n_items), stream), stream))


def prepared(settings: Settings, data: Any, sample_store: int, trained: State | None = None) -> State:
    """A model that is ready for its first epoch.

    Args:
        settings: of the model.
        data: a frame.
        sample_store: how many negative samples are drawn ahead.
        trained: the model whose weights and random streams go on (retraining); None for a new one.
    """
    sample_store = _store(sample_store)
    known = None if trained is None else trained.items
    events = _read(settings, data, known)
    check_sessions(events, settings)
    if trained is None:
        stream, masks = np.random.RandomState(settings.seed), None
        weights = draw(settings, len(events.item_ids), stream)
    else:
        trainer, stream = trained.built.trainer, trained.built.stream
        weights, masks = trainer.network.get(trainer.network.weights), trainer.masks
        weights = extended(settings, weights, len(events.item_ids) - len(trained.items), stream)
    schedule = Schedule(events, settings, sample_store, stream)
    return State(
        itemidmap=id_map(events.item_ids, settings.item_key),
        support=events.support,
        schedule=schedule,
        maybe_built=_built(settings, weights, stream, events.support, masks),
    )


def load(path: str | os.PathLike[str], **elsewhere: str | None) -> tuple[Settings, State]:
    """A model file's settings, and the model as it was saved; see :func:`original.checkpoint.read` for the errors.

    Args:
        path: of the file.
        elsewhere: backend and device, where they are to be others than when it was saved.
    """
    saved = files.read(path)
    settings = saved.settings.replaced(**{name: value for name, value in elsewhere.items() if value is not None})
    try:
        masks = DropoutMasks(settings, saved.dropout)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    stream = np.random.RandomState()
    stream.set_state(saved.stream)
    network = Network(settings, saved.weights, saved.optimizer_state)
    trainer = Trainer(network, saved.support, masks)
    trainer.set_hidden([H[: saved.lanes] for H in saved.hidden])
    sessions = KnownSessions(settings.layers, settings.dtype)
    return settings, State(
        itemidmap=None if saved.item_ids is None else id_map(saved.item_ids, saved.item_ids.name),
        support=saved.support,
        epochs_done=saved.epochs_done,
        error_during_train=saved.error_during_train,
        before=saved.begun,
        maybe_built=Built(trainer, Scorer(network), sessions, stream),
    )
