"""Graphs in compiled C on the CPU."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from original.graphs.compilation import ParallelVMLinker, has_compiler, set_flags
from original.graphs.elementwise import FLAT
from original.graphs.library import BLAS, NAME, Mode, RewriteDatabaseQuery, Variable, function, shared


def c_mode() -> Mode:
    """The library's mode for compiled C, quicker to compile and to run.

    Intermediate results keep their memory from step to step. e^x - 1 is left as it is written: expm1 has no vector
    version.
    """
    set_flags()
    rewrites = RewriteDatabaseQuery(include=["fast_run", FLAT], exclude=["local_expm1", "inplace_elemwise_optimizer"])
    return Mode(linker=ParallelVMLinker(use_cloop=True, allow_gc=False), optimizer=rewrites)


class CBackend:
    """Compiled C. Shapes are free: a step may have any number of lanes."""

    fixed_shapes = False
    steps_per_call = 1

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.mode = c_mode()
        if has_compiler():
            self.description = f"{NAME}, C on the CPU, {dtype}, {BLAS or 'no BLAS library'}"
        else:
            self.description = (
                f"{NAME}, Python, no C++ compiler: thousands of times slower; backend='jax' is the way out"
            )

    def shared(self, value: Any, name: str) -> Variable:
        """See :class:`original.graphs.backends.Backend`."""
        return shared(np.ascontiguousarray(value, self.dtype), name=name, borrow=True)

    def get(self, variable: Variable) -> np.ndarray:
        """See the protocol."""
        return variable.get_value()

    def is_finite(self, variable: Variable) -> bool:
        """See the protocol."""
        return bool(np.isfinite(variable.get_value(borrow=True)).all())

    def set(self, variable: Variable, value: Any) -> None:
        """See the protocol."""
        variable.set_value(np.array(value, self.dtype), borrow=True)

    def function(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> Callable[..., Any]:
        """See the protocol; what is updated is written in place."""
        compiled = function(inputs, outputs, updates=updates, mode=self.mode, on_unused_input="ignore")
        compiled.trust_input = True
        return compiled

    def loop(self, inputs: list[Variable], outputs: list[Variable], updates: list[Any]) -> "CStep":
        """See the protocol."""
        return CStep(self.function(inputs, outputs, updates))


class CStep:
    """A compiled training step: one call of ``function`` a step."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, steps: list[list[np.ndarray]]) -> np.ndarray:
        """See :class:`original.graphs.backends.Step`."""
        done = []
        for step in steps:
            done.append(self.function(*step))
            if not all(map(math.isfinite, done[-1])):
                break
        return np.array(done)
