"""The yardstick of original/'s speed: the formulas as they stand, in one Aesara function with Aesara's default flags.

Nothing here is tuned: every tensor is one expression, the dropout is drawn in the graph, updates are handed to Aesara
as they are written, no BLAS library is linked. ``benchmarks/original_speed.py`` times this against original/ in pairs.
"""

import numpy as np

SETTINGS = {
    "bpr-max": dict(loss="bpr-max", learning_rate=0.2, momentum=0.3, dropout=0.0, bpreg=1.0, elu=0.5),
    "cross-entropy": dict(loss="cross-entropy", learning_rate=0.1, momentum=0.7, dropout=0.3),
}


def plain_step(n_items, config, units=100, batch_size=32, n_sample=2048, dtype="float32"):
    """Compile ``step(X, Y, R) -> cost`` for one GRU layer, adagrad and momentum, without embedding."""
    import aesara
    import aesara.tensor as at
    from aesara.sandbox.rng_mrg import MRG_RandomStream

    s = SETTINGS[config]
    rng = np.random.RandomState(42)

    def weight(rows, cols):
        sigma = np.sqrt(6 / (rows + cols))
        return aesara.shared((rng.rand(rows, cols) * 2 * sigma - sigma).astype(dtype))

    def zeros_like(p):
        return aesara.shared(np.zeros_like(p.get_value()))

    L = units
    Wx = aesara.shared(np.hstack([weight(n_items, L).get_value() for _ in range(3)]))
    Wh, Wrz = weight(L, L), aesara.shared(np.hstack([weight(L, L).get_value() for _ in range(2)]))
    Bh = aesara.shared(np.zeros(3 * L, dtype))
    Wy, By = weight(n_items, L), aesara.shared(np.zeros((n_items, 1), dtype))
    H = aesara.shared(np.zeros((batch_size, L), dtype))

    X, Y, R = at.ivector("X"), at.ivector("Y"), at.vector("R", dtype)
    Sx, Sy, SBy = Wx[X], Wy[Y], By[Y]
    v = Sx + Bh
    rz = at.sigmoid(v[:, L:] + at.dot(H, Wrz))
    r, z = rz[:, :L], rz[:, L:]
    c = at.tanh(at.dot(H * r, Wh) + v[:, :L])
    h = (1 - z) * H + z * c
    if s["dropout"]:
        keep = 1 - s["dropout"]
        h = h * MRG_RandomStream(12345).binomial(h.shape, p=keep, dtype=dtype) / np.asarray(keep, dtype)
    o = at.dot(h, Sy.T) + SBy.flatten()
    M = X.shape[0]

    if s["loss"] == "cross-entropy":
        e = at.exp(o - o.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = at.mean(-at.log(at.diag(p) + 1e-24))
    else:
        yhat = at.switch(o >= 0, o, np.asarray(s["elu"], dtype) * (at.exp(o) - 1))
        t = at.diag(yhat).dimshuffle(0, "x")
        negative = 1 - at.eye(M, yhat.shape[1], dtype=dtype)
        masked = yhat * negative
        e = at.exp(masked - masked.max(axis=1, keepdims=True)) * negative
        w = e / e.sum(axis=1, keepdims=True)
        loss = at.mean(-at.log((w * at.sigmoid(t - yhat)).sum(axis=1) + 1e-24) + s["bpreg"] * (w * yhat**2).sum(axis=1))
    cost = at.cast(loss * M / batch_size, dtype)

    lr, momentum, eps = (np.asarray(x, dtype) for x in (s["learning_rate"], s["momentum"], 1e-6))
    updates = [(H, h * (1 - R).dimshuffle(0, "x"))]
    for p, g in zip((Wh, Wrz, Bh), at.grad(cost, [Wh, Wrz, Bh])):
        a, vel = zeros_like(p), zeros_like(p)
        a_new = a + g**2
        v_new = momentum * vel - lr * g / at.sqrt(a_new + eps)
        updates += [(a, a_new), (vel, v_new), (p, p + v_new)]
    for p, idx, g in zip((Wx, Wy, By), (X, Y, Y), at.grad(cost, [Sx, Sy, SBy])):
        a, vel = zeros_like(p), zeros_like(p)
        v_new = momentum * vel[idx] - lr * g / at.sqrt(a[idx] + g**2 + eps)
        updates += [
            (a, at.inc_subtensor(a[idx], g**2)),
            (vel, at.set_subtensor(vel[idx], v_new)),
            (p, at.inc_subtensor(p[idx], v_new)),
        ]
    return aesara.function([X, Y, R], cost, updates=updates, allow_input_downcast=True)
