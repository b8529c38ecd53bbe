"""The symbolic library: the one module that imports it, and gives the rest of the package what it uses of it.

It is Aesara, the successor of the published program's Theano, or PyTensor, the line that lives on: one source runs on
both. ``GRU4REC_SYMBOLIC`` names one; where it does not, Aesara is taken where it is installed, PyTensor elsewhere.
What differs between the two beyond a name stands here too.
"""

from typing import Any

from original.graphs.environment import quiet_import

with quiet_import() as environment:
    if environment.library == "aesara":
        import aesara as library
        import aesara.tensor as tensor
        from aesara import In, config, function, grad, scalar, shared
        from aesara.compile import optdb
        from aesara.compile.mode import Mode, get_mode
        from aesara.graph.basic import Apply, Variable, graph_inputs
        from aesara.graph.fg import FunctionGraph
        from aesara.graph.op import Op
        from aesara.graph.rewriting.basic import in2out, node_rewriter
        from aesara.graph.rewriting.db import RewriteDatabaseQuery
        from aesara.graph.utils import MethodNotDefined
        from aesara.link.c import cmodule
        from aesara.link.c.basic import CLinker, get_module_cache
        from aesara.link.c.exceptions import CompileError
        from aesara.link.c.op import COp
        from aesara.link.vm import VMLinker
        from aesara.scalar import square as scalar_square
        from aesara.tensor.elemwise import Elemwise
        from aesara.tensor.math import Sum
    else:
        import pytensor as library
        import pytensor.tensor as tensor
        from pytensor import In, config, function, grad, scalar, shared
        from pytensor.compile import optdb
        from pytensor.compile.mode import Mode, get_mode
        from pytensor.graph.basic import Apply, Variable
        from pytensor.graph.fg import FunctionGraph
        from pytensor.graph.op import Op
        from pytensor.graph.rewriting.basic import in2out, node_rewriter
        from pytensor.graph.rewriting.db import RewriteDatabaseQuery
        from pytensor.graph.traversal import graph_inputs
        from pytensor.graph.utils import MethodNotDefined
        from pytensor.link.c import cmodule
        from pytensor.link.c.basic import CLinker, get_module_cache
        from pytensor.link.c.exceptions import CompileError
        from pytensor.link.c.op import COp
        from pytensor.link.vm import VMLinker
        from pytensor.scalar import sqr as scalar_square
        from pytensor.tensor.elemwise import Elemwise
        from pytensor.tensor.math import Sum
    # Looked up within, as the library may search for a BLAS, and warn that it has none, when it is first asked.
    _flags = config.blas__ldflags

LIBRARY = environment.library
NAME = f"{'Aesara' if LIBRARY == 'aesara' else 'PyTensor'} {library.__version__}"
BLAS = environment.blas or (_flags and f"BLAS {_flags}") or None
# What every module that the library generates begins with.
C_HEADERS = f"""#include <Python.h>
#include <iostream>
#include "{LIBRARY}_mod_helper.h"
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
#include <algorithm>
"""


def jax_funcify() -> Any:
    """The single-dispatch function that translates an operation to JAX, which need not be installed for the rest."""
    if LIBRARY == "aesara":
        from aesara.link.jax.dispatch import jax_funcify
    else:
        from pytensor.link.jax.dispatch import jax_funcify
    return jax_funcify


__all__ = [
    "BLAS",
    "C_HEADERS",
    "LIBRARY",
    "NAME",
    "Apply",
    "CLinker",
    "COp",
    "CompileError",
    "Elemwise",
    "FunctionGraph",
    "In",
    "MethodNotDefined",
    "Mode",
    "Op",
    "RewriteDatabaseQuery",
    "Sum",
    "VMLinker",
    "Variable",
    "cmodule",
    "config",
    "function",
    "get_mode",
    "get_module_cache",
    "grad",
    "graph_inputs",
    "in2out",
    "jax_funcify",
    "node_rewriter",
    "optdb",
    "scalar",
    "scalar_square",
    "shared",
    "tensor",
]
