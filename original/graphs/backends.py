"""Where a graph is computed: compiled C on the CPU, or JAX. The two have the same few methods."""

import importlib.util
import logging
from typing import Any, Protocol

import numpy as np

from original.graphs.c_backend import CBackend
from original.graphs.compilation import has_compiler
from original.graphs.library import Variable

log = logging.getLogger(__name__)


class Step(Protocol):
    """A compiled training step."""

    def __call__(self, steps: list[list[np.ndarray]]) -> np.ndarray:
        """Do steps, given the inputs of each, up to the first whose outputs are not all finite.

        Returns:
            (steps done, outputs).
        """


class Backend(Protocol):
    """What compiles graphs and holds the values of their shared variables.

    Attributes:
        dtype: 'float32' or 'float64'.
        description: the program and the device, in words.
        fixed_shapes: whether a graph's number of lanes is fixed when it is made.
        steps_per_call: how many steps a compiled step may be given at once.
    """

    dtype: str
    description: str
    fixed_shapes: bool
    steps_per_call: int

    def shared(self, value: Any, name: str) -> Variable:
        """A shared variable of the backend's dtype, made of a copy of ``value`` where it may be written to."""

    def get(self, variable: Variable) -> np.ndarray:
        """A copy of a shared variable's value."""

    def is_finite(self, variable: Variable) -> bool:
        """Whether every entry of a shared variable is a finite number."""

    def set(self, variable: Variable, value: Any) -> None:
        """Set a shared variable to a copy of ``value``."""

    def function(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> Any:
        """Compile a graph; a call takes and gives arrays, and does the updates."""

    def loop(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> Step:
        """Compile a training step of scalar outputs, to be called with the inputs of up to ``steps_per_call`` steps."""


def make(name: str = "c", dtype: str = "float32", device: str = "auto") -> Backend:
    """A backend.

    Args:
        name: 'c' or 'jax'.
        dtype: of the graphs, 'float32' or 'float64'.
        device: 'auto' (a GPU if JAX sees one), 'cpu' or 'gpu'.

    Raises:
        ValueError: for a GPU with C.
        ImportError: where JAX is not installed.
        RuntimeError: where JAX sees no GPU.
    """
    if name == "c":
        if device == "gpu":
            raise ValueError("device='gpu': auto or cpu with backend='c' is accepted, which runs on the CPU only")
        backend: Backend = CBackend(dtype)
        log.log(logging.INFO if has_compiler() else logging.WARNING, backend.description)
        return backend
    if importlib.util.find_spec("jax") is None:
        raise ImportError("backend='jax' needs JAX, which is not installed: pip install 'gru4rec-parity[jax]'")
    from original.graphs.jax_backend import JaxBackend

    backend = JaxBackend(dtype, device)
    log.info(backend.description)
    return backend
