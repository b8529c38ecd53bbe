"""Plain functions called as training goes, for callers that want no Keras callback."""

from typing import NamedTuple

import keras
import numpy as np


class Progress(NamedTuple):
    """Where a training stands."""

    epoch: int  # from 0
    step: int  # steps done in this epoch
    events: int  # target events trained on in this epoch
    total_events: int  # target events of the whole epoch
    loss: float  # mean cost of this epoch so far, weighted by lanes


class ProgressReport(keras.callbacks.Callback):
    """Calls ``on_step(Progress)`` after each call of many steps, and ``on_epoch_end(epoch, loss)`` after each epoch."""

    def __init__(self, dataset, on_step=None, on_epoch_end=None):
        super().__init__()
        self.dataset, self.report_step, self.report_epoch = dataset, on_step, on_epoch_end

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.events = epoch, None

    def on_train_batch_end(self, batch, logs=None):
        if self.report_step is None:
            return
        if self.events is None:
            self.events = np.cumsum((self.dataset.positions >= 0).sum(axis=1))
        self.report_step(
            Progress(self.epoch, batch + 1, int(self.events[batch]), int(self.events[-1]), float(logs["loss"]))
        )

    def on_epoch_end(self, epoch, logs=None):
        if self.report_epoch is not None:
            self.report_epoch(epoch, float(logs["loss"]))
