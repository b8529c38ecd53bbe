"""Keras callbacks around a training: those that cannot serve it, and plain functions in place of any."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_port.batches import SessionParallel

_OF_AN_OPTIMIZER = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.SwapEMAWeights,
)


class Progress(NamedTuple):
    """Where a training stands."""

    epoch: int  # from 0
    step: int  # steps done in this epoch
    events: int  # target events trained on in this epoch
    total_events: int  # target events of the whole epoch
    loss: float  # mean cost of this epoch so far, weighted by lanes


def check(callbacks: Any) -> None:
    """Raise ValueError for a callback that changes a Keras optimizer, which GRU4Rec's updates are not.

    TypeError for what is no callback.
    """
    for callback in _each(callbacks):
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(f"callbacks: {type(callback).__name__}; keras.callbacks.Callback, or a list, is accepted")
        if isinstance(callback, _OF_AN_OPTIMIZER):
            raise ValueError(
                f"callbacks: {type(callback).__name__} works on a Keras optimizer, and the updater of GRU4Rec is none; "
                "learning_rate stays as it is for a whole training"
            )


def _each(callbacks: Any) -> list[Any]:
    """Callbacks as Keras takes them: none, one, a list of them, lists within lists, or a ``CallbackList``."""
    return keras.tree.flatten(getattr(callbacks, "callbacks", callbacks) or ())


class ProgressReport(keras.callbacks.Callback):
    """Calls ``on_step(Progress)`` after each call of many steps, and ``on_epoch_end(epoch, loss)`` after each epoch."""

    def __init__(
        self,
        batches: SessionParallel,
        on_step: Callable[[Progress], Any] | None = None,
        on_epoch_end: Callable[[int, float], Any] | None = None,
    ) -> None:
        super().__init__()
        self.batches, self.report_step, self.report_epoch = batches, on_step, on_epoch_end
        self.epoch = 0
        self.events: np.ndarray | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """A new epoch, whose events are not counted yet."""
        self.epoch, self.events = epoch, None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report where the training stands after step ``batch`` of the epoch, from 0."""
        if self.report_step is None:
            return
        if self.events is None:
            self.events = self.batches.events_by_step()
        told = self.epoch, batch + 1, int(self.events[batch]), int(self.events[-1]), float(logs["loss"])
        self.report_step(Progress(*told))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the epoch's loss."""
        if self.report_epoch is not None:
            self.report_epoch(epoch, float(logs["loss"]))


def as_list(
    callbacks: Any, model: keras.Model, verbose: Any, epochs: int, more: Sequence[keras.callbacks.Callback] = ()
) -> keras.callbacks.CallbackList:
    """Callbacks as Keras calls them, with a history, and a progress bar unless ``verbose`` is 0."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        for callback in more:
            callbacks.append(callback)
        return callbacks
    return keras.callbacks.CallbackList(
        [*_each(callbacks), *more],
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=None,
    )
