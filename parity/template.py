"""An engine in PyTorch: GRU4Rec as ``python -m parity`` asks for it, to start from.

``python -m parity template --out my_gru4rec.py`` writes this file; then, in the same folder,

    python -m parity doctor my_gru4rec:GRU4Rec
    python -m parity golden --engine my_gru4rec:GRU4Rec

It runs as it stands, with a GRU written out, cross-entropy or bpr-max, adagrad, any number of layers. Put your own
program in at the places marked HOOK, one at a time, and ask the doctor after each: what stays green was not the fault.
What your program lacks raises NotImplementedError and is reported as not covered. Any other exception is a failure.

Conventions that a PyTorch program trips over:

* Names and shapes: Wx0 (n, 3L) with an item's row in it, not one-hot times a matrix; Wh0 (L, L), Wrz0 (L, 2L), Bh0
  (3L,); Wy (n, L), By (n, 1). Row vectors times matrices: x @ W, where torch.nn.Linear has x @ W.T.
* Gates: blocks of Wx and Bh are candidate | reset | update, of Wrz reset | update. h = (1 - z)*H + z*c.
* torch.nn.GRUCell has reset | update | candidate as rows, keeps the old state by z where GRU4Rec keeps it by 1 - z, and
  has a second bias. Those are a matter of bookkeeping, and ``to_grucell`` does it. But it is the cuDNN form: its
  reset gate acts after the product, tanh(v + r * (H @ Wh)), GRU4Rec's before it, tanh(v + (r * H) @ Wh). No weights
  turn one into the other, so a GRUCell, nn.GRU or cuDNN's kernel is another network; ``Cell`` below is the right one.
* Gradients of row tensors come per occurrence: (M, 3L) for Wx0[X], (N, L) for Wy[Y], (N, 1) for By[Y], not summed.
  With a constrained embedding Wy has M + N rows, X first.
* torch.optim.Adagrad is not the published rule: it sums a repeated row's gradients, and has eps outside of the root.
* learning_rate is held as float32, in float64 too.
* torch.nn.CrossEntropyLoss is another loss by a last digit: the published one is -log(p + 1e-24).
* Initial weights come from NumPy's RandomState(seed), in a fixed order; torch's generators cannot give them.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn

from parity.protocol import Batch, Step

torch.backends.cuda.matmul.allow_tf32 = (
    False  # TF32 has 10 bits of mantissa, and no comparison of float32 holds with it
)
torch.backends.cudnn.allow_tf32 = False

EPS = 1e-6


class Cell(nn.Module):
    """One GRU layer of GRU4Rec, in the names of the protocol.

    HOOK 1, the network: put your own cell here. Its parameters need not have these names or this order, as long as
    ``GRU4Rec.get_weights`` and ``set_weights`` translate.
    """

    def __init__(self, Wx, Wh, Wrz, Bh):
        super().__init__()
        self.Wx, self.Wh, self.Wrz, self.Bh = (nn.Parameter(torch.as_tensor(w)) for w in (Wx, Wh, Wrz, Bh))

    def forward(self, x, H):
        """x (M, 3L), the input part x @ Wx without the bias; H (M, L). The new state (M, L)."""
        c, r, z = (x + self.Bh).chunk(3, dim=1)
        reset, update = self.Wrz.chunk(2, dim=1)
        r, z = torch.sigmoid(r + H @ reset), torch.sigmoid(z + H @ update)
        c = torch.tanh(c + (r * H) @ self.Wh)  # torch.nn.GRUCell: c + r * (H @ Wh)
        return (1 - z) * H + z * c  # torch.nn.GRUCell: z * H + (1 - z) * c


def to_grucell(weights, k=0):
    """A torch.nn.GRUCell of layer k's weights, as near as it comes: equal but for the place of the reset gate.

    The update gate's sign is turned, as 1 - sigmoid(a) = sigmoid(-a); PyTorch has gates as rows, so blocks are
    transposed; its second bias is zero. Of use to translate weights of such a program, never to pass the checks.
    """
    c, r, z = np.split(weights[f"Wx{k}"].T, 3)
    reset, update = np.split(weights[f"Wrz{k}"].T, 2)
    bc, br, bz = np.split(weights[f"Bh{k}"], 3)
    cell = nn.GRUCell(c.shape[1], c.shape[0], dtype=torch.as_tensor(c).dtype)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.as_tensor(np.vstack([r, -z, c])))
        cell.weight_hh.copy_(torch.as_tensor(np.vstack([reset, -update, weights[f"Wh{k}"].T])))
        cell.bias_ih.copy_(torch.as_tensor(np.hstack([br, -bz, bc])))
        cell.bias_hh.zero_()
    return cell


def from_grucell(cell, k=0):
    """The other way: a GRUCell's weights by the names of the protocol. Raises where its second bias is in use."""
    r, z, c = np.split(cell.weight_ih.detach().cpu().numpy(), 3)
    reset, update, Wh = np.split(cell.weight_hh.detach().cpu().numpy(), 3)
    br, bz, bc = np.split(cell.bias_ih.detach().cpu().numpy(), 3)
    hr, hz, hc = np.split(cell.bias_hh.detach().cpu().numpy(), 3)
    if np.any(hc):
        raise NotImplementedError("the candidate's second bias stands behind the reset gate; GRU4Rec has none there")
    return {
        f"Wx{k}": np.vstack([c, r, -z]).T,
        f"Wrz{k}": np.vstack([reset, -update]).T,
        f"Wh{k}": Wh.T,
        f"Bh{k}": np.hstack([bc, br + hr, -(bz + hz)]),
    }


