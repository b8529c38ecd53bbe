"""Activation functions of the hidden and of the output layer, by their names in the settings."""

import re

import aesara.tensor as at

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_PARAMETRIC = re.compile(rf"(leaky|elu)-{_NUMBER}$|(selu)-{_NUMBER}-{_NUMBER}$")

HIDDEN = "linear, relu, tanh, leaky-<X>, elu-<X>, selu-<X>-<Y>"
FINAL = "softmax, softmax_logit, " + HIDDEN


def linear(x):
    return x


def relu(x):
    return at.maximum(x, 0)


def leaky(x, X):
    """x where x >= 0, X*x elsewhere."""
    return at.switch(x >= 0, x, X * x)


def elu(x, X):
    """x where x >= 0, X*(e^x - 1) elsewhere."""
    return at.switch(x >= 0, x, X * (at.exp(x) - 1))


def selu(x, X, Y):
    """X * elu(x, Y)."""
    return X * elu(x, Y)


def softmax(o, columns):
    """Each row's softmax over its real columns. ``o``: (M, N)."""
    e = columns.only(at.exp(o - o.max(axis=1, keepdims=True)))
    return e / e.sum(axis=1, keepdims=True)


def softmax_logit(o, columns):
    """-log(softmax(o)), computed as logsumexp(o) - o after subtracting each row's maximum."""
    o = o - o.max(axis=1, keepdims=True)
    return at.log(columns.only(at.exp(o)).sum(axis=1, keepdims=True)) - o


_PLAIN = {"linear": linear, "relu": relu, "tanh": at.tanh}


def parse(name, softmaxes=False):
    """Split an activation's name into its kind and constants: ``'selu-1-1.67'`` -> ``('selu', [1.0, 1.67])``, None if
    unknown.
    """
    if not isinstance(name, str):
        return None
    if name in _PLAIN or (softmaxes and name in ("softmax", "softmax_logit")):
        return name, []
    match = _PARAMETRIC.match(name)
    if match is None:
        return None
    kind, *constants = (group for group in match.groups() if group is not None)
    return kind, [float(c) for c in constants]


def elementwise(name, constant):
    """The function named by ``name``; ``constant(label, value)`` makes a symbolic scalar of each of its constants."""
    kind, constants = parse(name)
    if kind in _PLAIN:
        return _PLAIN[kind]
    function = {"leaky": leaky, "elu": elu, "selu": selu}[kind]
    scalars = [constant(f"{name}/{i}", value) for i, value in enumerate(constants)]
    return lambda x: function(x, *scalars)
