"""The losses and the final activations, with their gradients by hand (arXiv 1511.06939, 1706.03847, as published).

``yhat`` (M, N): column i is the target of lane i. A loss gives (M,) values and their gradient (M, N) with respect to
``yhat``; ``loss_of`` takes scores before final_act.

A softmax subtracts its row's maximum first. The published program differentiates that maximum too: what flows through
it is a sum that cancels to nothing but its rounding, and lands on every largest score. With ``rounds`` one unit of that
sum's absolute terms is put there, so that a scale that is measured on this program knows of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit as sigmoid

from parity.plain.network import Array, activation

TINY = 1e-24


def loss_of(o: Array, params: Mapping[str, Any], rounds: bool = False) -> tuple[Array, Array]:
    """Each lane's loss, (M,), and its gradient with respect to the scores o (M, N) before final_act."""
    params = {**params, "rounds": rounds}
    name = str(params.get("final_act", "linear"))
    p = _softmax(o) if name.startswith("softmax") else np.empty(0)
    yhat = p if name == "softmax" else _minus_log(o) if name == "softmax_logit" else activation(name).of(o)
    loss, d = LOSSES[params.get("loss", "bpr-max")](yhat, params)
    if name == "softmax":
        return loss, _rounded(p * (d - (p * d).sum(axis=1, keepdims=True)), o, p * d, rounds)
    if name == "softmax_logit":
        return loss, _rounded(p * d.sum(axis=1, keepdims=True) - d, o, d, rounds)
    return loss, d * activation(name).slope(o)


def predicted(o: Array, params: Mapping[str, Any]) -> Array:
    """Scores of prediction: both softmaxes as probabilities."""
    name = str(params.get("final_act", "linear"))
    return _softmax(o) if name.startswith("softmax") else activation(name).of(o)


def _rounded(d: Array, o: Array, terms: Array, rounds: bool) -> Array:
    """The gradient ``d`` through a softmax of ``o``, with what rounding leaves on the maximum: a unit of the terms."""
    if not rounds:
        return d
    left = np.finfo(d.dtype).eps * np.abs(terms).sum(axis=1, keepdims=True)
    return d + np.where(o == o.max(axis=1, keepdims=True), left, 0).astype(d.dtype)


def _softmax(o: Array) -> Array:
    e = np.exp(o - o.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _minus_log(o: Array) -> Array:
    """-log softmax(o)."""
    shifted = o - o.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted


def _targets(yhat: Array) -> tuple[Array, Array]:
    """The targets' mask (M, N) and scores (M, 1)."""
    M, N = yhat.shape
    mask = np.eye(M, N, dtype=bool)
    return mask, yhat[mask][:, None]


def _smoothed(nll: Callable, slope: Callable) -> Callable:
    """(1 - s*K/(K-1)) * nll(target) + s/(K-1) * sum_j nll(yhat_j), K = N columns; s = 0: the target's alone."""

    def loss(yhat: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
        (mask, t), K, s = _targets(yhat), yhat.shape[1], params.get("smoothing", 0.0)
        if not s:
            return nll(t)[:, 0], mask * slope(t)
        own, every = 1 - s * K / (K - 1), s / (K - 1)
        return own * nll(t)[:, 0] + every * nll(yhat).sum(axis=1), own * mask * slope(t) + every * slope(yhat)

    return loss


def bpr(yhat: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
    """Mean over all columns, the target's own included, of -log sigmoid(t - yhat_j)."""
    mask, t = _targets(yhat)
    d = sigmoid(yhat - t) / yhat.shape[1]
    return np.logaddexp(0, yhat - t).mean(axis=1), d - mask * d.sum(axis=1, keepdims=True)


def top1(yhat: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
    """mean_j [sigmoid(yhat_j - t) + sigmoid(yhat_j^2)] - sigmoid(t^2) / N."""
    (mask, t), N = _targets(yhat), yhat.shape[1]
    a, b, own = sigmoid(yhat - t), sigmoid(yhat * yhat), sigmoid(t * t)
    da, db = a * (1 - a) / N, 2 * yhat * b * (1 - b) / N
    d = da + db - mask * (da.sum(axis=1, keepdims=True) + 2 * t * own * (1 - own) / N)
    return (a + b).mean(axis=1) - own[:, 0] / N, d


def _negatives_weights(yhat: Array, mask: Array) -> Array:
    """The softmax over the negatives: the target counts 0 in the maximum, and its weight is 0."""
    masked = np.where(mask, 0, yhat)
    e = np.where(mask, 0, np.exp(masked - masked.max(axis=1, keepdims=True)))
    return e / e.sum(axis=1, keepdims=True)


def _weighted(w: Array, f: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
    """sum_j w_j f_j, (M, 1), and its gradient through the softmax w, f held."""
    mean = (w * f).sum(axis=1, keepdims=True)
    return mean, _rounded(w * (f - mean), w, w * f, params.get("rounds", False))


def top1_max(yhat: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
    """sum_j w_j (sigmoid(yhat_j - t) + sigmoid(yhat_j^2)), w the negatives' softmax."""
    mask, t = _targets(yhat)
    w, a, b = _negatives_weights(yhat, mask), sigmoid(yhat - t), sigmoid(yhat * yhat)
    loss, d = _weighted(w, a + b, params)
    da = w * a * (1 - a)
    return loss[:, 0], d + da + 2 * w * yhat * b * (1 - b) - mask * da.sum(axis=1, keepdims=True)


def bpr_max(yhat: Array, params: Mapping[str, Any]) -> tuple[Array, Array]:
    """-log(sum_j w_j sigmoid(t - yhat_j) + 1e-24) + bpreg * sum_j w_j yhat_j^2, w the negatives' softmax."""
    mask, t = _targets(yhat)
    w, a, bpreg = _negatives_weights(yhat, mask), sigmoid(t - yhat), params.get("bpreg", 1.0)
    mean, d_mean = _weighted(w, a, params)
    squares, d_squares = _weighted(w, yhat * yhat, params)
    da = w * a * (1 - a)
    d_likelihood = d_mean - da + mask * da.sum(axis=1, keepdims=True)
    d = bpreg * (d_squares + 2 * w * yhat) - d_likelihood / (mean + TINY)
    return (bpreg * squares - np.log(mean + TINY))[:, 0], d


LOSSES: dict[str, Callable[[Array, Mapping[str, Any]], tuple[Array, Array]]] = {
    "cross-entropy": _smoothed(lambda y: -np.log(y + TINY), lambda y: -1 / (y + TINY)),
    "xe_logit": _smoothed(lambda y: y, np.ones_like),
    "bpr": bpr,
    "top1": top1,
    "top1-max": top1_max,
    "bpr-max": bpr_max,
}
