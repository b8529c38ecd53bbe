"""JAX under Keras."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import keras
import numpy as np

RELAXES_SHAPES = False  # every program is compiled for the shapes of its inputs

tanh = jax.numpy.tanh


def use_float64() -> None:
    """Let the backend compute in float64, which JAX rounds to float32 unless told."""
    jax.config.update("jax_enable_x64", True)


def scatter_add(table: Any, rows: Any, values: Any) -> Any:
    """``table`` (n, W) with ``values`` (N, W) added to its ``rows`` (N,), every occurrence of a row."""
    return keras.ops.scatter_update(table, rows[:, None], values, reduction="add")


def scatter_set(table: Any, rows: Any, values: Any) -> Any:
    """``table`` (n, W) with its ``rows`` (N,) set to ``values`` (N, W), which are equal where a row repeats."""
    return keras.ops.scatter_update(table, rows[:, None], values)


def value_and_gradients(function: Callable, arguments: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The value and the gradients of ``function(arguments) -> (scalar, rest)``.

    Returns:
        The scalar, the rest, and the scalar's gradients by argument name.
    """
    (value, rest), gradients = jax.value_and_grad(function, has_aux=True)(arguments)
    return value, rest, gradients


def compile_program(program: Callable, jit: bool = True) -> Callable:
    """Compile ``program(state, inputs) -> (changed state, results)``, a pure function of dicts of tensors.

    Args:
        program: it is traced once for all variables and inputs of the same shapes and types, whoever they belong to.
        jit: of no account: JAX always compiles.

    Returns:
        ``run(variables, inputs)``: runs the program on the variables' values, stores what it changed, and returns the
        results. variables: dict of name to ``keras.Variable``; inputs: dict of name to array. What changes is given to
        the program for good, so that its memory is reused.
    """

    def split(kept: dict[str, Any], given: dict[str, Any], inputs: Any) -> Any:
        return program({**kept, **given}, inputs)

    compiled = changing = None

    def run(variables: Mapping[str, keras.Variable], inputs: Mapping[str, np.ndarray]) -> Any:
        nonlocal compiled, changing
        values = {name: v.value for name, v in variables.items()}
        if compiled is None:
            changing = set(jax.eval_shape(split, {}, values, inputs)[0])
            compiled = jax.jit(split, donate_argnums=1, out_shardings=_layouts(values, changing))
        kept = {name: value for name, value in values.items() if name not in changing}
        given = {name: value for name, value in values.items() if name in changing}
        changed, results = compiled(kept, given, inputs)
        for name, value in changed.items():
            variables[name].assign(value)
        return results

    return run


def _layouts(values: Mapping[str, jax.Array], changing: set[str]) -> Any:
    """Where a program's results are to lie: the state as it does, the rest on every device; None on one device."""
    layouts = {name: value.sharding for name, value in values.items()}
    split = next((layout for layout in layouts.values() if len(layout.device_set) > 1), None)
    if split is None:
        return None
    everywhere = jax.sharding.NamedSharding(split.mesh, jax.sharding.PartitionSpec())
    return {name: layouts[name] for name in changing}, everywhere
