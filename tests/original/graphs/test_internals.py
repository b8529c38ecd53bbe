"""What ``original`` uses of the symbolic library's inside: a new release that changes one of these fails here, by name.

The pinned ranges stand in setup.py. A range is widened when this file, the golden recordings and the tests hold.
"""

import inspect
from importlib.metadata import version

import numpy as np
import pytest
from packaging.specifiers import SpecifierSet

from original.graphs import library
from original.graphs.c_backend import c_mode
from original.graphs.compilation import has_compiler
from original.graphs.library import (
    C_HEADERS,
    LIBRARY,
    CLinker,
    Elemwise,
    FunctionGraph,
    Mode,
    RewriteDatabaseQuery,
    VMLinker,
    cmodule,
    config,
    get_module_cache,
    optdb,
    scalar,
    scalar_square,
    shared,
    tensor,
)
from original.graphs.rows import AddRows, TakeRows

TESTED = {"aesara": "==2.9.4", "pytensor": ">=3.3.8,<3.4"}


def broken(what):
    return f"{library.NAME} is not as original/graphs uses it: {what}; tested is {LIBRARY} {TESTED[LIBRARY]}"


def test_the_release_is_one_of_the_tested_range():
    assert version(LIBRARY) in SpecifierSet(TESTED[LIBRARY]), broken(f"release {version(LIBRARY)}")


# (object, parameters that are given by name or position)
SIGNATURES = {
    "VMLinker.__init__": (VMLinker, ["use_cloop", "allow_gc"]),
    "VMLinker.make_all": (VMLinker.make_all, ["self"]),
    "Mode.__init__": (Mode, ["linker", "optimizer"]),
    "RewriteDatabaseQuery.__init__": (RewriteDatabaseQuery, ["include", "exclude"]),
    "Elemwise.__init__": (Elemwise, ["scalar_op", "inplace_pattern", "name", "nfunc_spec", "openmp"]),
    "Elemwise.c_code": (Elemwise.c_code, ["node", "nodename", "inames", "onames", "sub"]),
    "Elemwise.c_support_code_apply": (Elemwise.c_support_code_apply, ["node", "nodename"]),
    "Elemwise.c_code_cache_version_apply": (Elemwise.c_code_cache_version_apply, ["node"]),
    "Elemwise.prepare_node": (Elemwise.prepare_node, ["node", "storage_map", "compute_map", "impl"]),
    "GCC_compiler.compile_str": (
        cmodule.GCC_compiler.compile_str,
        ["module_name", "src_code", "location", "include_dirs", "lib_dirs", "libs", "preargs", "py_module"],
    ),
    "cmodule.get_module_hash": (cmodule.get_module_hash, ["src_code", "key"]),
    "FunctionGraph.__init__": (FunctionGraph, ["inputs", "outputs", "clone"]),
    "optdb.register": (optdb.register, ["position"]),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters(name):
    used, wanted = SIGNATURES[name]
    parameters = inspect.signature(used).parameters
    missing = [] if "kwargs" in parameters else [each for each in wanted if each not in parameters]
    assert not missing, broken(f"{name} has no parameter {', '.join(missing)}")


ATTRIBUTES = {
    "cmodule": (cmodule, ["GCC_compiler", "dlimport", "get_lib_extension", "get_module_hash", "std_include_dirs"]),
    "config": (config, ["cxx", "gcc__cxxflags", "blas__ldflags", "compiledir", "base_compiledir", "floatX"]),
    "CLinker": (
        CLinker,
        ["accept", "cmodule_key", "get_src_code", "get_dynamic_module", "header_dirs", "lib_dirs", "libraries",
         "compile_args"],
    ),
    "tensor": (tensor, ["TensorType", "as_tensor_variable", "square", "sigmoid", "switch", "row", "col"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(name):
    used, wanted = ATTRIBUTES[name]
    missing = [each for each in wanted if not hasattr(used, each)]
    assert not missing, broken(f"{name} has no {', '.join(missing)}")


@pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")
def test_the_cache_knows_modules_by_key_and_by_hash():
    cache = get_module_cache()
    missing = [each for each in ("module_hash_to_key_data", "entry_from_key") if not hasattr(cache, each)]
    assert not missing, broken(f"the module cache has no {', '.join(missing)}")


def test_a_generated_module_begins_with_the_headers_that_are_compiled_beforehand():
    x = scalar.float32()
    source = CLinker().accept(FunctionGraph([x], [scalar_square(x)], clone=False), no_recycling=[]).get_src_code()
    own = [line for line in source.splitlines() if "_mod_helper.h" in line]
    assert own, broken("its modules include no helper header")
    assert own[0] in C_HEADERS.splitlines(), broken(f"its modules include {own[0]}")


def compiled_ops(expression, exclude):
    x = tensor.dmatrix("x")
    mode = Mode(linker="py", optimizer=RewriteDatabaseQuery(include=["fast_run"], exclude=exclude))
    return [node.op for node in library.function([x], expression(x), mode=mode).maker.fgraph.toposort()]


def test_rewrites_are_left_out_by_their_names():
    """A name that no database knows would leave nothing out, without a word."""

    def ops(exclude):
        return [str(op).lower() for op in compiled_ops(lambda x: tensor.exp(x) - 1, exclude)]

    assert "expm1" in "".join(ops([])), broken("e^x - 1 stays as it is, without being told to")
    assert "expm1" not in "".join(ops(["local_expm1"])), broken("no rewrite of e^x - 1 goes by local_expm1")

    def in_place(exclude):
        ops = compiled_ops(lambda x: tensor.tanh(tensor.dot(x, x) + 1), exclude)
        return any(getattr(op, "inplace_pattern", None) for op in ops)

    assert in_place([]), broken("elementwise operations are not done in place, without being told to")
    assert not in_place(["inplace_elemwise_optimizer"]), broken("no rewrite goes by inplace_elemwise_optimizer")


def test_an_update_is_made_in_the_array_that_is_there():
    w, rows = shared(np.ones((2, 3)), name="w"), tensor.ivector("rows")
    changed = AddRows()(w, TakeRows()(w, rows), rows)
    before = w.get_value(borrow=True).ctypes.data
    library.function([rows], [], updates=[(w, changed)], mode=c_mode())(np.array([1], np.int32))
    assert (w.get_value() == [[1, 1, 1], [2, 2, 2]]).all()
    assert w.get_value(borrow=True).ctypes.data == before, broken("row operations are not done in place")


def test_a_shared_variable_keeps_its_value_in_a_container():
    w = shared(np.ones(3), name="w", shape=(3,), borrow=True)
    assert w.container.storage[0] is w.get_value(borrow=True), broken("shared variables have no container.storage")
    assert w.type.shape == (3,), broken("shared variables take no shape")
    maker = library.function([], [w * 2], updates=[(w, w + 1)], mode="FAST_COMPILE").maker
    assert list(maker.fgraph.update_mapping), broken("a function's graph has no update_mapping")
    assert [each.variable for each in maker.inputs] == [w], broken("a function's inputs are not its shared variables")
