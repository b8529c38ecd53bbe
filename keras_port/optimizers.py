"""Update rules of GRU4Rec: pure functions of gradients and state.

A dense tensor is updated as a whole. A row tensor (n, W), read at N rows, is updated in those only, from one gradient
an occurrence (N, W); a row may occur several times. What becomes of repeated rows is part of the published program's
behaviour and is written out here: sums grow by every occurrence, decay is applied once, and the velocity of the last
occurrence stays. The check ``update`` of the parity suite guards it.

A rule is a pair of functions, for dense and for row tensors, and a named tuple of slots as its state; each slot is of
the tensor's shape, and 0 at the start.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_port import backend
from keras_port.settings import Settings

EPS = 1e-6


class Occurrences(NamedTuple):
    """Where the rows of a gradient belong. N occurrences."""

    rows: Any  # (N,) row of each
    real: Any  # (N, 1) 1 for a real occurrence, 0 for one of an empty lane, whose row some real occurrence has too
    last: Any  # (N,) the position of the last real occurrence of the same row; None unless momentum > 0


class Rule(NamedTuple):
    """An adaptive step. The step that comes out is for one unit of the learning rate."""

    state: Any  # the type of its slots, a named tuple
    dense: Callable[[Any, Any], tuple[Any, Any]]  # (g, state) -> (step, new state), all of the tensor's shape
    rows: Callable[[Any, Any, Occurrences], tuple[Any, Any]]  # (g (N, W), state, occurrences) -> (step (N, W), state)


class NoState(NamedTuple):
    """Of plain gradient descent."""


class Accumulated(NamedTuple):
    """Of adagrad and rmsprop."""

    acc: Any  # sum, or running mean, of squared gradients


class AdadeltaState(NamedTuple):
    """Of adadelta."""

    acc: Any  # running mean of squared gradients
    upd: Any  # running mean of squared updates


class AdamState(NamedTuple):
    """Of adam."""

    acc: Any  # running mean of squared gradients
    mean: Any  # first moment
    count: Any  # steps


def read_rows(table: Any, occurrences: Occurrences) -> Any:
    """The rows of ``table`` (n, W) at each occurrence, (N, W)."""
    return ops.take(table, occurrences.rows, axis=0)


def add_rows(table: Any, occurrences: Occurrences, values: Any) -> Any:
    """``table`` with ``values`` (N, W) added for every real occurrence."""
    return backend.scatter_add(table, occurrences.rows, values * occurrences.real)


def set_rows(table: Any, occurrences: Occurrences, values: Any) -> Any:
    """``table`` with its rows set to ``values`` (N, W), which are equal where a row repeats."""
    return backend.scatter_set(table, occurrences.rows, values)


def _add_after_read(table: Any, occurrences: Occurrences, values: Any, read: Any) -> Any:
    """Add non-negative ``values`` to a non-negative table of which ``read`` are the rows before the addition.

    The condition never holds; it tells the compiler that the rows are read first, without which it would keep a copy of
    the whole table for them.
    """
    return add_rows(table, occurrences, ops.where(values + read < 0, read, values))


def sgd() -> Rule:
    """step = g."""
    return Rule(NoState, lambda g, state: (g, state), lambda g, state, occurrences: (g, state))


def adagrad() -> Rule:
    """a += g²; step = g / sqrt(a + eps) (Duchi et al. 2011).

    Rows: each occurrence steps with a from before the step and its own g² only; then a grows by the g² of every
    occurrence.
    """

    def dense(g: Any, state: Accumulated) -> tuple[Any, Accumulated]:
        a = state.acc + g * g
        return g / ops.sqrt(a + EPS), Accumulated(a)

    def rows(g: Any, state: Accumulated, occurrences: Occurrences) -> tuple[Any, Accumulated]:
        before = read_rows(state.acc, occurrences)
        step = g / ops.sqrt(before + g * g + EPS)
        return step, Accumulated(_add_after_read(state.acc, occurrences, g * g, before))

    return Rule(Accumulated, dense, rows)


class _RunningMean(NamedTuple):
    """mean = b*mean + (1-b)*values. b and 1 - b are rounded to float32 one by one, as published."""

    keep: Any
    new: Any

    def dense(self, mean: Any, values: Any) -> Any:
        return self.keep * mean + self.new * values

    def rows(self, table: Any, occurrences: Occurrences, values: Any) -> tuple[Any, Any]:
        """Decay once a distinct row, add every occurrence's share; returns the table and the rows read back."""
        table = set_rows(table, occurrences, self.keep * read_rows(table, occurrences))
        table = add_rows(table, occurrences, self.new * values)
        return table, read_rows(table, occurrences)


