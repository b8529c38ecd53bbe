"""The yardstick of original/'s speed: the formulas as they stand, in one Aesara function with Aesara's default flags.

Nothing here is tuned: every tensor is one expression, the dropout is drawn in the graph, updates are handed to Aesara
as they are written, no BLAS library is linked. ``benchmarks/original_speed.py`` times this against original/ in pairs.
"""

from typing import Any

import numpy as np

SETTINGS = {
    "bpr-max": dict(loss="bpr-max", learning_rate=0.2, momentum=0.3, dropout=0.0, bpreg=1.0, elu=0.5),
    "cross-entropy": dict(loss="cross-entropy", learning_rate=0.1, momentum=0.7, dropout=0.3),
}


def plain_step(n_items: int, config: str, units: int = 100, batch_size: int = 32, dtype: str = "float32") -> Any:
    """Compile ``step(X, Y, R) -> cost`` for one GRU layer, adagrad and momentum, without embedding."""
    import aesara
    import aesara.tensor as tensor
    from aesara.sandbox.rng_mrg import MRG_RandomStream

    s = SETTINGS[config]
    rng = np.random.RandomState(42)

    def weight(rows: int, cols: int) -> Any:
        sigma = np.sqrt(6 / (rows + cols))
        return aesara.shared((rng.rand(rows, cols) * 2 * sigma - sigma).astype(dtype))

    def zeros_like(p: Any) -> Any:
        return aesara.shared(np.zeros_like(p.get_value()))

    L = units
    Wx = aesara.shared(np.hstack([weight(n_items, L).get_value() for _ in range(3)]))
    Wh, Wrz = weight(L, L), aesara.shared(np.hstack([weight(L, L).get_value() for _ in range(2)]))
    Bh = aesara.shared(np.zeros(3 * L, dtype))
    Wy, By = weight(n_items, L), aesara.shared(np.zeros((n_items, 1), dtype))
    H = aesara.shared(np.zeros((batch_size, L), dtype))

    X, Y, R = tensor.ivector("X"), tensor.ivector("Y"), tensor.vector("R", dtype)
    Sx, Sy, SBy = Wx[X], Wy[Y], By[Y]
    v = Sx + Bh
    rz = tensor.sigmoid(v[:, L:] + tensor.dot(H, Wrz))
    r, z = rz[:, :L], rz[:, L:]
    c = tensor.tanh(tensor.dot(H * r, Wh) + v[:, :L])
    h = (1 - z) * H + z * c
    if s["dropout"]:
        keep = 1 - s["dropout"]
        h = h * MRG_RandomStream(12345).binomial(h.shape, p=keep, dtype=dtype) / np.asarray(keep, dtype)
    o = tensor.dot(h, Sy.T) + SBy.flatten()
    M = X.shape[0]

    if s["loss"] == "cross-entropy":
        e = tensor.exp(o - o.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = tensor.mean(-tensor.log(tensor.diag(p) + 1e-24))
    else:
        yhat = tensor.switch(o >= 0, o, np.asarray(s["elu"], dtype) * (tensor.exp(o) - 1))
        t = tensor.diag(yhat).dimshuffle(0, "x")
        negative = 1 - tensor.eye(M, yhat.shape[1], dtype=dtype)
        masked = yhat * negative
        e = tensor.exp(masked - masked.max(axis=1, keepdims=True)) * negative
        w = e / e.sum(axis=1, keepdims=True)
        loss = tensor.mean(
            -tensor.log((w * tensor.sigmoid(t - yhat)).sum(axis=1) + 1e-24) + s["bpreg"] * (w * yhat**2).sum(axis=1)
        )
    cost = tensor.cast(loss * M / batch_size, dtype)

    lr, momentum, eps = (np.asarray(x, dtype) for x in (s["learning_rate"], s["momentum"], 1e-6))
    updates = [(H, h * (1 - R).dimshuffle(0, "x"))]
    for p, g in zip((Wh, Wrz, Bh), tensor.grad(cost, [Wh, Wrz, Bh])):
        a, vel = zeros_like(p), zeros_like(p)
        a_new = a + g**2
        v_new = momentum * vel - lr * g / tensor.sqrt(a_new + eps)
        updates += [(a, a_new), (vel, v_new), (p, p + v_new)]
    for p, rows, g in zip((Wx, Wy, By), (X, Y, Y), tensor.grad(cost, [Sx, Sy, SBy])):
        a, vel = zeros_like(p), zeros_like(p)
        v_new = momentum * vel[rows] - lr * g / tensor.sqrt(a[rows] + g**2 + eps)
        updates += [
            (a, tensor.inc_subtensor(a[rows], g**2)),
            (vel, tensor.set_subtensor(vel[rows], v_new)),
            (p, tensor.inc_subtensor(p[rows], v_new)),
        ]
    return aesara.function([X, Y, R], cost, updates=updates, allow_input_downcast=True)
