"""Update rules: plain SGD, adagrad, rmsprop, adadelta and adam, for dense tensors and for used rows of item tensors.

An optimizer is a pair of pure functions over a tensor's state, ``{slot: tensor}``. ``dense(g, state, hyper)`` and
``rows(g, state, hyper, occurrences)`` return the step, before the learning rate, and the new state. ``g`` is the
gradient; that of rows is (occurrences, columns), one row an occurrence (:class:`original.graphs.rows.Occurrences`).

Rows follow the published program to the letter, and it is not what one would derive from the dense rule: an
occurrence's step knows its own gradient only, while the state collects those of every occurrence of the row. Checked by
``parity golden``, the recordings ``opt-*``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from original.graphs.library import Variable, tensor
from original.graphs.rows import Occurrences

State = dict[str, Variable]


class Hyperparameters(NamedTuple):
    """Symbolic scalars of an update.

    Attributes:
        lr: learning rate.
        b: decay rates, the ``adapt_params``.
        one_minus_b: 1 - b of each.
        one_minus_lr_lmbd: 1 - learning_rate*lmbd.
        momentum: of the velocity.
        lmbd: L2 regularisation, None for none.
        eps: 1e-6.
    """

    lr: Variable
    b: Sequence[Variable]
    one_minus_b: Sequence[Variable]
    one_minus_lr_lmbd: Variable
    momentum: Variable
    lmbd: Variable | None
    eps: Variable


class Optimizer(NamedTuple):
    """An update rule.

    Attributes:
        slots: names of the state that it keeps of a tensor.
        n_params: how many ``adapt_params`` it takes.
        dense: the rule for a whole tensor.
        rows: the rule for the used rows of an item tensor.
    """

    slots: tuple[str, ...]
    n_params: int
    dense: Callable[[Variable, State, Hyperparameters], tuple[Variable, State]]
    rows: Callable[[Variable, State, Hyperparameters, Occurrences], tuple[Variable, State]]


def _sgd_dense(g: Variable, state: State, hyper: Hyperparameters) -> tuple[Variable, State]:
    return g, {}


def _sgd_rows(g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences) -> tuple[Variable, State]:
    return g, {}


def _adagrad_dense(g: Variable, state: State, hyper: Hyperparameters) -> tuple[Variable, State]:
    """acc += g^2; step = g / sqrt(acc + eps) (Duchi, Hazan, Singer 2011)."""
    acc = state["acc"] + tensor.square(g)
    return g / tensor.sqrt(acc + hyper.eps), {"acc": acc}


def _adagrad_rows(
    g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences
) -> tuple[Variable, State]:
    """Each occurrence divides by the old sum and its OWN g^2; the stored sum takes the g^2 of EVERY occurrence."""
    step = g / tensor.sqrt(occurrences.take(state["acc"]) + tensor.square(g) + hyper.eps)
    return step, {"acc": occurrences.add(state["acc"], tensor.square(g))}


def _decayed_rows(x: Variable, new: Variable, decay: Variable, occurrences: Occurrences) -> Variable:
    """Rows of ``x`` times ``decay``, once a row; then ``new`` added, once an occurrence."""
    return occurrences.add(occurrences.assign(x, decay * occurrences.take(x)), new)


def _rmsprop_dense(g: Variable, state: State, hyper: Hyperparameters) -> tuple[Variable, State]:
    """acc = b*acc + (1-b)*g^2; step = g / sqrt(acc + eps)."""
    acc = hyper.b[0] * state["acc"] + hyper.one_minus_b[0] * tensor.square(g)
    return g / tensor.sqrt(acc + hyper.eps), {"acc": acc}


def _rmsprop_rows(
    g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences
) -> tuple[Variable, State]:
    acc = _decayed_rows(state["acc"], hyper.one_minus_b[0] * tensor.square(g), hyper.b[0], occurrences)
    return g / tensor.sqrt(occurrences.take(acc) + hyper.eps), {"acc": acc}


def _adadelta_dense(g: Variable, state: State, hyper: Hyperparameters) -> tuple[Variable, State]:
    """acc = b*acc + (1-b)*g^2; q = (upd + eps) / (acc + eps); step = g*sqrt(q); upd = b*upd + (1-b)*q*g^2.

    M. D. Zeiler: ADADELTA (arXiv 1212.5701), algorithm 1.
    """
    acc = hyper.b[0] * state["acc"] + hyper.one_minus_b[0] * tensor.square(g)
    q = (state["upd"] + hyper.eps) / (acc + hyper.eps)
    upd = hyper.b[0] * state["upd"] + hyper.one_minus_b[0] * q * tensor.square(g)
    return g * tensor.sqrt(q), {"acc": acc, "upd": upd}


def _adadelta_rows(
    g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences
) -> tuple[Variable, State]:
    acc = _decayed_rows(state["acc"], hyper.one_minus_b[0] * tensor.square(g), hyper.b[0], occurrences)
    q = (occurrences.take(state["upd"]) + hyper.eps) / (occurrences.take(acc) + hyper.eps)
    upd = _decayed_rows(state["upd"], hyper.one_minus_b[0] * q * tensor.square(g), hyper.b[0], occurrences)
    return g * tensor.sqrt(q), {"acc": acc, "upd": upd}


def _adam_step(mean: Variable, acc: Variable, count: Variable, hyper: Hyperparameters) -> Variable:
    """Both corrections use b1, as in the published program; Adam's paper corrects the second moment by b2."""
    correction = 1 - hyper.b[0] ** count
    return (mean / correction) / (tensor.sqrt(acc / correction) + hyper.eps)


