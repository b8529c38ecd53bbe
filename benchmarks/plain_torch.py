"""A yardstick of both engines' speed: the same formulas in plain PyTorch, one step a call, eager.

It is what one would write first: rows are gathered, ``backward`` gives the gradients of what was gathered, the updates
are written back with ``index_add_`` and ``index_copy_``. Nothing is compiled or fused. ``benchmarks/bench.py`` times it
against both engines.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

SETTINGS = {
    "bpr-max": {"loss": "bpr-max", "learning_rate": 0.2, "momentum": 0.3, "dropout": 0.0, "bpreg": 1.0},
    "bpr-max-constrained": {
        "loss": "bpr-max", "learning_rate": 0.2, "momentum": 0.1, "dropout": 0.0, "bpreg": 0.5, "constrained": True,
    },
    "cross-entropy": {"loss": "cross-entropy", "learning_rate": 0.1, "momentum": 0.7, "dropout": 0.3},
}  # fmt: skip


class Plain:
    """One GRU layer, adagrad and momentum.

    Args:
        n_items: n.
        setting: one of ``SETTINGS``.
        units: L.
        batch_size: M, the lanes of every step.
    """

    def __init__(self, n_items: int, setting: str, units: int = 100, batch_size: int = 32):
        import torch

        self.torch, self.s, self.L, self.M = torch, SETTINGS[setting], units, batch_size
        self.constrained = self.s.get("constrained", False)
        torch.manual_seed(42)

        def weight(rows: int, cols: int, blocks: int = 1) -> Any:
            sigma = float(np.sqrt(6 / (rows + cols)))
            return torch.cat([(torch.rand(rows, cols) * 2 - 1) * sigma for _ in range(blocks)], dim=1)

        L = units
        self.weights = {
            "Wx": weight(L if self.constrained else n_items, L, 3),
            "Wh": weight(L, L),
            "Wrz": weight(L, L, 2),
            "Bh": torch.zeros(3 * L),
            "Wy": weight(n_items, L),
            "By": torch.zeros(n_items, 1),
        }
        self.acc = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        self.vel = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        self.H = torch.zeros(batch_size, L)

    def gru(self, x: Any, H: Any, w: dict[str, Any]) -> Any:
        """The next state (M, L) of a GRU whose reset gate acts before the product; x (M, 3L) input part."""
        torch, L = self.torch, self.L
        v = x + w["Bh"]
        gates = torch.sigmoid(v[:, L:] + H @ w["Wrz"])
        r, z = gates[:, :L], gates[:, L:]
        return (1 - z) * H + z * torch.tanh((H * r) @ w["Wh"] + v[:, :L])

    def loss(self, o: Any) -> Any:
        """Mean over the lanes, of scores o (M, N) before the final activation."""
        torch, M = self.torch, o.shape[0]
        lanes = torch.arange(M)
        if self.s["loss"] == "cross-entropy":
            return -torch.log(torch.softmax(o, dim=1)[lanes, lanes] + 1e-24).mean()
        yhat = torch.nn.functional.elu(o, alpha=0.5)
        target = yhat[lanes, lanes][:, None]
        others = torch.ones_like(yhat)
        others[lanes, lanes] = 0
        masked = yhat * others
        e = torch.exp(masked - masked.max(dim=1, keepdim=True).values) * others
        w = e / e.sum(dim=1, keepdim=True)
        likelihood = (w * torch.sigmoid(target - yhat)).sum(dim=1)
        return (-torch.log(likelihood + 1e-24) + self.s["bpreg"] * (w * yhat * yhat).sum(dim=1)).mean()

    def step(self, X: Any, Y: Any, last: dict[str, Any], R: Any, mask: Any) -> float:
        """One training step; its cost.

        Args:
            X: (M,) input items.
            Y: (N,) targets, then samples.
            last: position of the last occurrence of each row read, by weight name.
            R: (M,) bool, true where a session ends.
            mask: (M, L) bool, of dropout.
        """
        torch, M = self.torch, self.M
        if self.constrained:
            rows = {"Wy": torch.cat([X, Y]), "By": Y}
        else:
            rows = {"Wx": X, "Wy": Y, "By": Y}
        used = {name: w[rows[name]] if name in rows else w for name, w in self.weights.items()}
        used = {name: w.detach().requires_grad_(True) for name, w in used.items()}
        Sy = used["Wy"]
        x = used["Wx"]
        if self.constrained:
            x, Sy = Sy[:M] @ used["Wx"], Sy[M:]
        h = self.gru(x, self.H, used)
        if self.s["dropout"]:
            h = h * mask / (1 - self.s["dropout"])
        cost = self.loss(h @ Sy.T + used["By"].T)
        gradients = torch.autograd.grad(cost, list(used.values()))
        lr, momentum = self.s["learning_rate"], self.s["momentum"]
        with torch.no_grad():
            for name, g in zip(used, gradients, strict=True):
                w, acc, vel = self.weights[name], self.acc[name], self.vel[name]
                if name in rows:
                    read = rows[name]
                    v = momentum * vel[read] - lr * g / torch.sqrt(acc[read] + g * g + 1e-6)
                    acc.index_add_(0, read, g * g)
                    vel.index_copy_(0, read, v[last[name]])
                    w.index_add_(0, read, v)
                else:
                    acc += g * g
                    vel.mul_(momentum).sub_(lr * g / torch.sqrt(acc + 1e-6))
                    w += vel
            self.H = torch.where(R[:, None], torch.zeros_like(h), h).detach()
        return float(cost.detach())

    def ready(
        self, X: np.ndarray, Y: np.ndarray, last: dict[str, np.ndarray], R: np.ndarray, mask: np.ndarray
    ) -> tuple:
        """The arguments of :meth:`step` as tensors."""
        to = self.torch.from_numpy
        last = {name: to(values.astype(np.int64)) for name, values in last.items()}
        return to(X.astype(np.int64)), to(Y.astype(np.int64)), last, to(R), to(mask)

    def states(self, X: Any, H: Any) -> Any:
        """The next states (M, L) after the items X (M,)."""
        w = self.weights
        return self.gru(w["Wy"][X] @ w["Wx"] if self.constrained else w["Wx"][X], H, w)

    def evaluate(self, offsets: np.ndarray, items: np.ndarray, cut_offs: Sequence[int], lanes: int = 100) -> dict:
        """Recall and MRR by N of every event after a session's first, ranks as ``conservative``.

        Args:
            offsets: (S + 1,) where sessions start in ``items``.
            items: (E,) item indices.
            cut_offs: N.
            lanes: sessions side by side.
        """
        torch, ranks = self.torch, []
        order = np.argsort(-np.diff(offsets), kind="stable")
        with torch.no_grad():
            for block in np.array_split(order, max(1, -(-len(order) // lanes))):
                H = torch.zeros(len(block), self.L)
                starts, lengths = offsets[block], np.diff(offsets)[block]
                for t in range(int(lengths.max()) - 1):
                    going = int((lengths > t + 1).sum())  # the longest come first
                    H = self.states(torch.from_numpy(items[starts[:going] + t].astype(np.int64)), H[:going])
                    target = torch.from_numpy(items[starts[:going] + t + 1].astype(np.int64))
                    scores = H @ self.weights["Wy"].T + self.weights["By"].T
                    ranks.append((scores >= scores.gather(1, target[:, None])).sum(dim=1))
        rank = torch.cat(ranks).numpy()
        return {N: (float((rank <= N).mean()), float((1 / rank[rank <= N]).sum() / len(rank))) for N in cut_offs}

    def recommend(self, sessions: Sequence[np.ndarray], k: int) -> np.ndarray:
        """(S, k) item indices, best first, for sessions of item indices."""
        torch = self.torch
        length = max(map(len, sessions))
        with torch.no_grad():
            H = torch.zeros(len(sessions), self.L)
            for t in range(length):
                X = torch.tensor([int(s[t]) if t < len(s) else 0 for s in sessions])
                reading = torch.tensor([t < len(s) for s in sessions])[:, None]
                H = torch.where(reading, self.states(X, H), H)
            return torch.topk(H @ self.weights["Wy"].T + self.weights["By"].T, k, dim=1).indices.numpy()