def decay(b: float) -> tuple[float, float]:
    """A decay rate b, and 1 - b, as the published program holds them."""
    return _float32(b), _float32(1.0 - b)


def rmsprop(b: tuple[Any, Any]) -> Rule:
    """a = b*a + (1-b)*g²; step = g / sqrt(a + eps) (Tieleman and Hinton 2012)."""
    mean = _RunningMean(*b)

    def dense(g: Any, state: Accumulated) -> tuple[Any, Accumulated]:
        a = mean.dense(state.acc, g * g)
        return g / ops.sqrt(a + EPS), Accumulated(a)

    def rows(g: Any, state: Accumulated, occurrences: Occurrences) -> tuple[Any, Accumulated]:
        acc, a = mean.rows(state.acc, occurrences, g * g)
        return g / ops.sqrt(a + EPS), Accumulated(acc)

    return Rule(Accumulated, dense, rows)


def adadelta(b: tuple[Any, Any]) -> Rule:
    """a = b*a + (1-b)*g²; q = (u + eps)/(a + eps); u = b*u + (1-b)*q*g²; step = g*sqrt(q) (Zeiler 2012)."""
    mean = _RunningMean(*b)

    def dense(g: Any, state: AdadeltaState) -> tuple[Any, AdadeltaState]:
        a = mean.dense(state.acc, g * g)
        q = (state.upd + EPS) / (a + EPS)
        return g * ops.sqrt(q), AdadeltaState(a, mean.dense(state.upd, q * g * g))

    def rows(g: Any, state: AdadeltaState, occurrences: Occurrences) -> tuple[Any, AdadeltaState]:
        before = read_rows(state.upd, occurrences)
        acc, a = mean.rows(state.acc, occurrences, g * g)
        q = (before + EPS) / (a + EPS)
        upd, _ = mean.rows(state.upd, occurrences, q * g * g)
        return g * ops.sqrt(q), AdadeltaState(acc, upd)

    return Rule(AdadeltaState, dense, rows)


def adam(b1: tuple[Any, Any], b2: tuple[Any, Any]) -> Rule:
    """a = b2*a + (1-b2)*g²; m = b1*m + (1-b1)*g; step = (m/(1-b1^t)) / (sqrt(a/(1-b1^t)) + eps).

    By Kingma and Ba (2015). As published, both corrections use b1, and for rows m grows by g² where the dense rule has
    g; every occurrence uses the t from before the step plus 1, and t grows by the number of occurrences.
    """
    first, second = _RunningMean(*b1), _RunningMean(*b2)

    def step(m: Any, a: Any, t: Any) -> Any:
        correction = 1.0 - ops.power(ops.ones_like(t) * first.keep, t)
        return (m / correction) / (ops.sqrt(a / correction) + EPS)

    def dense(g: Any, state: AdamState) -> tuple[Any, AdamState]:
        a, m = second.dense(state.acc, g * g), first.dense(state.mean, g)
        t = state.count + 1.0
        return step(m, a, t), AdamState(a, m, t)

    def rows(g: Any, state: AdamState, occurrences: Occurrences) -> tuple[Any, AdamState]:
        acc, a = second.rows(state.acc, occurrences, g * g)
        mean, m = first.rows(state.mean, occurrences, g * g)
        before = read_rows(state.count, occurrences)
        count = _add_after_read(state.count, occurrences, ops.ones_like(before), before)
        return step(m, a, before + 1.0), AdamState(acc, mean, count)

    return Rule(AdamState, dense, rows)


def rule_of(adapt: str | None, decays: Sequence[tuple[Any, Any]]) -> Rule:
    """The rule that ``adapt`` names, with its decay rates, each as :func:`decay` gives it."""
    match adapt:
        case None:
            return sgd()
        case "adagrad":
            return adagrad()
        case "rmsprop":
            return rmsprop(decays[0])
        case "adadelta":
            return adadelta(decays[0])
        case _:
            return adam(decays[0], decays[1])


