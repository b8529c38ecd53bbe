"""Activation functions of the hidden and of the output layer, by their names in the settings."""

import math
import re
from collections.abc import Callable
from typing import Any

from original.graphs.library import Variable, tensor

_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
_PARAMETRIC = re.compile(rf"(leaky|elu)-{_NUMBER}|(selu)-{_NUMBER}-{_NUMBER}")


def linear(x: Variable) -> Variable:
    """x."""
    return x


def relu(x: Variable) -> Variable:
    """max(x, 0)."""
    return tensor.maximum(x, 0)


def leaky(x: Variable, X: Variable) -> Variable:
    """x where x >= 0, X*x elsewhere."""
    return tensor.switch(x >= 0, x, X * x)


def elu(x: Variable, X: Variable) -> Variable:
    """x where x >= 0, X*(e^x - 1) elsewhere."""
    return tensor.switch(x >= 0, x, X * (tensor.exp(x) - 1))


def selu(x: Variable, X: Variable, Y: Variable) -> Variable:
    """X * elu(x, Y)."""
    return X * elu(x, Y)


def softmax(o: Variable, columns: Any) -> Variable:
    """Each row's softmax over its real columns.

    Args:
        o: scores (M, N).
        columns: :class:`original.losses.Columns`, which knows the real ones.
    """
    e = columns.only(tensor.exp(o - o.max(axis=1, keepdims=True)))
    return e / e.sum(axis=1, keepdims=True)


def softmax_logit(o: Variable, columns: Any) -> Variable:
    """-log(softmax(o)), computed as logsumexp(o) - o after subtracting each row's maximum; arguments as above."""
    o = o - o.max(axis=1, keepdims=True)
    return tensor.log(columns.only(tensor.exp(o)).sum(axis=1, keepdims=True)) - o


SOFTMAXES = {"softmax": softmax, "softmax_logit": softmax_logit}
_PLAIN = {"linear": linear, "relu": relu, "tanh": tensor.tanh}
_OF_CONSTANTS: dict[str, Callable[..., Variable]] = {"leaky": leaky, "elu": elu, "selu": selu}


def _constants(name: str) -> tuple[str, list[float]] | None:
    """('selu', [1.0, 1.67]) of 'selu-1-1.67'; None for a name of another form."""
    match = _PARAMETRIC.fullmatch(name)
    if match is None:
        return None
    kind, *constants = (group for group in match.groups() if group is not None)
    numbers = [float(constant) for constant in constants]
    return (kind, numbers) if all(map(math.isfinite, numbers)) else None


def is_known(name: str, softmaxes: bool = False) -> bool:
    """Whether ``name`` names an activation; the two softmaxes are for the output layer only."""
    return name in _PLAIN or (softmaxes and name in SOFTMAXES) or _constants(name) is not None


def elementwise(name: str, scalar: Callable[[str, float], Variable]) -> Callable[[Variable], Variable]:
    """The elementwise function of a name.

    Args:
        name: as in the settings, no softmax.
        scalar: ``scalar(label, value)`` makes a symbolic scalar of each constant in the name.

    Raises:
        ValueError: for an unknown name.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    parsed = _constants(name)
    if parsed is None:
        raise ValueError(f"{name!r}: no elementwise activation")
    kind, constants = parsed
    scalars = [scalar(f"{name}/{i}", value) for i, value in enumerate(constants)]
    return lambda x: _OF_CONSTANTS[kind](x, *scalars)
