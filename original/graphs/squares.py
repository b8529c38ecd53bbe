"""The sum of an array's squares, as cheap as each backend can make it."""

from typing import Any

import numpy as np

from original.graphs.library import Apply, Op, Variable, tensor


class SumOfSquares(Op):
    """x·x over all entries, a scalar. A product runs in the matrix library; a sum costs ten times as much."""

    __props__ = ()

    def make_node(self, x: Variable) -> Apply:
        """See the library's Op."""
        x = tensor.as_tensor_variable(x)
        return Apply(self, [x], [tensor.TensorType(x.dtype, shape=())()])

    def infer_shape(self, fgraph: Any, node: Apply, shapes: list[Any]) -> list[Any]:
        """See the library's Op."""
        return [()]

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        """See the library's Op."""
        entries = np.ravel(inputs[0])
        outputs[0][0] = np.asarray(np.dot(entries, entries), entries.dtype)
