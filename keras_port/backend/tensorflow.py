"""TensorFlow under Keras."""

import itertools
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

RELAXES_SHAPES = True  # a program that XLA does not compile takes inputs of any size after its second tracing

tanh = tf.tanh

_numbers = itertools.count()


def use_float64() -> None:
    """Let the backend compute in float64, which TensorFlow always does."""


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
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(arguments)
        value, rest = function(arguments)
    return value, rest, tape.gradient(value, arguments, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def compile_program(program: Callable, jit: bool = True) -> Callable:
    """Compile ``program(state, inputs) -> (changed state, results)``, a pure function of dicts of tensors.

    Args:
        program: it is traced once for all variables and inputs of the same shapes and types, whoever they belong to.
        jit: as one XLA program, which updates the variables' own memory, so that nothing of their size is copied.

    Returns:
        ``run(variables, inputs)``: runs the program on the variables' values, stores what it changed, and returns the
        results. variables: dict of name to ``keras.Variable``; inputs: dict of name to array.
    """

    def call(variables: Any, inputs: Any) -> Any:
        changed, results = program({name: tf.convert_to_tensor(v) for name, v in variables.items()}, inputs)
        for name, value in changed.items():
            variables[name].assign(value)
        return results

    compiled = tf.function(_alone(call), jit_compile=jit, reduce_retracing=not jit, autograph=False)

    def run(variables: Mapping[str, keras.Variable], inputs: Mapping[str, np.ndarray]) -> Any:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return compiled({name: v.value for name, v in variables.items()}, tensors)

    return run


def _alone(function: Callable) -> Callable:
    """The function with code of its own.

    TensorFlow counts the tracings of all functions of the same code together, and warns of a program that is traced
    too often where it sees several that are traced once each.
    """
    code = function.__code__.replace(co_name=f"program{next(_numbers)}")
    return types.FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
