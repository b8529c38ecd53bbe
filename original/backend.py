"""How a graph is compiled: to C or through JAX, with which BLAS, in which float type, on which device.

This module is the first to import Aesara, which looks for a BLAS library while it is imported. What a user has set
himself, by ``AESARA_FLAGS`` or ``.aesararc``, is left alone.
"""

import ctypes
import ctypes.util
import importlib.util
import logging
import os
import sys
import warnings
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)


def _find_openblas():
    """(linker flags, name) of an OpenBLAS with the plain names (``sgemm_``): SciPy's own, or the system's; ("", None)
    if there is none.
    """
    scipy = importlib.util.find_spec("scipy")
    for library in sorted(Path(scipy.origin).parent.with_name("scipy.libs").glob("libopenblas*.so")) if scipy else []:
        if hasattr(ctypes.CDLL(str(library)), "sgemm_"):
            return f"-L{library.parent} -l{library.stem.removeprefix('lib')}", "SciPy's OpenBLAS"
    if ctypes.util.find_library("openblas"):
        return "-lopenblas", "the system's OpenBLAS"
    return "", None


def _import_aesara():
    """Import Aesara with a BLAS, so that it neither searches for one nor warns that it found none. Returns the module
    and BLAS's name.
    """
    settings = [os.environ.get("AESARA_FLAGS", "")]
    for rc in os.environ.get("AESARARC", "~/.aesararc").split(os.pathsep):
        path = Path(rc).expanduser()
        settings.append(path.read_text() if path.is_file() else "")
    if "aesara" in sys.modules or any("ldflags" in text for text in settings):
        import aesara

        return aesara, aesara.config.blas__ldflags and f"BLAS {aesara.config.blas__ldflags}"

    flags, name = _find_openblas()
    os.environ["AESARA_FLAGS"] = ",".join(filter(None, [settings[0], f"blas__ldflags={flags}"]))
    blas_log = logging.getLogger("aesara.tensor.blas")
    level = blas_log.level
    blas_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import aesara
            import aesara.tensor.blas
    finally:
        blas_log.setLevel(level)
        os.environ["AESARA_FLAGS"] = settings[0]
    return aesara, name


aesara, BLAS = _import_aesara()

from aesara.compile.mode import Mode  # noqa: E402
from aesara.graph.rewriting.db import RewriteDatabaseQuery  # noqa: E402

from original.compilation import ParallelVMLinker, precompile_headers  # noqa: E402
from original.elementwise import FLAT  # noqa: E402


def c_mode():
    """Aesara's mode for compiled C, quicker to compile and to run.

    Intermediate results keep their memory from step to step. e^x - 1 is left as it is written: expm1 has no vector
    version.
    """
    precompile_headers()
    rewrites = RewriteDatabaseQuery(include=["fast_run", FLAT], exclude=["local_expm1", "inplace_elemwise_optimizer"])
    return Mode(linker=ParallelVMLinker(use_cloop=True, allow_gc=False), optimizer=rewrites)


class CBackend:
    """Compiled C on the CPU. Shapes are free: a step may have any number of lanes."""

    fixed_shapes = False
    steps_a_call = 1

    def __init__(self, dtype):
        self.dtype = dtype
        self.mode = c_mode()
        self.description = f"Aesara {aesara.__version__}, C on the CPU, {dtype}, {BLAS or 'no BLAS library'}"

    def shared(self, value, name):
        return aesara.shared(np.ascontiguousarray(value, self.dtype), name=name, borrow=True)

    def get(self, variable):
        return variable.get_value()

    def set(self, variable, value):
        variable.set_value(np.array(value, self.dtype), borrow=True)

    def function(self, inputs, outputs, updates):
        """Compile; a call takes and gives NumPy arrays, and writes the updates in place."""
        compiled = aesara.function(inputs, outputs, updates=updates, mode=self.mode, on_unused_input="ignore")
        compiled.trust_input = True
        return compiled

    def loop(self, inputs, cost, updates):
        """Compile a step; a call takes a list of steps' inputs and gives their costs (steps,)."""
        function = self.function(inputs, [cost], updates)

        def call(steps):
            return np.array([function(*step)[0] for step in steps])

        call.function = function
        return call


