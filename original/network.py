"""The symbolic graphs: one training step, and prediction (arXiv 1511.06939, section 3).

Shapes: M lanes, N = M + n_sample scored items, L_k units in layer k, n items. Column blocks of ``Wx`` and ``Bh``:
candidate | reset | update; of ``Wrz``: reset | update.
"""

from types import SimpleNamespace

import aesara
import aesara.tensor as at
import numpy as np

from original import activations
from original.losses import LOSSES, Columns
from original.optimizers import OPTIMIZERS, clip, update_dense, update_rows
from original.rows import Used
from original.settings import embedding_units


def weight_shapes(settings, n_items):
    """``{name: [(rows, cols), ...]}`` in the order of drawing: the blocks that stand side by side in each weight; zeros
    for biases.
    """
    shapes = {}
    embedding = input_width(settings)
    if settings.embedding and not settings.constrained_embedding:
        shapes["E"] = [(n_items, embedding)]
    width = embedding or n_items
    for k, L in enumerate(settings.layers):
        shapes[f"Wx{k}"] = [(width, L)] * 3
        shapes[f"Wh{k}"] = [(L, L)]
        shapes[f"Wrz{k}"] = [(L, L)] * 2
        shapes[f"Bh{k}"] = [(3 * L,)]
        width = L
    shapes["Wy"] = [(n_items, width)]
    shapes["By"] = [(n_items, 1)]
    return shapes


def input_width(settings):
    """Columns of the embedding that feeds layer 0; 0 when it is fed by rows of Wx0. A constrained embedding wins over a
    separate one.
    """
    return settings.layers[-1] if settings.constrained_embedding else embedding_units(settings)


def row_tensors(settings):
    """Names of the tensors with a row an item, in the order of section 8: input side first."""
    if settings.constrained_embedding:
        return ["Wy", "By"]
    return ["E" if settings.embedding else "Wx0", "Wy", "By"]


def dropout_sites(settings):
    """(name, width, retain probability) of each dropout site, in graph order."""
    sites = []
    if input_width(settings) and settings.dropout_p_embed > 0:
        sites.append(("embed", input_width(settings), 1 - settings.dropout_p_embed))
    if settings.dropout_p_hidden > 0:
        sites += [(f"hidden{k}", L, 1 - settings.dropout_p_hidden) for k, L in enumerate(settings.layers)]
    return sites


def state_slots(settings):
    return OPTIMIZERS[settings.adapt or None].slots + (("vel",) if settings.momentum > 0 else ())


