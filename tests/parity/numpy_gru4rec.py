"""GRU4Rec in plain NumPy, an engine of a third party: one layer, no embedding, no dropout, adagrad.

It follows ``parity.protocol.Engine``. What it lacks raises NotImplementedError, which is reported as not covered.
"""

import numpy as np
import pandas as pd
from scipy.special import expit as sigmoid

from parity.protocol import Batch, Step

KEYS = dict(session_key="SessionId", item_key="ItemId", time_key="Time")
DEFAULTS = KEYS | dict(layers=[100], n_epochs=10, batch_size=32, learning_rate=0.1, n_sample=2048)
DEFAULTS |= dict(sample_alpha=0.75, bpreg=1)
FIXED = dict(hidden_act="tanh", adapt="adagrad", time_sort=True)  # every other option has to be off
IGNORED = ("adapt_params", "loss", "final_act")


def softmax(x, counted=True):
    e = np.exp(x - x.max(axis=1, keepdims=True)) * counted
    return e / e.sum(axis=1, keepdims=True)


class GRU4Rec:
    computed_on = "NumPy on the CPU"

    def __init__(self, loss="bpr-max", final_act="linear", dtype="float64", seed=42, dropout_seed=12345, **params):
        missing = {k: v for k, v in params.items() if k not in DEFAULTS and k not in IGNORED and FIXED.get(k, 0) != v}
        self.p = DEFAULTS | params
        known = (loss, final_act) in (("cross-entropy", "softmax"), ("bpr-max", "linear"))
        if missing or not known or len(self.p["layers"]) > 1:
            raise NotImplementedError(f"{missing or (loss, final_act, self.p['layers'])}")
        self.loss, self.dtype, self.seed, self.B, self.L = loss, dtype, seed, self.p["batch_size"], self.p["layers"][0]

    def build(self, n_items):
        self.n_items, self.rng, L = n_items, np.random.RandomState(self.seed), self.L

        def block(rows, cols):
            sigma = np.sqrt(6 / (rows + cols))
            return self.rng.rand(rows, cols) * sigma * 2 - sigma

        W = {"Wx0": np.hstack([block(n_items, L) for _ in range(3)]), "Wh0": block(L, L)}
        W |= {"Wrz0": np.hstack([block(L, L) for _ in range(2)]), "Bh0": np.zeros(3 * L)}
        W |= {"Wy": block(n_items, L), "By": np.zeros((n_items, 1))}
        self.W = {name: w.astype(self.dtype) for name, w in W.items()}
        self.a = {name: np.zeros_like(w) for name, w in self.W.items()}

    def prepare(self, data, sample_store=10_000_000):
        session, item, time = (data[self.p[key]] for key in KEYS)
        self.build(item.nunique())
        self.itemidmap = pd.Series(np.arange(self.n_items), index=item.unique())
        events = pd.DataFrame({"s": session, "i": item.map(self.itemidmap), "t": time})
        events = events.sort_values(["s", "t"], kind="stable")
        self.support = np.bincount(events["i"])
        groups = sorted((group for _, group in events.groupby("s")), key=lambda group: group["t"].iloc[0])
        self.sessions = [group["i"].tolist() for group in groups]
        self.rows = max(1, sample_store // self.p["n_sample"] if self.p["n_sample"] else 1)
        self.store = self._draw() if self.rows > 1 else []

    def _draw(self):
        if not self.p["sample_alpha"]:
            return list(self.rng.choice(self.n_items, size=(self.rows, self.p["n_sample"])))
        cdf = (self.support ** self.p["sample_alpha"]).cumsum() / (self.support ** self.p["sample_alpha"]).sum()
        return list(np.searchsorted(np.r_[cdf[:-1], 1], self.rng.rand(self.rows, self.p["n_sample"])))

    def batches(self):
        queue, lanes = iter(self.sessions), dict.fromkeys(range(self.B), [None])
        while True:
            while any(len(left) == 1 for left in lanes.values()):  # one event left: the session is done
                taken = {lane: next(queue, None) if len(left) == 1 else left for lane, left in lanes.items()}
                lanes = {lane: left for lane, left in taken.items() if left is not None}
            if len(lanes) <= (0 if self.p["n_sample"] else 1):
                return
            Y = [left[1] for left in lanes.values()]
            if self.p["n_sample"]:
                self.store = self.store or self._draw()
                Y = np.r_[Y, self.store.pop(0)]
            X, ends = [left[0] for left in lanes.values()], [len(left) == 2 for left in lanes.values()]
            yield Batch(np.array(X), np.array(Y), np.array(ends), np.array(list(lanes)))
            lanes = {lane: left[1:] for lane, left in lanes.items()}

    def get_weights(self):
        return {name: w.copy() for name, w in self.W.items()}

    def set_weights(self, weights):
        self._put(self.W, weights)

    def _put(self, tensors, values):
        if any(name not in tensors or np.shape(value) != tensors[name].shape for name, value in values.items()):
            raise ValueError(f"{', '.join(values)}: {', '.join(tensors)} are accepted, each in its shape")
        tensors |= {name: np.array(value, self.dtype) for name, value in values.items()}

    def get_optimizer_state(self):
        return {f"acc/{name}": a.copy() for name, a in self.a.items()}

    def set_optimizer_state(self, state):
        self._put(self.a, {name.removeprefix("acc/"): a for name, a in state.items()})

    def get_hidden(self):
        return [self.H.copy()]

    def set_hidden(self, hidden):
        self.H = np.array(hidden[0], self.dtype)

    def dropout_sites(self):
        return []

    def _gru(self, X, H):
        v = self.W["Wx0"][X] + self.W["Bh0"]
        r, z = np.split(sigmoid(v[:, self.L :] + H @ self.W["Wrz0"]), 2, axis=1)
        c = np.tanh((H * r) @ self.W["Wh0"] + v[:, : self.L])
        return (1 - z) * H + z * c, r, z, c

    def _loss(self, o):
        """Sum of the lanes' losses, and its gradient with respect to the scores o (M, N)."""
        target = np.eye(*o.shape, dtype=bool)
        if self.loss == "cross-entropy":
            p = softmax(o)
            t = p[target][:, None]
            return -np.log(t + 1e-24).sum(), (p - target) * t / (t + 1e-24)
        w, a, b = softmax(np.where(target, 0, o), ~target), sigmoid(o[target][:, None] - o), self.p["bpreg"]
        A = (w * a).sum(axis=1, keepdims=True) + 1e-24
        g = b * o**2 - a / A  # with respect to w
        d = w * (g - (w * g).sum(axis=1, keepdims=True) + a * (1 - a) / A + 2 * b * o)
        d[target] -= (w * a * (1 - a) / A).sum(axis=1)
        return (b * (w * o**2).sum(axis=1, keepdims=True) - np.log(A)).sum(), d

    def train_step(self, X, Y, R, masks=None, gradients=False):
        W, H = self.W, self.H
        h, r, z, c = self._gru(X, H)
        cost, d = self._loss(h @ W["Wy"][Y].T + W["By"][Y].T)
        d = d / self.B
        dh = d @ W["Wy"][Y]
        dc = dh * z * (1 - c**2)
        drz = np.hstack([dc @ W["Wh0"].T * H * r * (1 - r), dh * (c - H) * z * (1 - z)])
        dv = np.hstack([dc, drz])
        g = {"Wx0": dv, "Wh0": (H * r).T @ dc, "Wrz0": H.T @ drz, "Bh0": dv.sum(0)}
        g |= {"Wy": d.T @ h, "By": d.sum(0)[:, None]}
        rate = -float(np.float32(self.p["learning_rate"]))
        for name, idx in {"Wx0": X, "Wh0": ..., "Wrz0": ..., "Bh0": ..., "Wy": Y, "By": Y}.items():
            np.add.at(W[name], idx, rate * g[name] / np.sqrt(self.a[name][idx] + g[name] ** 2 + 1e-6))
            np.add.at(self.a[name], idx, g[name] ** 2)  # every occurrence of a repeated row adds its own
        self.H = np.where(R[:, None], 0, h).astype(self.dtype)
        return Step(float(cost / self.B), g if gradients else None)

    def fit(self, data, sample_store=10_000_000, on_epoch_end=lambda epoch, loss: None):
        self.prepare(data, sample_store)
        for epoch in range(self.p["n_epochs"]):
            self.H, lanes, costs, weights = np.zeros((self.B, self.L), self.dtype), np.arange(self.B), [], []
            for batch in self.batches():
                self.H, lanes = self.H[np.isin(lanes, batch.lanes)], batch.lanes
                costs.append(self.train_step(batch.X, batch.Y, batch.R).cost)
                weights.append(len(lanes))
            on_epoch_end(epoch, np.average(costs, weights=weights))

    def scores(self, X, hidden, items=slice(None)):
        h = self._gru(X, np.asarray(hidden[0], self.dtype))[0]
        o = h @ self.W["Wy"][items].T + self.W["By"][items].T
        return (softmax(o) if self.loss == "cross-entropy" else o), [h]

    def save(self, path):
        raise NotImplementedError("saving to a file")
