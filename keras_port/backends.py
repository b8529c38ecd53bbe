"""What Keras leaves to the backend: gradients, and compiling a function whose state stays in place.

And ``tanh``, which ``keras.ops`` rounds to float32 outside TensorFlow.
Everything else in this package is written in ``keras.ops``. A state is a dict of name -> ``keras.Variable``; a program
is a pure function ``program(state, inputs) -> (changed state, results)`` of dicts of tensors.
"""

import keras
import numpy as np

BACKEND = keras.backend.backend()


def use_float64():
    """Let the backend compute in float64; JAX rounds it to float32 unless told."""
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)


def to_numpy(tensor):
    """A NumPy copy of a tensor or variable; never a view of memory that a later step reuses."""
    return np.array(keras.ops.convert_to_numpy(tensor))


def scatter_add(table, idx, values):
    """``table`` with ``values`` (N, W) added to its rows ``idx`` (N,), every occurrence of a row."""
    return keras.ops.scatter_update(table, idx[:, None], values, reduction="add")


def scatter_set(table, idx, values):
    """``table`` with its rows ``idx`` (N,) set to ``values`` (N, W), which are equal where an index repeats."""
    return keras.ops.scatter_update(table, idx[:, None], values)


if BACKEND == "tensorflow":
    import tensorflow as tf

    tanh = tf.tanh

    def value_and_gradients(function, arguments):
        """``function(arguments) -> (scalar, rest)``; returns (scalar, rest, gradients), gradients by argument name."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(arguments)
            value, rest = function(arguments)
        return value, rest, tape.gradient(value, arguments, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def compile_program(program, variables, jit=True):
        """Callable of a dict of arrays: runs ``program`` on the variables' values and stores what it changed.

        One XLA program when ``jit``: it updates the variables' own memory, so nothing of their size is copied.
        """

        @tf.function(jit_compile=jit, reduce_retracing=not jit)
        def run(inputs):
            changed, results = program({name: tf.convert_to_tensor(v.value) for name, v in variables.items()}, inputs)
            for name, value in changed.items():
                variables[name].value.assign(value)
            return results

        return lambda inputs: run({name: tf.constant(value) for name, value in inputs.items()})

elif BACKEND == "jax":
    import jax

    tanh = jax.numpy.tanh

    def value_and_gradients(function, arguments):
        """``function(arguments) -> (scalar, rest)``; returns (scalar, rest, gradients), gradients by argument name."""
        (value, rest), gradients = jax.value_and_grad(function, has_aux=True)(arguments)
        return value, rest, gradients

    def compile_program(program, variables, jit=True):
        """Callable of a dict of arrays: runs ``program`` on the variables' values and stores what it changed.

        The state is given to the program for good, so that its memory is reused; JAX always compiles, whatever ``jit``.
        """

        def split(kept, given, inputs):
            return program({**kept, **given}, inputs)

        compiled = jax.jit(split, donate_argnums=1)
        changing = None

        def run(inputs):
            nonlocal changing
            values = {name: v.value for name, v in variables.items()}
            if changing is None:
                changing = set(jax.eval_shape(split, {}, values, inputs)[0])
            kept = {name: value for name, value in values.items() if name not in changing}
            given = {name: value for name, value in values.items() if name in changing}
            changed, results = compiled(kept, given, inputs)
            for name, value in changed.items():
                variables[name].assign(value)
            return results

        return run

else:
    import torch

    tanh = torch.tanh

    def scatter_add(table, idx, values):  # noqa: F811
        """In place: Keras would copy the table. ``table`` is the memory of a variable that nothing else reads."""
        return table.index_add_(0, idx, values)

    def scatter_set(table, idx, values):  # noqa: F811
        """In place, as :func:`scatter_add`."""
        return table.index_copy_(0, idx.long(), values)

    def value_and_gradients(function, arguments):
        """``function(arguments) -> (scalar, rest)``; returns (scalar, rest, gradients), gradients by argument name."""
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_(True) for name, value in arguments.items()}
            value, rest = function(leaves)
            gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return value.detach(), [part.detach() for part in rest], dict(zip(leaves, gradients))

    def compile_program(program, variables, jit=True):
        """Callable of a dict of arrays: runs ``program`` on the variables' values and stores what it changed.

        PyTorch runs it op by op, whatever ``jit``.
        """

        @torch.no_grad()
        def run(inputs):
            tensors = {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}
            changed, results = program({name: v.value.detach() for name, v in variables.items()}, tensors)
            for name, value in changed.items():
                variables[name].assign(value)
            return results

        return run
