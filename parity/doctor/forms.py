"""Distances, and the forms of the GRU that programs have: which of them gives an outcome?"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit as sigmoid

from parity.plain.network import activation


class Form(NamedTuple):
    """A way to write the GRU. wx: order of the column blocks of Wx and Bh. wrz: of those of Wrz.

    keep: whether z keeps the old state, h = z*H + (1-z)*c. after: whether r acts after the matrix product.
    """

    wx: str = "crz"
    wrz: str = "rz"
    keep: bool = False
    after: bool = False

    def __str__(self) -> str:
        names = {"c": "candidate", "r": "reset", "z": "update"}
        parts = ["Wx and Bh: " + "|".join(names[b] for b in self.wx), "Wrz: " + "|".join(names[b] for b in self.wrz)]
        parts.append("h = z*H + (1-z)*c" if self.keep else "h = (1-z)*H + z*c")
        parts.append("c = act(v + r*(H·Wh)), the cuDNN form" if self.after else "c = act(v + (r*H)·Wh)")
        return "; ".join(parts)


DOCUMENTED = Form()

FORMS = [
    DOCUMENTED,
    *(
        form
        for form in (
            Form("".join(wx), wrz, keep, after)
            for after, keep, wrz, wx in itertools.product(
                (False, True), (False, True), ("rz", "zr"), itertools.permutations("crz")
            )
        )
        if form != DOCUMENTED
    ),
]


def next_state(
    weights: Mapping[str, np.ndarray], x: np.ndarray, H: np.ndarray, form: Form, hidden_act: str = "tanh"
) -> np.ndarray:
    """The new state (M, L) of layer 0 in another ``form``; x (M, 3*L) is its input part, H (M, L) its state."""
    v = dict(zip(form.wx, np.split(x, 3, axis=1)))
    W = dict(zip(form.wrz, np.split(weights["Wrz0"], 2, axis=1)))
    r, z = (sigmoid(v[gate] + H @ W[gate]) for gate in "rz")
    inner = r * (H @ weights["Wh0"]) if form.after else (r * H) @ weights["Wh0"]
    c = activation(hidden_act).of(v["c"] + inner)
    return z * H + (1 - z) * c if form.keep else (1 - z) * H + z * c


def form_of(
    weights: Mapping[str, np.ndarray], X: np.ndarray, H: np.ndarray, found: np.ndarray, hidden_act: str, close: float
) -> Form | None:
    """The form of the GRU that gives ``found`` (M, L) from a look-up of X; None where none does."""
    x = weights["Wx0"][X] + weights["Bh0"]
    return next((f for f in FORMS if distance(found, next_state(weights, x, H, f, hidden_act)) < close), None)


def advice_on(form: Form | None) -> str:
    """What to change in a GRU of this form; None: of an unknown one."""
    if form is None:
        return (
            f"none of {len(FORMS)} orders and forms gives this state; wanted: {DOCUMENTED}. Look at hidden_act, the "
            "biases, the state's use, Wx transposed"
        )
    if form.after:
        return (
            f"wanted: {DOCUMENTED}. The reset gate acts after the product, as in cuDNN, torch.nn.GRU and "
            "torch.nn.GRUCell: no reordering of weights mends it, write the cell out"
        )
    return f"wanted: {DOCUMENTED}. Reorder the blocks in get_weights and set_weights" + (
        "; and negate those of the update gate, as 1 - sigmoid(x) = sigmoid(-x)" if form.keep else ""
    )


def distance(a: Any, b: Any) -> float:
    """||a - b|| / ||b||; infinite for other shapes and for what is not finite."""
    try:
        a, b = np.asarray(a, float), np.asarray(b, float)
    except (TypeError, ValueError):
        return math.inf
    if a.shape != b.shape or not np.isfinite(a).all():
        return math.inf
    away, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    return away / size if size else away


def factor(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """(k, rest): found is k * wanted, but for the share ``rest``. (NaN, infinite) for other shapes."""
    a, b = np.asarray(found, float), np.asarray(wanted, float)
    if a.shape != b.shape or not np.isfinite(a).all() or not (b * b).sum() > 0:
        return math.nan, math.inf
    k = float((a * b).sum() / (b * b).sum())
    return k, float(np.linalg.norm(a - k * b) / np.linalg.norm(b))


def shapes_of(names: Mapping[str, tuple]) -> str:
    return ", ".join(f"{name} {shape}".replace(" ", "") for name, shape in names.items())


def equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return set(a) == set(b) and all(np.array_equal(a[name], values) for name, values in b.items())
