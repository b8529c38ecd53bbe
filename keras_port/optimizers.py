"""Update rules of GRU4Rec: pure functions of gradients and state.

A dense tensor is updated as a whole. A row tensor (n, W), read at ``idx`` (N,), is updated in those rows only, from one
gradient an occurrence (N, W); an index may occur several times. What becomes of repeated rows is part of the published
program's behaviour and is written out here: sums grow by every occurrence, decay is applied once, and the velocity of
the last occurrence stays.

State: a dict of slots, each of the tensor's shape, all 0 at the start. ``acc``: sum or running mean of squared
gradients; ``upd``: running mean of squared updates; ``mean``: first moment; ``count``: steps; ``vel``: velocity.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_port import backends

EPS = 1e-6


class Occurrences(NamedTuple):
    """Where the rows of a gradient belong. N occurrences."""

    idx: object  # (N,) row of each
    valid: object  # (N, 1) 1 for a real occurrence, 0 for one of an empty lane, whose row some real occurrence has too
    last: object  # (N,) the position of the last real occurrence of the same row; None unless momentum > 0


def _f(value):
    """Options that the published program keeps as float32 whatever the type of the graph."""
    return float(np.float32(value))


def _add(table, at, values):
    return backends.scatter_add(table, at.idx, values * at.valid)


def _set(table, at, values):
    return backends.scatter_set(table, at.idx, values)


def _read(table, at):
    return ops.take(table, at.idx, axis=0)


def _add_after_read(table, at, values, read):
    """Add non-negative ``values`` to a non-negative table of which ``read`` are the rows before the addition.

    The condition never holds; it tells the compiler that the rows are read first, without which it would keep a copy of
    the whole table for them.
    """
    return _add(table, at, ops.where(values + read < 0, read, values))


class SGD:
    """step = g."""

    slots = ()

    def __init__(self, decays=()):
        pass

    def dense(self, g, s):
        return g, s

    def rows(self, g, s, at):
        return g, s


class Adagrad:
    """a += g²; step = g / sqrt(a + eps) (Duchi et al. 2011).

    Rows: each occurrence steps with a from before the step and its own g² only; then a grows by the g² of every
    occurrence.
    """

    slots = ("acc",)

    def __init__(self, decays=()):
        pass

    def dense(self, g, s):
        a = s["acc"] + g * g
        return g / ops.sqrt(a + EPS), {"acc": a}

    def rows(self, g, s, at):
        before = _read(s["acc"], at)
        step = g / ops.sqrt(before + g * g + EPS)
        return step, {"acc": _add_after_read(s["acc"], at, g * g, before)}


class _Decaying:
    """Optimizers with running means. Decay rate b and 1 - b are rounded to float32 one by one, as published."""

    def __init__(self, decays):
        self.keep = [_f(b) for b in decays]
        self.new = [_f(1.0 - b) for b in decays]

    def _dense_mean(self, mean, values, i=0):
        return self.keep[i] * mean + self.new[i] * values

    def _row_mean(self, table, at, values, i=0):
        """Decay once a distinct row, add every occurrence's share; returns the table and the rows read back."""
        table = _set(table, at, self.keep[i] * _read(table, at))
        table = _add(table, at, self.new[i] * values)
        return table, _read(table, at)


class RMSProp(_Decaying):
    """a = b*a + (1-b)*g²; step = g / sqrt(a + eps) (Tieleman and Hinton 2012)."""

    slots = ("acc",)

    def dense(self, g, s):
        a = self._dense_mean(s["acc"], g * g)
        return g / ops.sqrt(a + EPS), {"acc": a}

    def rows(self, g, s, at):
        acc, a = self._row_mean(s["acc"], at, g * g)
        return g / ops.sqrt(a + EPS), {"acc": acc}