class Network:
    """The model's variables and the graphs over them.

    ``weights``, ``optimizer_state`` (``SLOT/WEIGHT``) and ``hidden`` are shared variables, or None for a state that is
    not there.
    """

    def __init__(self, settings, backend, weights):
        self.settings, self.backend, self.dtype = settings, backend, backend.dtype
        self.n_items = len(weights["By"])
        self.weights = {name: backend.shared(value, name) for name, value in weights.items()}
        self.optimizer_state = {
            f"{slot}/{name}": backend.shared(np.zeros(np.shape(value), self.dtype), f"{slot}/{name}")
            for name, value in weights.items()
            for slot in state_slots(settings)
        }
        self.hidden = [
            backend.shared(np.zeros((settings.batch_size, L), self.dtype), f"H{k}")
            for k, L in enumerate(settings.layers)
        ]
        self._scalars = {}
        self._log_support = None
        self._hidden_act = activations.elementwise(settings.hidden_act, self._scalar)

    def _scalar(self, label, value):
        """A hyperparameter of the graph. It is a variable, not a constant of the code: another value needs no new
        compilation.
        """
        if label not in self._scalars:
            self._scalars[label] = aesara.shared(np.asarray(value, self.dtype), name=label)
        return self._scalars[label]

    def _hyperparameters(self):
        """Symbolic hyperparameters. Those that the published program holds as float32 are rounded to it first."""
        s = self.settings

        def f(label, value):
            return self._scalar(label, np.float32(value))

        return SimpleNamespace(
            lr=f("learning_rate", s.learning_rate),
            b=[f(f"adapt_params/{i}", b) for i, b in enumerate(s.adapt_params)],
            one_minus_b=[f(f"1-adapt_params/{i}", 1 - b) for i, b in enumerate(s.adapt_params)],
            one_minus_lr_lmbd=f("1-learning_rate*lmbd", 1 - s.learning_rate * s.lmbd),
            momentum=self._scalar("momentum", s.momentum),
            lmbd=self._scalar("lmbd", s.lmbd) if s.lmbd > 0 else None,
            eps=self._scalar("eps", 1e-6),
        )

    def _final_act(self, o, columns):
        name = self.settings.final_act
        if name in ("softmax", "softmax_logit"):
            return getattr(activations, name)(o, columns)
        return activations.elementwise(name, self._scalar)(o)

    def _gru(self, k, v, H):
        """Layer k on its input part v = x·Wx + Bh (M, 3*L) and state H (M, L). The reset gate acts before the matrix
        product.
        """
        L = self.settings.layers[k]
        rz = at.sigmoid(v[:, L:] + at.dot(H, self.weights[f"Wrz{k}"]))
        r, z = rz[:, :L], rz[:, L:]
        c = self._hidden_act(at.dot(H * r, self.weights[f"Wh{k}"]) + v[:, :L])
        return (1 - z) * H + z * c

    def _layers(self, x, hidden, drop):
        """All layers. ``x`` is the embedded input (M, width), or, without an embedding, the looked-up rows of Wx0 (M,
        3*L_0).
        """
        states = []
        for k, H in enumerate(hidden):
            product = x if k == 0 and not input_width(self.settings) else at.dot(x, self.weights[f"Wx{k}"])
            x = drop(f"hidden{k}", self._gru(k, product + self.weights[f"Bh{k}"], H))
            states.append(x)
        return states

    def _log_p(self, Y, M, support):
        """log P of each scored column (N,): P is the support of a target's item, of a sample's support**sample_alpha.

        An item without an event in the training data, which only uniform samples can hold, counts as one with one.
        """
        s = self.settings
        if self._log_support is None:
            self._log_support = self.backend.shared(np.log(np.maximum(support, 1.0)), "log_support")
        places = at.constant(np.arange(s.batch_size + s.n_sample, dtype="int32"))[: Y.shape[0]]
        power = at.switch(places < M, np.ones((), self.dtype), self._scalar("sample_alpha", s.sample_alpha))
        return power * self._log_support[Y]

    def training_step(self, gradients=False, support=None):
        """Compile one step. Returns (function, names).

        support: (n,) events of each item in the training data, which ``logq`` > 0 needs.

        Inputs: X, Y int32, R and the masks 0/1 in the graph's dtype; where shapes are fixed also those of
        :class:`original.padding.Padding`. The function takes a list of steps' inputs and gives their costs; with
        ``gradients`` it takes one step's inputs and gives the cost and the gradients of the weights ``names``.
        """
        s, W = self.settings, self.weights
        lanes = s.batch_size if self.backend.fixed_shapes else None
        scored = lanes + s.n_sample if lanes else None
        sites = dropout_sites(s)

        X = at.TensorType("int32", shape=(lanes,))("X")
        Y = at.TensorType("int32", shape=(scored,))("Y")
        R = at.TensorType(self.dtype, shape=(lanes,))("R")
        masks = {name: at.TensorType(self.dtype, shape=(lanes, width))(f"mask_{name}") for name, width, _ in sites}
        inputs = [X, Y, R, *masks.values()]
        retain = {name: self._scalar(f"retain_{name}", p) for name, _, p in sites}

        def drop(site, x):
            return x * masks[site] / retain[site] if site in masks else x

        index = {"in": X, "out": Y, "joint": at.concatenate([X, Y])}
        if self.backend.fixed_shapes:
            real = at.TensorType(self.dtype, shape=(lanes,))("real")
            winners = {
                side: at.TensorType("int32", shape=(size,))(f"winner_{side}")
                for side, size in (("in", lanes), ("out", scored), ("joint", lanes + scored))
            }
            inputs += [real, *winners.values()]
            real_out = at.concatenate([real, np.ones(s.n_sample, self.dtype)]) if s.n_sample else real
            real_of = {"in": real, "out": real_out, "joint": at.concatenate([real, real_out])}
            used = {side: Used(i, winners[side], real_of[side][:, None]) for side, i in index.items()}
        else:
            real = real_out = None
            used = {side: Used(i) for side, i in index.items()}

        M = X.shape[0]
        if s.constrained_embedding:
            S = used["joint"].take(W["Wy"])
            x, Sy = drop("embed", S[:M]), S[M:]
            sides, looked_up = ["joint", "out"], [S]
        else:
            Sx, Sy = used["in"].take(W[row_tensors(s)[0]]), used["out"].take(W["Wy"])
            x = drop("embed", Sx)
            sides, looked_up = ["in", "out", "out"], [Sx, Sy]
        SBy = used["out"].take(W["By"])
        looked_up.append(SBy)

        states = self._layers(x, self.hidden, drop)
        o = at.dot(states[-1], Sy.T) + SBy.flatten()
        if s.logq > 0:
            o = o - self._scalar("logq", s.logq) * self._log_p(Y, M, support)
        columns = self._columns(o, M, Y.shape[0], real, real_out)
        loss = self._loss(self._final_act(o, columns), columns)
        cost = (loss if real is None else loss * real).sum() / self._scalar("batch_size", s.batch_size)

        rows, dense = row_tensors(s), [name for name in W if name not in row_tensors(s)]
        g = dict(zip(rows + dense, at.grad(cost, looked_up + [W[name] for name in dense])))
        updates = self._updates(g, dict(zip(rows, (used[side] for side in sides))), states, R)
        if gradients:
            return self.backend.function(inputs, [cost, *g.values()], updates), list(g)
        return self.backend.loop(inputs, cost, updates), None

    def _columns(self, o, M, N, real, real_out):
        places = np.arange(self.settings.batch_size + self.settings.n_sample, dtype="int32")
        lane = at.constant(places[: self.settings.batch_size])
        if real is None:
            target, count = at.eq(at.constant(places)[:N][None, :], lane[:M][:, None]), N
        else:
            target, count = at.constant(places[None, :] == lane.data[:, None]), real_out.sum()
        return Columns(at.cast(target, self.dtype), at.cast(count, self.dtype), real_out, self._scalar("tiny", 1e-24))

    def _loss(self, yhat, columns):
        s = self.settings
        extra = {}
        if s.loss in ("cross-entropy", "xe_logit") and s.smoothing > 0:
            extra["smoothing"] = self._scalar("smoothing", s.smoothing)
        if s.loss == "bpr-max":
            extra["bpreg"] = self._scalar("bpreg", s.bpreg)
        return LOSSES[s.loss](yhat, columns, **extra)

    def _updates(self, g, used, states, R):
        s, h, W = self.settings, self._hyperparameters(), self.weights
        optimizer = OPTIMIZERS[s.adapt or None]
        if s.grad_cap > 0:
            g = dict(zip(g, clip(list(g.values()), self._scalar("grad_cap", s.grad_cap))))
        updates = [(H, state * (1 - R)[:, None]) for H, state in zip(self.hidden, states)]
        for name, gradient in g.items():
            state = {slot: self.optimizer_state[f"{slot}/{name}"] for slot in state_slots(s)}
            if name in used:
                value, new = update_rows(optimizer, W[name], gradient, state, h, used[name])
            else:
                value, new = update_dense(optimizer, W[name], gradient, state, h)
            updates += [(W[name], value)] + [(state[slot], new[slot]) for slot in state]
        return updates

    def prediction(self, lanes=None, n_scored=None, all_items=True):
        """Compile ``(X, H_0, ..., [items]) -> scores, next H_0, ...``: softmaxes as probabilities, no dropout, no
        change of state.

        ``lanes`` and ``n_scored`` fix the shapes where the backend wants that.
        """
        s, W = self.settings, self.weights
        X = at.TensorType("int32", shape=(lanes,))("X")
        hidden = [at.TensorType(self.dtype, shape=(lanes, L))(f"H{k}") for k, L in enumerate(s.layers)]
        inputs = [X, *hidden]
        if all_items:
            Sy, SBy = W["Wy"], W["By"]
        else:
            items = at.TensorType("int32", shape=(n_scored,))("items")
            inputs.append(items)
            Sy, SBy = W["Wy"][items], W["By"][items]
        x = W["Wy" if s.constrained_embedding else row_tensors(s)[0]][X]
        states = self._layers(x, hidden, lambda site, value: value)
        o = at.dot(states[-1], Sy.T) + SBy.flatten()
        every = Columns(at.constant(np.zeros((), self.dtype)), None, None, None)
        if s.final_act in ("softmax", "softmax_logit"):
            yhat = activations.softmax(o, every)
        else:
            yhat = self._final_act(o, every)
        return self.backend.function(inputs, [yhat, *states], [])
