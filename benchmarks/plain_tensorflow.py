"""The yardstick of keras_port/'s speed: the same formulas in plain TensorFlow, one step a call, without XLA.

It is what one would write first: a ``tf.function`` that gathers rows, takes gradients on a tape and scatters the
updates, called once a step with that step's arrays. ``benchmarks/keras_speed.py`` times it against keras_port/ in
pairs.
"""

import numpy as np

SETTINGS = {
    "bpr-max": {"loss": "bpr-max", "learning_rate": 0.2, "momentum": 0.3, "dropout": 0.0},
    "cross-entropy": {"loss": "cross-entropy", "learning_rate": 0.1, "momentum": 0.7, "dropout": 0.3},
}


def plain_step(n_items, config, units=100, batch_size=32, n_sample=2048, dtype="float32"):
    """``step(X, Y, last_X, last_Y, R, mask) -> cost`` for one GRU layer, adagrad and momentum, without embedding.

    X, R: (M,); Y: (M + n_sample,); last_X, last_Y: the position of the last occurrence of each item; mask: (M, units)
    bool.
    """
    import tensorflow as tf

    s = SETTINGS[config]
    rng, L, N = np.random.RandomState(42), units, batch_size + n_sample

    def weight(rows, cols, blocks=1):
        sigma = np.sqrt(6 / (rows + cols))
        return tf.Variable(np.hstack([rng.rand(rows, cols) * 2 * sigma - sigma for _ in range(blocks)]).astype(dtype))

    weights = {
        "Wx": weight(n_items, L, 3),
        "Wh": weight(L, L),
        "Wrz": weight(L, L, 2),
        "Bh": tf.Variable(tf.zeros(3 * L, dtype)),
        "Wy": weight(n_items, L),
        "By": tf.Variable(tf.zeros((n_items, 1), dtype)),
    }
    acc = {name: tf.Variable(tf.zeros_like(w)) for name, w in weights.items()}
    vel = {name: tf.Variable(tf.zeros_like(w)) for name, w in weights.items()}
    H = tf.Variable(tf.zeros((batch_size, L), dtype))
    diagonal = tf.eye(batch_size, N, dtype=dtype)
    lr, momentum = s["learning_rate"], s["momentum"]

    def cost_of(Wx, Wh, Wrz, Bh, Wy, By, mask):
        v = Wx + Bh
        gates = tf.sigmoid(v[:, L:] + H @ Wrz)
        r, z = gates[:, :L], gates[:, L:]
        h = (1 - z) * H + z * tf.tanh((H * r) @ Wh + v[:, :L])
        if s["dropout"]:
            h = h * tf.cast(mask, dtype) / (1 - s["dropout"])
        o = tf.matmul(h, Wy, transpose_b=True) + By[:, 0]
        if s["loss"] == "cross-entropy":
            target = tf.reduce_sum(tf.nn.softmax(o) * diagonal, axis=1)
            return tf.reduce_mean(-tf.math.log(target + 1e-24)), h
        yhat = tf.where(o >= 0, o, 0.5 * (tf.exp(tf.minimum(o, 0.0)) - 1))
        target = tf.reduce_sum(yhat * diagonal, axis=1, keepdims=True)
        masked = yhat * (1 - diagonal)
        e = tf.exp(masked - tf.reduce_max(masked, axis=1, keepdims=True)) * (1 - diagonal)
        w = e / tf.reduce_sum(e, axis=1, keepdims=True)
        likelihood = tf.reduce_sum(w * tf.sigmoid(target - yhat), axis=1)
        return tf.reduce_mean(-tf.math.log(likelihood + 1e-24) + tf.reduce_sum(w * yhat * yhat, axis=1)), h

    @tf.function
    def step(X, Y, last_X, last_Y, R, mask):
        at = {"Wx": (X, last_X), "Wy": (Y, last_Y), "By": (Y, last_Y)}
        used = {n: tf.gather(w, at[n][0]) if n in at else w.read_value() for n, w in weights.items()}
        with tf.GradientTape() as tape:
            tape.watch(used)
            cost, h = cost_of(*used.values(), mask)
        for name, g in tape.gradient(cost, used).items():
            if name in at:
                idx, last = at[name]
                update = momentum * tf.gather(vel[name], idx) - lr * g / tf.sqrt(
                    tf.gather(acc[name], idx) + g * g + 1e-6
                )
                acc[name].scatter_add(tf.IndexedSlices(g * g, idx))
                vel[name].scatter_update(tf.IndexedSlices(tf.gather(update, last), idx))
                weights[name].scatter_add(tf.IndexedSlices(update, idx))
            else:
                acc[name].assign_add(g * g)
                vel[name].assign(momentum * vel[name] - lr * g / tf.sqrt(acc[name] + 1e-6))
                weights[name].assign_add(vel[name])
        H.assign(tf.where(R[:, None], tf.zeros_like(h), h))
        return cost

    return step
