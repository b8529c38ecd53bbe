"""Update rules: plain SGD, adagrad, rmsprop, adadelta and adam, for dense tensors and for the used rows of item
tensors.

An optimizer is a pair of pure functions over a tensor's state (a dict of slots). ``dense(g, state, h)`` and ``rows(g,
state, h, used)`` return the step, before the learning rate, and the new state. ``h`` holds the hyperparameters as
symbolic scalars, ``used`` (:class:`original.rows.Used`) says which rows the occurrences of a step stand for: ``g`` is
then (occurrences, columns).

Rows follow the published program to the letter, and it is not what one would derive from the dense rule: an
occurrence's step knows its own gradient only, while the state collects those of every occurrence of the row.
"""

from typing import Callable, NamedTuple

import aesara.tensor as at


class Optimizer(NamedTuple):
    slots: tuple[str, ...]
    n_params: int  # how many adapt_params it takes
    dense: Callable
    rows: Callable


def _sgd_dense(g, state, h):
    return g, {}


def _sgd_rows(g, state, h, used):
    return g, {}


def _adagrad_dense(g, state, h):
    acc = state["acc"] + at.square(g)
    return g / at.sqrt(acc + h.eps), {"acc": acc}


def _adagrad_rows(g, state, h, used):
    """Each occurrence divides by the old sum and its OWN g^2; the stored sum takes the g^2 of EVERY occurrence."""
    step = g / at.sqrt(used.take(state["acc"]) + at.square(g) + h.eps)
    return step, {"acc": used.add(state["acc"], at.square(g))}


def _decayed_rows(x, new, decay, used):
    """Rows of ``x`` times ``decay``, once a row; then ``new`` added, once an occurrence."""
    return used.add(used.assign(x, decay * used.take(x)), new)


def _rmsprop_dense(g, state, h):
    acc = h.b[0] * state["acc"] + h.one_minus_b[0] * at.square(g)
    return g / at.sqrt(acc + h.eps), {"acc": acc}


def _rmsprop_rows(g, state, h, used):
    acc = _decayed_rows(state["acc"], h.one_minus_b[0] * at.square(g), h.b[0], used)
    return g / at.sqrt(used.take(acc) + h.eps), {"acc": acc}


def _adadelta_dense(g, state, h):
    acc = h.b[0] * state["acc"] + h.one_minus_b[0] * at.square(g)
    q = (state["upd"] + h.eps) / (acc + h.eps)
    return g * at.sqrt(q), {"acc": acc, "upd": h.b[0] * state["upd"] + h.one_minus_b[0] * q * at.square(g)}


def _adadelta_rows(g, state, h, used):
    acc = _decayed_rows(state["acc"], h.one_minus_b[0] * at.square(g), h.b[0], used)
    q = (used.take(state["upd"]) + h.eps) / (used.take(acc) + h.eps)
    return g * at.sqrt(q), {
        "acc": acc,
        "upd": _decayed_rows(state["upd"], h.one_minus_b[0] * q * at.square(g), h.b[0], used),
    }


def _adam_step(mean, acc, t, h):
    """Both corrections use b1, as in the published program; Adam's paper corrects the second moment by b2."""
    correction = 1 - h.b[0] ** t
    return (mean / correction) / (at.sqrt(acc / correction) + h.eps)


def _adam_dense(g, state, h):
    acc = h.b[1] * state["acc"] + h.one_minus_b[1] * at.square(g)
    mean = h.b[0] * state["mean"] + h.one_minus_b[0] * g
    count = state["count"] + 1
    return _adam_step(mean, acc, count, h), {"acc": acc, "mean": mean, "count": count}


def _adam_rows(g, state, h, used):
    """The first moment adds g^2, not g; the counter grows by the NUMBER of a row's occurrences. Both as published."""
    acc = _decayed_rows(state["acc"], h.one_minus_b[1] * at.square(g), h.b[1], used)
    mean = _decayed_rows(state["mean"], h.one_minus_b[0] * at.square(g), h.b[0], used)
    step = _adam_step(used.take(mean), used.take(acc), used.take(state["count"]) + 1, h)
    return step, {"acc": acc, "mean": mean, "count": used.add(state["count"], at.ones_like(g))}


OPTIMIZERS = {
    None: Optimizer((), 0, _sgd_dense, _sgd_rows),
    "adagrad": Optimizer(("acc",), 0, _adagrad_dense, _adagrad_rows),
    "rmsprop": Optimizer(("acc",), 1, _rmsprop_dense, _rmsprop_rows),
    "adadelta": Optimizer(("acc", "upd"), 1, _adadelta_dense, _adadelta_rows),
    "adam": Optimizer(("acc", "mean", "count"), 2, _adam_dense, _adam_rows),
}


def update_dense(optimizer, p, g, state, h):
    """New value and state of a dense tensor ``p`` with gradient ``g``: L2 inside the velocity, or as weight decay."""
    step, new = optimizer.dense(g, state, h)
    if "vel" in state:
        decay = h.lmbd * p if h.lmbd is not None else 0
        new["vel"] = h.momentum * state["vel"] - h.lr * (step + decay)
        return p + new["vel"], new
    kept = h.one_minus_lr_lmbd * p if h.lmbd is not None else p
    return kept - h.lr * step, new


def update_rows(optimizer, p, g, state, h, used):
    """New value and new state of an item tensor ``p`` (n, columns) with one gradient row an occurrence.

    Every occurrence moves its row. A row's velocity is that of its LAST occurrence.
    """
    step, new = optimizer.rows(g, state, h, used)
    delta = h.lr * (step + h.lmbd * used.take(p)) if h.lmbd is not None else h.lr * step
    if "vel" in state:
        velocity = h.momentum * used.take(state["vel"]) - delta
        new["vel"] = used.assign(state["vel"], velocity)
        return used.add(p, velocity), new
    return used.add(p, -delta), new


def clip(gradients, grad_cap):
    """Scale all gradients by grad_cap/norm when their joint norm, over every entry of every tensor, reaches
    ``grad_cap``.
    """
    norm = at.sqrt(sum((at.square(g)).sum() for g in gradients))
    scale = at.switch(norm >= grad_cap, grad_cap / norm, at.ones_like(norm))
    return [g * scale for g in gradients]