def losses(o, loss, bpreg):
    """The loss (M,) of each lane from the scores o (M, N) before final_act; the target of lane i is column i.

    HOOK 2, the loss.
    """
    M = len(o)
    target = torch.eye(M, o.shape[1], dtype=torch.bool, device=o.device)
    if loss == "cross-entropy":
        return -torch.log(torch.softmax(o, dim=1)[target] + 1e-24)
    # softmax over the negatives: the target's score counts as 0 for the maximum and not at all for the sum
    e = torch.where(target, torch.zeros_like(o), o)
    e = torch.exp(e - e.max(dim=1, keepdim=True).values) * ~target
    w = e / e.sum(dim=1, keepdim=True)
    better = torch.sigmoid(o[target][:, None] - o)
    return -torch.log((w * better).sum(dim=1) + 1e-24) + bpreg * (w * o**2).sum(dim=1)


class GRU4Rec:
    """The engine. Every option that it takes stands in the constructor, with its published default."""

    def __init__(
        self,
        loss="bpr-max",
        final_act="linear",
        hidden_act="tanh",
        layers=[100],
        n_epochs=10,
        batch_size=32,
        learning_rate=0.1,
        n_sample=2048,
        sample_alpha=0.75,
        adapt="adagrad",
        adapt_params=[],
        bpreg=1.0,
        time_sort=True,
        session_key="SessionId",
        item_key="ItemId",
        time_key="Time",
        *,
        dtype="float32",
        seed=42,
        dropout_seed=12345,
        device="cpu",
        **others,
    ):
        self.options = {name: value for name, value in locals().items() if name not in ("self", "others")}
        # HOOK 3, the options: take those that your program has; say NotImplementedError of the rest, never ignore one
        off = {name: value for name, value in others.items() if value}
        known = (loss, final_act) in (("cross-entropy", "softmax"), ("bpr-max", "linear"))
        if off or not known or hidden_act != "tanh" or adapt != "adagrad" or not time_sort:
            raise NotImplementedError(f"{off or (loss, final_act, hidden_act, adapt, time_sort)}")
        self.loss, self.final_act, self.bpreg = loss, final_act, bpreg
        self.layers, self.n_epochs, self.batch_size = list(layers), n_epochs, batch_size
        self.n_sample, self.sample_alpha = n_sample, sample_alpha
        self.keys = session_key, item_key, time_key
        self.dtype, self.seed, self.device = dtype, seed, torch.device(device)
        self.rate = float(np.float32(learning_rate))  # as the published program holds it, in float64 too

    @property
    def computed_on(self):
        return f"PyTorch {torch.__version__} on {self.device}"

    # Initial weights and data: NumPy, as the order of the draws is part of the algorithm.

    def build(self, n_items):
        """HOOK 4, the initial weights: this order, in float64, then cast."""
        self.n_items, self.random = n_items, np.random.RandomState(self.seed)

        def block(rows, columns):
            sigma = np.sqrt(6 / (rows + columns))
            return self.random.rand(rows, columns) * sigma * 2 - sigma

        weights, width = {}, n_items
        for k, L in enumerate(self.layers):
            weights[f"Wx{k}"] = np.hstack([block(width, L) for _ in range(3)])
            weights[f"Wh{k}"] = block(L, L)
            weights[f"Wrz{k}"] = np.hstack([block(L, L) for _ in range(2)])
            weights[f"Bh{k}"] = np.zeros(3 * L)
            width = L
        weights |= {"Wy": block(n_items, width), "By": np.zeros((n_items, 1))}
        given = {name: torch.as_tensor(w.astype(self.dtype)).to(self.device) for name, w in weights.items()}
        parts = "Wx", "Wh", "Wrz", "Bh"
        self.cells = [Cell(*(given[f"{part}{k}"] for part in parts)) for k in range(len(self.layers))]
        self.Wy, self.By = nn.Parameter(given["Wy"]), nn.Parameter(given["By"])
        self.acc = {name: torch.zeros_like(p) for name, p in self._parameters().items()}
        self.hidden = [torch.zeros(self.batch_size, L, dtype=given["Wy"].dtype).to(self.device) for L in self.layers]

    def prepare(self, data, sample_store=10_000_000):
        """HOOK 5, the data: item map in order of first appearance in the frame as given, sessions by first time."""
        session, item, time = (data[key].to_numpy() for key in self.keys)
        ids = pd.Index(pd.unique(item))
        self.itemidmap = pd.Series(np.arange(len(ids)), index=ids)
        self.build(len(ids))
        order = np.lexsort((np.arange(len(time)), time, session))
        positions, session, time = ids.get_indexer(item)[order], session[order], time[order]
        self.support = np.bincount(positions, minlength=len(ids))
        starts = np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
        sessions = np.split(positions, starts[1:])
        self.sessions = [sessions[s].tolist() for s in np.argsort(time[starts], kind="stable")]
        self.rows = max(1, sample_store // self.n_sample) if self.n_sample else 1
        self.store = self._draw() if self.n_sample and self.rows > 1 else []

    def _draw(self):
        size = (self.rows, self.n_sample)
        if self.sample_alpha == 0:
            return list(self.random.choice(self.n_items, size=size))
        cumulative = np.cumsum(self.support**self.sample_alpha)
        cumulative = np.r_[(cumulative / cumulative[-1])[:-1], 1]
        return list(np.searchsorted(cumulative, self.random.rand(*size)))

    def batches(self):
        """HOOK 6, session-parallel mini-batches: no event is lost, lanes without a session are removed."""
        waiting, lanes = iter(self.sessions), {lane: [None] for lane in range(self.batch_size)}
        while True:
            while any(len(left) == 1 for left in lanes.values()):  # one event left: the session is done
                taken = {lane: next(waiting, None) if len(left) == 1 else left for lane, left in lanes.items()}
                lanes = {lane: left for lane, left in taken.items() if left is not None}
            if len(lanes) < (1 if self.n_sample else 2):
                return
            X, Y, R = zip(*((left[0], left[1], len(left) == 2) for left in lanes.values()))
            if self.n_sample:
                self.store = self.store or self._draw()
                Y = np.r_[Y, self.store.pop(0)]
            yield Batch(np.array(X), np.array(Y), np.array(R), np.array(list(lanes)))
            lanes = {lane: left[1:] for lane, left in lanes.items()}

    # State by name.

    def _parameters(self):
        """HOOK 7, names: your parameters by the protocol's. Where order or layout differ, translate in get and set."""
        parts = "Wx", "Wh", "Wrz", "Bh"
        named = {f"{part}{k}": getattr(cell, part) for k, cell in enumerate(self.cells) for part in parts}
        return named | {"Wy": self.Wy, "By": self.By}

    def get_weights(self):
        return {name: p.detach().cpu().numpy().copy() for name, p in self._parameters().items()}

    def set_weights(self, weights):
        self._put(self._parameters(), weights)

    def get_optimizer_state(self):
        return {f"acc/{name}": a.cpu().numpy().copy() for name, a in self.acc.items()}

    def set_optimizer_state(self, state):
        self._put({f"acc/{name}": a for name, a in self.acc.items()}, state)

    @torch.no_grad()
    def _put(self, tensors, values):
        for name, value in values.items():
            if name not in tensors or np.shape(value) != tuple(tensors[name].shape):
                raise ValueError(f"{name} of shape {np.shape(value)}: there is no such tensor")
            tensors[name].copy_(torch.as_tensor(np.array(value, self.dtype)))

    def get_hidden(self):
        return [H.cpu().numpy().copy() for H in self.hidden]

    def set_hidden(self, hidden):
        self.hidden = [torch.as_tensor(np.array(H, self.dtype)).to(self.device) for H in hidden]

    def dropout_sites(self):
        return []  # HOOK 8, dropout: [("hidden0", L, 1 - p)], and draw_masks; masks given to a step win over own ones

    def draw_masks(self, M):
        return []

    # One step.

    def _forward(self, rows, hidden):
        """The new states (one (M, L) a layer) from the rows Wx0[X] (M, 3L)."""
        x, after = rows, []
        for k, (cell, H) in enumerate(zip(self.cells, hidden)):
            after.append(cell(x if k == 0 else x @ cell.Wx, H))
            x = after[-1]
        return after

    def train_step(self, X, Y, R, masks=None, gradients=False):
        """One step from the present weights and states, all of which it updates.

        The rows that a step reads are its leaves, so that their gradients come per occurrence.
        """
        X, Y = (torch.as_tensor(np.array(index, np.int64)).to(self.device) for index in (X, Y))
        tables = {"Wx0": (self.cells[0].Wx, X), "Wy": (self.Wy, Y), "By": (self.By, Y)}
        leaves = {name: table.detach()[index].requires_grad_() for name, (table, index) in tables.items()}
        after = self._forward(leaves["Wx0"], self.hidden)
        o = after[-1] @ leaves["Wy"].T + leaves["By"].T
        cost = losses(o, self.loss, self.bpreg).sum() / self.batch_size  # mean over M, times M / batch_size
        leaves |= {name: p for name, p in self._parameters().items() if name not in leaves}
        g = dict(zip(leaves, torch.autograd.grad(cost, list(leaves.values()))))
        self._update(g, {name: index for name, (_, index) in tables.items()})
        ended = torch.as_tensor(np.array(R, bool)).to(self.device)[:, None]
        self.hidden = [torch.where(ended, torch.zeros_like(h), h).detach() for h in after]
        return Step(float(cost.detach()), {name: v.cpu().numpy() for name, v in g.items()} if gradients else None)

    @torch.no_grad()
    def _update(self, gradients, read):
        """HOOK 9, the optimizer: adagrad, every occurrence of a row by the old sum and its own square."""
        for name, p in self._parameters().items():
            g, acc, rows = gradients[name], self.acc[name], read.get(name)
            if rows is None:
                acc += g**2
                p -= self.rate * g / torch.sqrt(acc + EPS)
            else:
                p.index_add_(0, rows, -self.rate * g / torch.sqrt(acc[rows] + g**2 + EPS))
                acc.index_add_(0, rows, g**2)

    # What people call.

    def fit(self, data, sample_store=10_000_000, on_epoch_end=lambda epoch, loss: None):
        """HOOK 10, the training loop that people run: it is compared with single steps, so put in your own."""
        self.prepare(data, sample_store)
        for epoch in range(self.n_epochs):
            lanes, costs, weights = np.arange(self.batch_size), [], []
            self.set_hidden([np.zeros((self.batch_size, L)) for L in self.layers])
            for batch in self.batches():
                kept = torch.as_tensor(np.isin(lanes, batch.lanes)).to(self.device)
                self.hidden, lanes = [H[kept] for H in self.hidden], batch.lanes
                costs.append(self.train_step(batch.X, batch.Y, batch.R).cost)
                weights.append(len(lanes))
            on_epoch_end(epoch, float(np.average(costs, weights=weights)))

    @torch.no_grad()
    def scores(self, X, hidden, items=None):
        """Scores (M, n), or of the item indices ``items`` in their order, and the next states. It leaves no trace."""
        given = [torch.as_tensor(np.array(H, self.dtype)).to(self.device) for H in hidden]
        after = self._forward(self.cells[0].Wx[torch.as_tensor(np.array(X, np.int64)).to(self.device)], given)
        index = slice(None) if items is None else torch.as_tensor(np.array(items, np.int64)).to(self.device)
        o = after[-1] @ self.Wy[index].T + self.By[index].T
        o = torch.softmax(o, dim=1) if self.final_act == "softmax" else o
        return o.cpu().numpy(), [h.cpu().numpy() for h in after]

    # HOOK 11, evaluation: a class attribute with ranks(engine, test, items=None, batch_size=, mode=) and
    # evaluate_gpu(engine, test, items=None, cut_off=[...], batch_size=, mode=), or a module evaluation.py beside this
    # one in a package. Without it the checks ranks and metrics are not covered.

    def save(self, path):
        """HOOK 12, files. The harness names them model.safetensors, by which torch.load guesses: so an open file."""
        weights = {name: p.detach().cpu() for name, p in self._parameters().items()}
        with open(path, "wb") as file:
            torch.save({"options": self.options, "items": self.itemidmap.index.tolist(), "weights": weights}, file)

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            state = torch.load(file, weights_only=True)
        engine = cls(**state["options"])
        engine.build(len(state["items"]))
        engine.itemidmap = pd.Series(np.arange(len(state["items"])), index=state["items"])
        engine.set_weights({name: w.numpy() for name, w in state["weights"].items()})
        return engine