class JaxBackend:
    """Aesara's graphs through JAX, compiled by XLA for the CPU or a GPU. Shapes are fixed when a graph is built.

    Aesara's own JAX linker makes new arrays for what a function updates. Here Aesara only translates the graph; it is
    compiled so that XLA may reuse the old arrays' memory, without which every step would copy every item tensor.
    """

    fixed_shapes = True
    steps_a_call = 16

    def __init__(self, dtype, device):
        import jax

        # Without it JAX would turn float64 into float32 silently. Aesara's own translation sets the same.
        jax.config.update("jax_enable_x64", True)
        from original import jax_ops  # noqa: F401  registers translations

        self.dtype = dtype
        self.device = self._choose(jax, device)
        self.mode = aesara.compile.mode.get_mode("JAX")
        device = f"{self.device.platform} ({self.device.device_kind})"
        self.description = f"Aesara {aesara.__version__}, JAX {jax.__version__} on {device}, {dtype}"

    @staticmethod
    def _choose(jax, device):
        found = jax.devices()
        gpus = [d for d in found if d.platform == "gpu"]
        if device == "gpu" and not gpus:
            raise RuntimeError(f"device='gpu': JAX sees no GPU, only {', '.join(map(str, found))}")
        return gpus[0] if gpus and device != "cpu" else jax.devices("cpu")[0]

    def shared(self, value, name):
        return aesara.shared(np.ascontiguousarray(value, self.dtype), name=name, shape=np.shape(value), borrow=True)

    def get(self, variable):
        return np.array(variable.container.storage[0])

    def set(self, variable, value):
        variable.set_value(np.array(value, self.dtype), borrow=True)

    def _translate(self, inputs, outputs, updates):
        """``pure(changing, constant, arguments) -> (results, changed)`` in JAX, and the shared variables behind the
        first two.
        """
        from aesara.link.jax.dispatch import jax_funcify

        maker = aesara.function(inputs, outputs, updates=updates, mode=self.mode, on_unused_input="ignore").maker
        variables = [i.variable for i in maker.inputs[len(inputs) :]]
        updated = sorted((i - len(inputs), o) for o, i in maker.fgraph.update_mapping.items())
        changing = [v for v, _ in updated]
        constant = [v for v in range(len(variables)) if v not in changing]
        translated = jax_funcify(maker.fgraph)

        def pure(changing_values, constant_values, arguments):
            values = dict(zip(changing, changing_values)) | dict(zip(constant, constant_values))
            results = translated(*arguments, *(values[v] for v in range(len(variables))))
            return results[: len(outputs)], [results[o] for _, o in updated]

        return pure, [variables[v] for v in changing], [variables[v] for v in constant]

    def _value(self, variable):
        """A shared variable's value, on the device."""
        import jax

        storage = variable.container.storage
        if not isinstance(storage[0], jax.Array):
            storage[0] = jax.device_put(storage[0], self.device)
        return storage[0]

    def _runner(self, compiled, changing, constant):
        def run(*arguments):
            results, changed = compiled(
                [self._value(v) for v in changing], [self._value(v) for v in constant], *arguments
            )
            for variable, value in zip(changing, changed):
                variable.container.storage[0] = value
            return results

        return run

    def function(self, inputs, outputs, updates):
        """Compile, at the first call; a call takes and gives NumPy arrays."""
        import jax

        pure, changing, constant = self._translate(inputs, outputs, updates)
        run = self._runner(jax.jit(pure, donate_argnums=0), changing, constant)
        return lambda *arguments: [np.asarray(result) for result in run(arguments)]

    def loop(self, inputs, cost, updates):
        """Compile a step inside a loop, at the first call; a call takes up to ``steps_a_call`` steps' inputs and gives
        their costs.
        """
        import jax
        import jax.numpy as jnp

        pure, changing, constant = self._translate(inputs, [cost], updates)

        def loop(state, constant_values, count, stacked):
            def body(i, carry):
                costs, state = carry
                (cost,), state = pure(
                    state, constant_values, [jax.lax.dynamic_index_in_dim(x, i, keepdims=False) for x in stacked]
                )
                return costs.at[i].set(cost), state

            return jax.lax.fori_loop(0, count, body, (jnp.zeros(self.steps_a_call, self.dtype), state))

        jitted = jax.jit(loop, donate_argnums=0)
        run = self._runner(jitted, changing, constant)

        def arguments(steps):
            stacked = [np.empty((self.steps_a_call, *x.shape), x.dtype) for x in steps[0]]
            for i, step in enumerate(steps):
                for stack, x in zip(stacked, step):
                    stack[i] = x
            return np.int32(len(steps)), stacked

        def call(steps):
            return np.asarray(run(*arguments(steps)))[: len(steps)]

        def compiled_text(steps):
            """What XLA made of the loop, for those who want to read it."""
            state = [self._value(v) for v in changing], [self._value(v) for v in constant]
            return jitted.lower(*state, *arguments(steps)).compile().as_text()

        call.compiled_text = compiled_text
        return call


BACKENDS = ("c", "jax")
DEVICES = ("auto", "cpu", "gpu")


def make(name="c", dtype="float32", device="auto"):
    """The backend ``name`` (``'c'`` or ``'jax'``) for graphs of ``dtype`` on ``device`` (``'auto'``, ``'cpu'`` or
    ``'gpu'``).

    Raises ValueError for a GPU with C, ImportError where JAX is not installed, RuntimeError where JAX sees no GPU.
    """
    if name == "c":
        if device == "gpu":
            raise ValueError("device='gpu' needs backend='jax': compiled C runs on the CPU only")
        backend = CBackend(dtype)
    else:
        if importlib.util.find_spec("jax") is None:
            raise ImportError("backend='jax' needs JAX, which is not installed: pip install 'gru4rec-parity[jax]'")
        backend = JaxBackend(dtype, device)
    log.info(backend.description)
    return backend
