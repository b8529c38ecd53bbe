"""The network's forward pass in plain NumPy, float64: what the harness ranks by, so that no engine is taken on trust.

Section 3 of arXiv 1511.06939, in the published program's form: the reset gate acts before the matrix product, column
blocks are candidate | reset | update. Prediction only: no dropout.
"""

from typing import Any, Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit as sigmoid

Weights = Mapping[str, np.ndarray]


def activation(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """``linear``, ``relu``, ``tanh``, ``leaky-X``, ``elu-X``, ``selu-X-Y``: an elementwise, non-decreasing function.

    Raises:
        ValueError: for another name.
    """
    kind, _, constants = name.partition("-")
    numbers = [float(part) for part in constants.split("-")] if constants else []
    match kind, numbers:
        case "linear", []:
            return lambda x: x
        case "relu", []:
            return lambda x: np.maximum(x, 0.0)
        case "tanh", []:
            return np.tanh
        case "leaky", [a]:
            return lambda x: np.where(x >= 0, x, a * x)
        case "elu", [a]:
            return lambda x: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0.0)))
        case "selu", [a, b]:
            return lambda x: a * np.where(x >= 0, x, b * np.expm1(np.minimum(x, 0.0)))
    raise ValueError(f"activation {name!r}: linear, relu, tanh, leaky-X, elu-X or selu-X-Y is accepted")


def next_hidden(
    weights: Weights, params: Mapping[str, Any], X: np.ndarray, hidden: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The hidden states (M, L_k) after the items X (M,), from those before."""
    act = activation(params.get("hidden_act", "tanh"))
    W = {name: np.asarray(values, np.float64) for name, values in weights.items()}
    table = "Wy" if params.get("constrained_embedding") else "E" if params.get("embedding") else "Wx0"
    x, after = W[table][X], []
    for k, H in enumerate(hidden):
        L = H.shape[1]
        v = (x if k == 0 and table == "Wx0" else x @ W[f"Wx{k}"]) + W[f"Bh{k}"]
        r, z = np.split(sigmoid(v[:, L:] + H @ W[f"Wrz{k}"]), 2, axis=1)
        x = (1 - z) * H + z * act((H * r) @ W[f"Wh{k}"] + v[:, :L])
        after.append(x)
    return after


def logits(weights: Weights, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores before final_act, (M, n), and the sums of the absolute terms that they are made of."""
    Wy, By = (np.asarray(weights[name], np.float64) for name in ("Wy", "By"))
    return h @ Wy.T + By.T, np.abs(h) @ np.abs(Wy).T + np.abs(By).T
