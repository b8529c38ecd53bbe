"""PyTorch under Keras."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import torch

RELAXES_SHAPES = True  # nothing is compiled

tanh = torch.tanh


def use_float64() -> None:
    """Let the backend compute in float64, which PyTorch always does."""


def scatter_add(table: Any, rows: Any, values: Any) -> Any:
    """``table`` (n, W) with ``values`` (N, W) added to its ``rows`` (N,), every occurrence of a row.

    In place, where Keras would copy the table: it is the memory of a variable that nothing else reads.
    """
    return table.index_add_(0, rows, values)


def scatter_set(table: Any, rows: Any, values: Any) -> Any:
    """``table`` (n, W) with its ``rows`` (N,) set to ``values`` (N, W), equal where a row repeats; in place."""
    return table.index_copy_(0, rows.long(), values)


def value_and_gradients(function: Callable, arguments: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The value and the gradients of ``function(arguments) -> (scalar, rest)``.

    Returns:
        The scalar, the rest, and the scalar's gradients by argument name.
    """
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_(True) for name, value in arguments.items()}
        value, rest = function(leaves)
        gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return value.detach(), [part.detach() for part in rest], dict(zip(leaves, gradients))


def compile_program(program: Callable, jit: bool = True) -> Callable:
    """Make ``program(state, inputs) -> (changed state, results)``, a pure function of dicts of tensors, ready to run.

    Args:
        program: PyTorch runs it op by op.
        jit: of no account.

    Returns:
        ``run(variables, inputs)``: runs the program on the variables' values, stores what it changed, and returns the
        results. variables: dict of name to ``keras.Variable``; inputs: dict of name to array.
    """

    @torch.no_grad()
    def run(variables: Mapping[str, keras.Variable], inputs: Mapping[str, np.ndarray]) -> Any:
        tensors = {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}
        changed, results = program({name: v.value.detach() for name, v in variables.items()}, tensors)
        for name, value in changed.items():
            variables[name].assign(value)
        return results

    return run