class Adadelta(_Decaying):
    """a = b*a + (1-b)*g²; q = (u + eps)/(a + eps); u = b*u + (1-b)*q*g²; step = g*sqrt(q) (Zeiler 2012)."""

    slots = ("acc", "upd")

    def dense(self, g, s):
        a = self._dense_mean(s["acc"], g * g)
        q = (s["upd"] + EPS) / (a + EPS)
        return g * ops.sqrt(q), {"acc": a, "upd": self._dense_mean(s["upd"], q * g * g)}

    def rows(self, g, s, at):
        before = _read(s["upd"], at)
        acc, a = self._row_mean(s["acc"], at, g * g)
        q = (before + EPS) / (a + EPS)
        upd, _ = self._row_mean(s["upd"], at, q * g * g)
        return g * ops.sqrt(q), {"acc": acc, "upd": upd}


class Adam(_Decaying):
    """a = b2*a + (1-b2)*g²; m = b1*m + (1-b1)*g; step = (m/(1-b1^t)) / (sqrt(a/(1-b1^t)) + eps).

    After Kingma and Ba 2015. As published, both corrections use b1, and for rows m grows by g² where the dense rule has
    g.
    """

    slots = ("acc", "mean", "count")

    def _step(self, m, a, t):
        correction = 1.0 - ops.power(ops.full_like(t, self.keep[0]), t)
        return (m / correction) / (ops.sqrt(a / correction) + EPS)

    def dense(self, g, s):
        a, m = self._dense_mean(s["acc"], g * g, 1), self._dense_mean(s["mean"], g, 0)
        t = s["count"] + 1.0
        return self._step(m, a, t), {"acc": a, "mean": m, "count": t}

    def rows(self, g, s, at):
        acc, a = self._row_mean(s["acc"], at, g * g, 1)
        mean, m = self._row_mean(s["mean"], at, g * g, 0)
        before = _read(s["count"], at)
        count = _add_after_read(s["count"], at, ops.ones_like(before), before)
        return self._step(m, a, before + 1.0), {"acc": acc, "mean": mean, "count": count}


ADAPT = {"": SGD, "adagrad": Adagrad, "rmsprop": RMSProp, "adadelta": Adadelta, "adam": Adam}


class Updater:
    """The whole update of a model: adaptive step, L2 term, momentum, gradient cap."""

    def __init__(self, settings):
        self.rule = ADAPT[settings.adapt or ""](settings.adapt_params)
        # adadelta sets its own pace: the published program forces the rate to 1
        learning_rate = 1.0 if settings.adapt == "adadelta" else settings.learning_rate
        self.lr, self.lmbd, self.momentum = _f(learning_rate), settings.lmbd, settings.momentum
        self.shrink = _f(1.0 - learning_rate * settings.lmbd)
        self.grad_cap = settings.grad_cap
        self.slots = self.rule.slots + (("vel",) if settings.momentum > 0 else ())

    def cap(self, gradients):
        """Scale all gradients by grad_cap/norm when their common L2 norm reaches ``grad_cap`` > 0."""
        if not self.grad_cap > 0:
            return gradients
        norm = ops.sqrt(sum(ops.sum(g * g) for g in gradients.values()))
        factor = ops.where(norm >= self.grad_cap, self.grad_cap / norm, ops.ones_like(norm))
        return {name: g * factor for name, g in gradients.items()}

    def dense(self, p, g, s):
        """New (tensor, slots) of a dense tensor.

        v = momentum*v - lr*(step + lmbd*p), p += v; without momentum p = (1 - lr*lmbd)*p - lr*step.
        """
        step, new = self.rule.dense(g, s)
        if self.momentum > 0:
            new["vel"] = self.momentum * s["vel"] - self.lr * (step + self.lmbd * p)
            return p + new["vel"], new
        return self.shrink * p - self.lr * step, new

    def rows(self, table, rows, g, s, at):
        """New (table, slots) of a row tensor, from the rows (N, W) read at ``at`` and their gradients g (N, W)."""
        step, new = self.rule.rows(g, s, at)
        delta = self.lr * (step + self.lmbd * rows) if self.lmbd > 0 else self.lr * step
        if not self.momentum > 0:
            return _add(table, at, -delta), new
        velocity = self.momentum * _read(s["vel"], at) - delta
        new["vel"] = _set(s["vel"], at, ops.take(velocity, at.last, axis=0))
        return _add(table, at, velocity), new
