"""The GRU."""

from collections.abc import Callable
from typing import Any

from parity.faults.fault import Family, Patches

FAMILY = Family()


def gru_with(equations: Callable[[Any, Any, Any, Callable], Any]) -> Patches:
    """A patch of the GRU: ``equations(gru, v, H, sigmoid)`` gives the new state; v = x·Wx + Bh (M, 3*L), H (M, L)."""
    from keras import ops

    from keras_port.layers import SessionGRU

    def call(self, x, H):
        return equations(self, (x if self.Wx is None else x @ self.Wx) + self.Bh, H, ops.sigmoid)

    return [(SessionGRU, "call", call)]


@FAMILY.fault("gates' order swapped", "forward", "bpr-max")
def swapped_gates() -> Patches:
    def swapped(gru, v, H, sigmoid):
        gates = sigmoid(v[:, gru.units :] + H @ gru.Wrz)
        z, r = gates[:, : gru.units], gates[:, gru.units :]
        return (1.0 - z) * H + z * gru.activation((H * r) @ gru.Wh + v[:, : gru.units])

    return gru_with(swapped)


@FAMILY.fault("reset gate applied after the matrix product (cuDNN)", "forward", "bpr-max")
def reset_after_product() -> Patches:
    def reset_after(gru, v, H, sigmoid):
        gates = sigmoid(v[:, gru.units :] + H @ gru.Wrz)
        r, z = gates[:, : gru.units], gates[:, gru.units :]
        return (1.0 - z) * H + z * gru.activation(r * (H @ gru.Wh) + v[:, : gru.units])

    return gru_with(reset_after)
