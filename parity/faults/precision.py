"""Matrix products of fewer digits than float32 has, as accelerators offer them."""

from collections.abc import Callable
from typing import Any

from parity.faults.fault import Family, Patches
from parity.faults.gru import gru_with

FAMILY = Family()
FLOAT32 = ("float32",)


def _products_of(rounded: Callable[[Any], Any]) -> Patches:
    """Every product of the network takes its operands ``rounded``; the gradient does not see the rounding."""
    from keras import ops

    from keras_port.layers import ItemScorer

    def low(x: Any) -> Any:
        return x + ops.stop_gradient(rounded(x) - x)

    def equations(gru, v, H, sigmoid):
        gates = sigmoid(v[:, gru.units :] + low(H) @ low(gru.Wrz))
        r, z = gates[:, : gru.units], gates[:, gru.units :]
        return (1.0 - z) * H + z * gru.activation(low(H * r) @ low(gru.Wh) + v[:, : gru.units])

    def call(self, h, Wy=None, By=None, columns=None, training=False):
        Wy, By = (self.Wy, self.By) if Wy is None else (Wy, By)
        return self.activation(low(h) @ ops.transpose(low(Wy)) + ops.transpose(By), columns, training)

    return [*gru_with(equations), (ItemScorer, "call", call)]


@FAMILY.fault("matrix products in TF32", "forward", "bpr-max", own=True, dtypes=FLOAT32)
def tf32() -> Patches:
    def rounded(x: Any) -> Any:
        """To 11 binary digits, by Dekker's splitting."""
        from keras import ops

        x = ops.convert_to_tensor(x)
        large = x * (2.0**13 + 1)
        return large - (large - x)

    return _products_of(rounded)


def _cast(dtype: str) -> Callable[[Any], Any]:
    def rounded(x: Any) -> Any:
        from keras import ops

        x = ops.convert_to_tensor(x)
        return ops.cast(ops.cast(x, dtype), x.dtype)

    return rounded


@FAMILY.fault("matrix products in bfloat16", "forward", "bpr-max", own=True, dtypes=FLOAT32)
def bfloat16() -> Patches:
    return _products_of(_cast("bfloat16"))


@FAMILY.fault("matrix products in float16", "forward", "bpr-max", own=True, dtypes=FLOAT32)
def float16() -> Patches:
    return _products_of(_cast("float16"))
