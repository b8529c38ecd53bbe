"""Activation functions by their published names, such as ``elu-0.5`` (GRU4Rec v2, 2018).

A name maps to a function of one tensor. The two softmaxes are functions of the scores and of a mask of the columns that
count, because a batch with empty lanes carries columns that belong to no item.
"""

import re
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_port import backend

_PLAIN = {
    "linear": lambda x: x,
    # its derivative at 0 is 1, as of leaky and elu; that of ops.relu is 0, and a dropped-out state scores exactly 0
    "relu": lambda x: ops.where(x >= 0, x, ops.zeros_like(x)),
    "tanh": backend.tanh,
}
_PARAMETRIC = {"leaky": 1, "elu": 1, "selu": 2}  # name -> number of constants
_NUMBER = r"-(-?\d+(?:\.\d*)?(?:e-?\d+)?|\.\d+)"


def is_hidden(name: str) -> bool:
    """Whether ``name`` is linear, relu, tanh, leaky-X, elu-X or selu-X-Y."""
    return _elementwise(name) is not None


def is_final(name: str) -> bool:
    """Whether ``name`` is one of :func:`is_hidden`, softmax or softmax_logit."""
    return name in ("softmax", "softmax_logit") or is_hidden(name)


def hidden(name: str) -> Callable[[Any], Any]:
    """The elementwise activation of a name of :func:`is_hidden`. Raises ValueError for any other.

    leaky: x if x >= 0 else X*x. elu: x if x >= 0 else X*(e^x - 1). selu: X*(x if x >= 0 else Y*(e^x - 1)).
    """
    found = _elementwise(name)
    if found is None:
        raise ValueError(f"{name!r}: no elementwise activation")
    return found


def final(name: str) -> Callable[[Any, Any, bool], Any]:
    """The output activation of a name of :func:`is_final`.

    Returns:
        ``f(scores, columns, training)``. scores: (M, N). columns: (1, N) bool, true where the column is a scored item;
        None when all are. softmax_logit is what it says in training, and softmax(scores) in prediction.
    """
    if name == "softmax":
        return lambda scores, columns, training: softmax(scores, columns)
    if name == "softmax_logit":
        return lambda scores, columns, training: (softmax_logit if training else softmax)(scores, columns)
    act = hidden(name)
    return lambda scores, columns, training: act(scores)


def softmax(scores: Any, columns: Any = None) -> Any:
    """exp(o - max o) / sum exp(o - max o) along each row; 0 in columns that do not count."""
    weights = _exp_below_max(scores, columns)[1]
    return weights / ops.sum(weights, axis=1, keepdims=True)


def softmax_logit(scores: Any, columns: Any = None) -> Any:
    """logsumexp(o) - o along each row, that is -log softmax(o), after subtracting the row maximum."""
    shifted, weights = _exp_below_max(scores, columns)
    return ops.log(ops.sum(weights, axis=1, keepdims=True)) - shifted


def _exp_below_max(scores: Any, columns: Any) -> tuple[Any, Any]:
    if columns is not None:
        scores = ops.where(columns, scores, ops.full_like(scores, -1e30))
    shifted = scores - ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
    return shifted, ops.exp(shifted)


def _elementwise(name: str) -> Callable[[Any], Any] | None:
    if name in _PLAIN:
        return _PLAIN[name]
    kind = str(name).split("-")[0]
    match = re.fullmatch(kind + _NUMBER * _PARAMETRIC.get(kind, 0), str(name)) if kind in _PARAMETRIC else None
    if not match:
        return None
    x, y = (float(group) for group in (*match.groups(), 1)[:2])
    negative_part = {
        "leaky": lambda v: x * v,
        "elu": lambda v: x * _expm1(v),
        "selu": lambda v: x * y * _expm1(v),
    }[kind]
    scale = x if kind == "selu" else 1.0
    return lambda v: ops.where(v >= 0, scale * v, negative_part(v))


def _expm1(v: Any) -> Any:
    # the clip keeps the branch that `where` discards from overflowing and poisoning the gradient
    return ops.exp(ops.where(v < 0, v, ops.zeros_like(v))) - 1.0