class Rates(NamedTuple):
    """The numbers of an update besides the rule's. lr and shrink are rounded to float32, as published."""

    lr: Any
    shrink: Any  # 1 - lr*lmbd
    lmbd: Any  # the number 0.0 for none
    momentum: Any


def rates_of(settings: Settings) -> Rates:
    """The rates that the settings name; adadelta sets its own pace, so its learning rate is 1."""
    lr = 1.0 if settings.adapt == "adadelta" else settings.learning_rate
    return Rates(_float32(lr), _float32(1.0 - lr * settings.lmbd), settings.lmbd, settings.momentum)


class Slots(NamedTuple):
    """The optimizer state of one tensor."""

    rule: Any  # the rule's named tuple
    vel: Any = None  # velocity; None without momentum


def slot_names(settings: Settings) -> tuple[str, ...]:
    """The names of a tensor's slots: those of the rule, and ``vel`` with momentum."""
    rule = rule_of(settings.adapt, [decay(b) for b in settings.adapt_params])
    return rule.state._fields + (("vel",) if settings.momentum > 0 else ())


def slots_of(rule: Rule, name: str, state: Mapping[str, Any]) -> Slots:
    """The slots of tensor ``name`` out of a state by ``SLOT/NAME``."""
    return Slots(rule.state(*(state[f"{slot}/{name}"] for slot in rule.state._fields)), state.get(f"vel/{name}"))


def named(slots: Slots, name: str) -> dict[str, Any]:
    """The slots of tensor ``name`` by ``SLOT/NAME``."""
    found = {f"{slot}/{name}": value for slot, value in slots.rule._asdict().items()}
    return found if slots.vel is None else {**found, f"vel/{name}": slots.vel}


def is_off(number: Any) -> bool:
    """Whether a term goes with an option that is 0: a number then, where the inputs of a program are tensors."""
    return isinstance(number, (int, float)) and number == 0


def capped(gradients: Mapping[str, Any], grad_cap: Any) -> Mapping[str, Any]:
    """All gradients times grad_cap/norm when their common L2 norm reaches ``grad_cap``; 0 for no cap."""
    if is_off(grad_cap):
        return gradients
    norm = ops.sqrt(sum(ops.sum(g * g) for g in gradients.values()))
    factor = ops.where(norm >= grad_cap, grad_cap / norm, ops.ones_like(norm))
    return {name: g * factor for name, g in gradients.items()}


def update_dense(rule: Rule, rates: Rates, p: Any, g: Any, slots: Slots) -> tuple[Any, Slots]:
    """The new dense tensor and its slots.

    v = momentum*v - lr*(step + lmbd*p), p += v; without momentum p = (1 - lr*lmbd)*p - lr*step.

    Args:
        rule: gives step.
        rates: lr, momentum, lmbd.
        p: the tensor.
        g: its gradient, of the same shape.
        slots: its slots.
    """
    step, state = rule.dense(g, slots.rule)
    if slots.vel is not None:
        v = rates.momentum * slots.vel - rates.lr * (step + rates.lmbd * p)
        return p + v, Slots(state, v)
    return rates.shrink * p - rates.lr * step, slots._replace(rule=state)


def update_rows(
    rule: Rule, rates: Rates, table: Any, read: Any, g: Any, slots: Slots, occurrences: Occurrences
) -> tuple[Any, Slots]:
    """The new row tensor and its slots.

    Each occurrence has its own v = momentum*v - lr*(step + lmbd*row), which is added to the row for every occurrence,
    and of which the last one stays.

    Args:
        rule: gives step.
        rates: lr, momentum, lmbd.
        table: (n, W) the tensor.
        read: (N, W) the rows read from it.
        g: (N, W) their gradients.
        slots: the tensor's slots.
        occurrences: where the rows were read.
    """
    step, state = rule.rows(g, slots.rule, occurrences)
    delta = rates.lr * step if is_off(rates.lmbd) else rates.lr * (step + rates.lmbd * read)
    if slots.vel is None:
        return add_rows(table, occurrences, -delta), slots._replace(rule=state)
    v = rates.momentum * read_rows(slots.vel, occurrences) - delta
    vel = set_rows(slots.vel, occurrences, ops.take(v, occurrences.last, axis=0))
    return add_rows(table, occurrences, v), Slots(state, vel)


def _float32(value: float) -> float:
    """Options that the published program keeps as float32 whatever the type of the graph."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))
