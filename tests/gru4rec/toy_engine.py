"""An engine that needs no compiler: it counts which item follows which, and takes ``learning_rate`` of it an epoch.

Recall rises with the learning rate and with the epochs. A learning rate above 1 makes the loss NaN.
"""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from gru4rec import files

NAME = "toy_engine:GRU4Rec"  # for --engine
OPTIONS = dict(loss="bpr-max", n_epochs=10, batch_size=32, learning_rate=0.1, momentum=0.0, layers=[100])
OWN = dict(session_key="SessionId", item_key="ItemId", time_key="Time", dtype="float32", seed=42, dropout_seed=12345)


class GRU4Rec:
    def __init__(self, **options):
        if unknown := options.keys() - OPTIONS.keys() - OWN.keys():
            raise ValueError(f"unknown options {unknown}")
        self.__dict__.update(OPTIONS | OWN | options)
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate!r}: a number above 0 is accepted")
        if self.loss == "top1" and self.layers == [7]:
            raise ValueError("layers=[7] with loss='top1': another pair is accepted")
        self.itemidmap, self.epochs_done, self.error_during_train = None, 0, False

    def fit(self, data, sample_store=10, *, resume=False, on_step=None, on_epoch_end=None):
        if not resume:
            items = data[self.item_key].unique()
            self.itemidmap = pd.Series(np.arange(len(items)), index=items)
        events = self.sorted(data)
        n = len(self.itemidmap)
        self.follows = np.zeros((n, n))
        np.add.at(self.follows, (events["item"][:-1], events["item"][1:]), np.diff(events["session"]) == 0)
        for epoch in range(self.epochs_done, self.n_epochs):
            time.sleep(float(os.environ.get("TOY_SECONDS", 0)))
            if self.learning_rate > 1:
                self.error_during_train = True
                return
            for half in (1, 2):
                on_step(SimpleNamespace(epoch=epoch, step=half, events=half * len(events) // 2,
                                        total_events=len(events), loss=1 / (epoch + half)))  # fmt: skip
            self.epochs_done = epoch + 1
            on_epoch_end(epoch, 1 / self.epochs_done)

    def sorted(self, data):
        frame = pd.DataFrame({"session": pd.factorize(data[self.session_key], sort=True)[0]})
        frame["item"] = data[self.item_key].map(self.itemidmap).to_numpy()
        frame["time"] = data[self.time_key].to_numpy()
        return frame.dropna().astype({"item": int}).sort_values(["session", "time"], kind="stable")

    def save(self, path):
        kept = {name: getattr(self, name) for name in (*OPTIONS, *OWN, "epochs_done")}
        kept |= {"items": self.itemidmap.index.tolist(), "follows": self.follows.tolist()}
        files.write_text(Path(path), json.dumps(kept))

    @classmethod
    def load(cls, path):
        kept = json.loads(Path(path).read_text())
        items, follows, done = (kept.pop(name) for name in ("items", "follows", "epochs_done"))
        gru = cls(**kept)
        gru.itemidmap = pd.Series(np.arange(len(items)), index=items)
        gru.follows, gru.epochs_done = np.array(follows), done
        return gru

    def prepare(self, data, sample_store=10): ...

    def get_weights(self):
        return {}

    def set_weights(self, weights): ...

    def train_step(self, X, Y, R, masks=None, gradients=False): ...


class evaluation:
    @staticmethod
    def evaluate_gpu(gru, test, session_key, item_key, time_key, cut_off, batch_size, mode):
        gru.session_key, gru.item_key, gru.time_key = session_key, item_key, time_key
        events = gru.sorted(test)
        item, same = events["item"].to_numpy(), np.diff(events["session"]) == 0
        noise = np.random.RandomState(gru.seed).rand(*gru.follows.shape)
        known = 1 - (1 - gru.learning_rate) ** gru.epochs_done
        scores = (known * gru.follows + (1 - known) * noise)[item[:-1][same]]
        target = scores[np.arange(len(scores)), item[1:][same]][:, None]
        level = 0 if mode == "conservative" else 1
        rank = (scores > target).sum(1) + (scores == target).sum(1) * (1 - level) + level
        return {N: (np.mean(rank <= N), np.mean(np.where(rank <= N, 1 / rank, 0))) for N in cut_off}


GRU4Rec.evaluation = evaluation
