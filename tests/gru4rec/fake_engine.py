"""An engine that learns nothing and counts what it is told."""

import json
import types
from pathlib import Path

import numpy as np

from gru4rec.options import COLUMNS, OPTIONS


def no_fit(gru, data, sample_store=0, *, resume=False, on_step=None, on_epoch_end=None):
    raise AssertionError("nothing is to be trained here")


STEP = 100  # events between two reports


class FakeGRU4Rec:
    """Has the options it is given; an epoch is a walk over the events; its recall is its number of epochs / 100."""

    stop_after: int | None = None  # epochs before a simulated interruption
    nan_at: int | None = None
    bad_weight_at: int | None = None  # epochs after which a weight is no number, though no loss was none
    dropout_p_hidden = 0.0

    def __init__(self, *, backend=None, dtype="float32", seed=42, dropout_seed=12345, **params):
        if unknown := set(params) - {*OPTIONS, *COLUMNS}:
            raise ValueError(f"unknown parameter {unknown}")
        self.__dict__.update(params, epochs_done=0, error_during_train=False)

    def fit(self, data, sample_store=10000000, retrain=False, *, resume=False, on_step=None, on_epoch_end=None):
        assert resume == (self.epochs_done > 0)
        for epoch in range(self.epochs_done, self.n_epochs):
            if epoch == self.nan_at:
                self.error_during_train = True
                return
            for events in range(STEP, len(data), STEP):
                progress = dict(epoch=epoch, step=events // 10, events=events, total_events=len(data), loss=0.5)
                on_step(types.SimpleNamespace(**progress))
            self.epochs_done += 1
            on_epoch_end(epoch, 1.0 / (epoch + 1))
            if self.epochs_done == self.stop_after:
                raise KeyboardInterrupt

    def get_weights(self):
        bad = self.bad_weight_at is not None and self.epochs_done >= self.bad_weight_at
        return {"Wy": np.ones(2), "Bh0": np.array([1.0, np.nan if bad else 1.0])}

    def prepare(self, data, sample_store=10): ...

    def set_weights(self, weights): ...

    def train_step(self, X, Y, R, masks=None, gradients=False): ...

    def save(self, path):
        Path(path).write_text(json.dumps(self.__dict__))

    @classmethod
    def load(cls, path):
        gru = cls()
        gru.__dict__.update(json.loads(Path(path).read_text()))
        return gru


class evaluation:
    @staticmethod
    def evaluate_gpu(gru, test, *, cut_off, batch_size, mode, session_key, item_key, time_key):
        assert {session_key, item_key, time_key} <= set(test.columns) and mode == "conservative"
        return dict.fromkeys(cut_off, (gru.epochs_done / 100, gru.epochs_done / 200))


FakeGRU4Rec.evaluation = evaluation
