"""The network: forward, and the gradients of it (arXiv 1511.06939, section 3, in the published program's form).

The reset gate acts before the matrix product; column blocks of ``Wx`` and ``Bh`` are candidate | reset | update, of
``Wrz`` reset | update. Shapes: M lanes, N scored items, L_k units of layer k, n items.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit as sigmoid

Array = np.ndarray
Weights = Mapping[str, Array]


class Activation(NamedTuple):
    """An elementwise, non-decreasing function of the pre-activation, and its derivative (from the right at a kink)."""

    of: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def activation(name: str) -> Activation:
    """``linear``, ``relu``, ``tanh``, ``leaky-X``, ``elu-X`` or ``selu-X-Y``.

    Raises:
        ValueError: for another name.
    """
    kind, _, constants = name.partition("-")
    try:
        numbers = [float(part) for part in constants.split("-")] if constants else []
    except ValueError:
        numbers = [np.nan] * 9
    match kind, numbers:
        case "linear", []:
            return Activation(lambda x: x, np.ones_like)
        case "relu", []:
            return Activation(lambda x: np.where(x >= 0, x, 0), lambda x: (x >= 0).astype(x.dtype))
        case "tanh", []:
            return Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
        case "leaky", [a]:
            return _piecewise(1.0, lambda x: a * x, lambda x: np.full_like(x, a))
        case "elu", [a]:
            return _piecewise(1.0, lambda x: a * np.expm1(x), lambda x: a * np.exp(x))
        case "selu", [a, b]:
            return _piecewise(a, lambda x: a * b * np.expm1(x), lambda x: a * b * np.exp(x))
    raise ValueError(f"activation {name!r}: linear, relu, tanh, leaky-X, elu-X or selu-X-Y is accepted")


def _piecewise(right: float, below: Callable, slope: Callable) -> Activation:
    """``right * x`` from 0 on, ``below(x)`` before."""

    def both(x: Array, above: Any, left: Callable) -> Array:
        return np.where(x >= 0, above, left(np.minimum(x, 0))).astype(x.dtype)

    return Activation(lambda x: both(x, right * x, below), lambda x: both(x, right, slope))


class Gates(NamedTuple):
    """What a layer computed in a step, for its gradients. All (M, L), but v and x."""

    x: Array | None  # (M, width) its input; None where v is a row of Wx0
    H: Array
    r: Array
    z: Array
    v: Array  # pre-activation of the candidate
    c: Array


def gru(x: Array | None, v: Array, H: Array, W: Weights, k: int, act: Activation) -> tuple[Array, Gates]:
    """The new state of layer k from its input part v = x·Wx + Bh (M, 3*L) and its state H (M, L)."""
    L = H.shape[1]
    r, z = np.split(sigmoid(v[:, L:] + H @ W[f"Wrz{k}"]), 2, axis=1)
    candidate = (H * r) @ W[f"Wh{k}"] + v[:, :L]
    c = act.of(candidate)
    return (1 - z) * H + z * c, Gates(x, H, r, z, candidate, c)


def gru_gradients(
    dh: Array, gates: Gates, W: Weights, k: int, act: Activation, left: float = 0.0
) -> tuple[Array, dict[str, Array]]:
    """The gradients of a layer. No gradient flows back through H: training is by single steps.

    Args:
        dh: (M, L), the gradient of the new state. gates: what the layer computed. W: the weights. k: the layer.
        act: hidden_act. left: added to the slopes; what rounding may leave of one that a saturated gate makes nearly 0.

    Returns:
        The gradient of the input part v (M, 3*L), and those of the weights by name.
    """
    x, H, r, z, candidate, c = gates
    dc = dh * z * (act.slope(candidate) + left)
    dr = (dc @ W[f"Wh{k}"].T) * H * (r * (1 - r) + left * r)
    dz = dh * (c - H) * (z * (1 - z) + left * z)
    dv = np.hstack([dc, dr, dz])
    found = {f"Wh{k}": (H * r).T @ dc, f"Wrz{k}": H.T @ np.hstack([dr, dz]), f"Bh{k}": dv.sum(axis=0)}
    return dv, found if x is None else found | {f"Wx{k}": x.T @ dv}


def input_table(params: Mapping[str, Any]) -> str:
    """The row tensor that an item is looked up in. A constrained embedding wins over a separate one."""
    return "Wy" if params.get("constrained_embedding") else "E" if params.get("embedding") else "Wx0"


def next_hidden(weights: Weights, params: Mapping[str, Any], X: Array, hidden: Sequence[Array]) -> list[Array]:
    """The hidden states (M, L_k) after the items X (M,), in prediction: no dropout. In float64."""
    W = {name: np.asarray(values, np.float64) for name, values in weights.items()}
    table, act = input_table(params), activation(params.get("hidden_act", "tanh"))
    x, after = W[table][X], []
    for k, H in enumerate(hidden):
        v = (x if k == 0 and table == "Wx0" else x @ W[f"Wx{k}"]) + W[f"Bh{k}"]
        x, _ = gru(None, v, H, W, k, act)
        after.append(x)
    return after


def logits(weights: Weights, h: Array) -> tuple[Array, Array]:
    """Scores before final_act, (M, n), and the sums of the absolute terms that they are made of. In float64."""
    Wy, By = (np.asarray(weights[name], np.float64) for name in ("Wy", "By"))
    return h @ Wy.T + By.T, np.abs(h) @ np.abs(Wy).T + np.abs(By).T