def _adam_dense(g: Variable, state: State, hyper: Hyperparameters) -> tuple[Variable, State]:
    """acc = b2*acc + (1-b2)*g^2; mean = b1*mean + (1-b1)*g (D. P. Kingma, J. Ba: Adam, arXiv 1412.6980)."""
    acc = hyper.b[1] * state["acc"] + hyper.one_minus_b[1] * tensor.square(g)
    mean = hyper.b[0] * state["mean"] + hyper.one_minus_b[0] * g
    count = state["count"] + 1
    return _adam_step(mean, acc, count, hyper), {"acc": acc, "mean": mean, "count": count}


def _adam_rows(g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences) -> tuple[Variable, State]:
    """The first moment adds g^2, not g; the counter grows by the NUMBER of a row's occurrences. Both as published."""
    acc = _decayed_rows(state["acc"], hyper.one_minus_b[1] * tensor.square(g), hyper.b[1], occurrences)
    mean = _decayed_rows(state["mean"], hyper.one_minus_b[0] * tensor.square(g), hyper.b[0], occurrences)
    count = occurrences.take(state["count"]) + 1
    step = _adam_step(occurrences.take(mean), occurrences.take(acc), count, hyper)
    return step, {"acc": acc, "mean": mean, "count": occurrences.add(state["count"], tensor.ones_like(g))}


OPTIMIZERS = {
    None: Optimizer((), 0, _sgd_dense, _sgd_rows),
    "adagrad": Optimizer(("acc",), 0, _adagrad_dense, _adagrad_rows),
    "rmsprop": Optimizer(("acc",), 1, _rmsprop_dense, _rmsprop_rows),
    "adadelta": Optimizer(("acc", "upd"), 1, _adadelta_dense, _adadelta_rows),
    "adam": Optimizer(("acc", "mean", "count"), 2, _adam_dense, _adam_rows),
}


def slots(adapt: str | None, momentum: float) -> tuple[str, ...]:
    """Names of all state that training keeps of a weight: the optimizer's, and ``vel`` with a momentum."""
    return OPTIMIZERS[adapt].slots + (("vel",) if momentum > 0 else ())


def update_dense(
    optimizer: Optimizer, p: Variable, g: Variable, state: State, hyper: Hyperparameters
) -> tuple[Variable, State]:
    """New value and state of a dense tensor ``p``.

    With a momentum v = momentum*v - lr*(step + lmbd*p) and p + v; without one (1 - lr*lmbd)*p - lr*step.
    """
    step, new = optimizer.dense(g, state, hyper)
    if "vel" in state:
        decay = hyper.lmbd * p if hyper.lmbd is not None else 0
        new["vel"] = hyper.momentum * state["vel"] - hyper.lr * (step + decay)
        return p + new["vel"], new
    kept = hyper.one_minus_lr_lmbd * p if hyper.lmbd is not None else p
    return kept - hyper.lr * step, new


def update_rows(
    optimizer: Optimizer, p: Variable, g: Variable, state: State, hyper: Hyperparameters, occurrences: Occurrences
) -> tuple[Variable, State, Variable]:
    """New value, new state and move of an item tensor ``p`` (n, columns) with one gradient row an occurrence.

    Every occurrence moves its row: the move (occurrences, columns) is what was added to the rows, or taken off them. A
    row's velocity is that of its LAST occurrence.
    """
    step, new = optimizer.rows(g, state, hyper, occurrences)
    delta = hyper.lr * (step + hyper.lmbd * occurrences.take(p)) if hyper.lmbd is not None else hyper.lr * step
    if "vel" in state:
        velocity = hyper.momentum * occurrences.take(state["vel"]) - delta
        new["vel"] = occurrences.assign(state["vel"], velocity)
        return occurrences.add(p, velocity), new, velocity
    return occurrences.add(p, -delta), new, delta


def clip(gradients: Sequence[Variable], grad_cap: Variable) -> list[Variable]:
    """All gradients times grad_cap/norm where their joint norm, over every entry, reaches ``grad_cap``."""
    norm = tensor.sqrt(sum((tensor.square(g)).sum() for g in gradients))
    scale = tensor.switch(norm >= grad_cap, grad_cap / norm, tensor.ones_like(norm))
    return [g * scale for g in gradients]
