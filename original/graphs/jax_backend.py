"""Graphs through JAX, compiled by XLA for the CPU or a GPU."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from original.graphs.jax_translations import jax_funcify
from original.graphs.library import NAME, Variable, function, get_mode, shared

# Without it JAX would turn float64 into float32 silently. The library's own translation sets the same.
jax.config.update("jax_enable_x64", True)

Pure = Callable[[list[Any], list[Any], Any], tuple[list[Any], list[Any]]]


def choose_device(wanted: str) -> Any:
    """The device for 'auto', 'cpu' or 'gpu'. Raises RuntimeError for a GPU where JAX sees none."""
    found = jax.devices()
    gpus = [device for device in found if device.platform == "gpu"]
    if wanted == "gpu" and not gpus:
        raise RuntimeError(f"device='gpu': JAX sees no GPU, only {', '.join(map(str, found))}")
    return gpus[0] if gpus and wanted != "cpu" else jax.devices("cpu")[0]


class JaxBackend:
    """XLA. Shapes are fixed when a graph is made.

    The library's own JAX linker makes new arrays for what a function updates. Here the library only translates the
    graph; it is compiled so that XLA may reuse the old arrays' memory, without which every step would copy every item
    tensor.
    """

    fixed_shapes = True
    steps_per_call = 16

    def __init__(self, dtype: str, device: str) -> None:
        self.dtype = dtype
        self.device = choose_device(device)
        self.mode = get_mode("JAX")
        where = f"{self.device.platform} ({self.device.device_kind})"
        self.description = f"{NAME}, JAX {jax.__version__} on {where}, {dtype}"

    def shared(self, value: Any, name: str) -> Variable:
        """See :class:`original.graphs.backends.Backend`."""
        return shared(np.ascontiguousarray(value, self.dtype), name=name, shape=np.shape(value), borrow=True)

    def get(self, variable: Variable) -> np.ndarray:
        """See the protocol."""
        return np.array(variable.container.storage[0])

    def is_finite(self, variable: Variable) -> bool:
        """See the protocol."""
        return bool(jnp.isfinite(variable.container.storage[0]).all())

    def set(self, variable: Variable, value: Any) -> None:
        """See the protocol."""
        variable.set_value(np.array(value, self.dtype), borrow=True)

    def value(self, variable: Variable) -> Any:
        """A shared variable's value, on the device."""
        storage = variable.container.storage
        if not isinstance(storage[0], jax.Array):
            storage[0] = jax.device_put(storage[0], self.device)
        return storage[0]

    def _translate(
        self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]
    ) -> tuple[Pure, list[Variable], list[Variable]]:
        """``pure(changing, constant, arguments) -> (results, changed)``, and the variables behind the first two."""
        maker = function(inputs, outputs, updates=updates, mode=self.mode, on_unused_input="ignore").maker
        variables = [i.variable for i in maker.inputs[len(inputs) :]]
        updated = sorted((i - len(inputs), o) for o, i in maker.fgraph.update_mapping.items())
        changing = [v for v, _ in updated]
        constant = [v for v in range(len(variables)) if v not in changing]
        translated = jax_funcify(maker.fgraph)

        def pure(changing_values: list[Any], constant_values: list[Any], arguments: Any) -> tuple[list[Any], list[Any]]:
            values = dict(zip(changing, changing_values, strict=True))
            values |= dict(zip(constant, constant_values, strict=True))
            results = translated(*arguments, *(values[v] for v in range(len(variables))))
            return results[: len(outputs)], [results[o] for _, o in updated]

        return pure, [variables[v] for v in changing], [variables[v] for v in constant]

    def function(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> Callable[..., Any]:
        """See the protocol; compiled at the first call."""
        pure, changing, constant = self._translate(inputs, outputs, updates)
        run = Runner(self, jax.jit(pure, donate_argnums=0), changing, constant)
        return lambda *arguments: [np.asarray(result) for result in run(arguments)]

    def loop(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> "JaxSteps":
        """See the protocol; compiled at the first call."""
        pure, changing, constant = self._translate(inputs, outputs, updates)

        def loop(state: list[Any], constant_values: list[Any], count: Any, stacked: list[Any]) -> tuple[Any, list[Any]]:
            def goes_on(carry: tuple[Any, Any, Any, list[Any]]) -> Any:
                i, finite, _, _ = carry
                return (i < count) & finite

            def body(carry: tuple[Any, Any, Any, list[Any]]) -> tuple[Any, Any, Any, list[Any]]:
                i, _, found, state = carry
                arguments = [jax.lax.dynamic_index_in_dim(x, i, keepdims=False) for x in stacked]
                results, state = pure(state, constant_values, arguments)
                row = jnp.stack([jnp.asarray(result, self.dtype) for result in results])
                return i + 1, jnp.isfinite(row).all(), found.at[i].set(row), state

            start = jnp.zeros((self.steps_per_call, len(outputs)), self.dtype)
            i, _, found, state = jax.lax.while_loop(goes_on, body, (jnp.int32(0), jnp.array(True), start, state))
            return (i, found), state

        return JaxSteps(Runner(self, jax.jit(loop, donate_argnums=0), changing, constant), self.steps_per_call)


class Runner:
    """Calls a jitted function with the present values of shared variables, and keeps what it made of them."""

    def __init__(self, backend: JaxBackend, compiled: Any, changing: list[Variable], constant: list[Variable]) -> None:
        self.backend, self.compiled, self.changing, self.constant = backend, compiled, changing, constant

    def values(self) -> tuple[list[Any], list[Any]]:
        """Of the variables that change, and of the others."""
        return [self.backend.value(v) for v in self.changing], [self.backend.value(v) for v in self.constant]

    def __call__(self, *arguments: Any) -> Any:
        """The function's results; the changed variables are set."""
        results, changed = self.compiled(*self.values(), *arguments)
        for variable, value in zip(self.changing, changed, strict=True):
            variable.container.storage[0] = value
        return results


class JaxSteps:
    """A compiled training step inside a loop: one call does up to ``steps_per_call`` steps."""

    def __init__(self, run: Runner, steps_per_call: int) -> None:
        self.run, self.steps_per_call = run, steps_per_call

    def _arguments(self, steps: list[list[np.ndarray]]) -> tuple[np.int32, list[np.ndarray]]:
        stacked = [np.empty((self.steps_per_call, *x.shape), x.dtype) for x in steps[0]]
        for i, step in enumerate(steps):
            for stack, x in zip(stacked, step, strict=True):
                stack[i] = x
        return np.int32(len(steps)), stacked

    def __call__(self, steps: list[list[np.ndarray]]) -> np.ndarray:
        """See :class:`original.graphs.backends.Step`."""
        done, found = self.run(*self._arguments(steps))
        return np.asarray(found)[: int(done)]

    def compiled_text(self, steps: list[list[np.ndarray]]) -> str:
        """What XLA made of the loop, for those who want to read it."""
        return self.run.compiled.lower(*self.run.values(), *self._arguments(steps)).compile().as_text()
