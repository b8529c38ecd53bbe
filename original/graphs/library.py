"""The symbolic library: the one module that imports it, and gives the rest of the package what it uses of it.

It is Aesara. Another of its family, such as PyTensor, would be put in its place here.
"""

from typing import Any

from original.graphs.environment import quiet_import

with quiet_import() as environment:
    import aesara
    import aesara.tensor as tensor
    import aesara.tensor.blas
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
    from aesara.sandbox.rng_mrg import MRG_RandomStream
    from aesara.tensor.elemwise import Elemwise
    from aesara.tensor.math import Sum

NAME = f"Aesara {aesara.__version__}"
BLAS = environment.blas or (config.blas__ldflags and f"BLAS {config.blas__ldflags}") or None


def jax_funcify() -> Any:
    """The single-dispatch function that translates an operation to JAX, which need not be installed for the rest."""
    from aesara.link.jax.dispatch import jax_funcify

    return jax_funcify


__all__ = [
    "BLAS",
    "NAME",
    "Apply",
    "CLinker",
    "COp",
    "CompileError",
    "Elemwise",
    "FunctionGraph",
    "In",
    "MRG_RandomStream",
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
    "shared",
    "tensor",
]
