"""A quick cold start: compile the C modules of a graph side by side, with their headers compiled beforehand.

Aesara compiles one small C++ module an operation, one after the other, and most of a module's time goes into reading
the same headers. Here the headers are compiled once (a precompiled header in Aesara's compile directory), and a graph's
missing modules are compiled on all cores before Aesara asks for them; it then finds each one ready. Aesara's own cache
works as ever.
"""

import logging
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import aesara
from aesara.graph.fg import FunctionGraph
from aesara.graph.utils import MethodNotDefined
from aesara.link.c.basic import CLinker, get_module_cache
from aesara.link.c.cmodule import GCC_compiler, dlimport, get_lib_extension, get_module_hash, std_include_dirs
from aesara.link.c.exceptions import CompileError
from aesara.link.vm import VMLinker

log = logging.getLogger(__name__)

# What every module that Aesara generates begins with.
_HEADERS = """#include <Python.h>
#include <iostream>
#include "aesara_mod_helper.h"
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
#include <algorithm>
"""


def precompile_headers():
    """Compile the headers once for this compiler and its flags, and have every later module use them.

    GCC takes a precompiled header only where it fits; where it does not, modules include the plain headers: slower,
    never wrong.
    """
    header = Path(aesara.config.compiledir) / "gru4rec_headers" / "headers.h"
    # Without debug information, and free to compute both sides of a choice, which vector code does.
    include = f"-g0 -fno-trapping-math -include {header}"
    if not aesara.config.cxx or include in aesara.config.gcc__cxxflags or " " in str(header):
        return
    aesara.config.gcc__cxxflags = f"{aesara.config.gcc__cxxflags} {include}".strip()
    compiled = header.with_name("headers.h.gch")
    if compiled.exists():
        return
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(_HEADERS)
    mine = header.with_name(f"{os.getpid()}.gch")
    x = aesara.scalar.float32()
    flags = CLinker().accept(FunctionGraph([x], [aesara.scalar.square(x)], clone=False)).compile_args()
    flags = [flag for flag in flags if flag not in ("-include", str(header))]
    includes = [f"-I{folder}" for folder in std_include_dirs()]
    command = [
        aesara.config.cxx,
        "-g",
        *flags,
        *includes,
        "-fvisibility=hidden",
        "-x",
        "c++-header",
        str(header),
        "-o",
        str(mine),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        log.debug("no precompiled header: %s", done.stderr)
    else:
        os.replace(mine, compiled)


class ParallelVMLinker(VMLinker):
    """Aesara's own virtual machine; only the compilation before it runs on all cores."""

    def make_all(self, *args, **kwargs):
        if not aesara.config.cxx:
            return super().make_all(*args, **kwargs)
        with tempfile.TemporaryDirectory(prefix="gru4rec_compile_") as folder:
            ready = _compile_missing(self.fgraph.toposort(), Path(folder))
            compile_one = GCC_compiler.compile_str

            def take_ready(module_name, src_code, location=None, **options):
                library = ready.get(src_code)
                if library is None:
                    return compile_one(module_name, src_code, location=location, **options)
                target = Path(location) / library.name
                shutil.move(library, target)
                (Path(location) / "mod.cpp").write_text(src_code)
                (Path(location) / "__init__.py").touch()
                return dlimport(str(target))

            with mock.patch.object(GCC_compiler, "compile_str", staticmethod(take_ready)):
                return super().make_all(*args, **kwargs)


def _compile_missing(nodes, folder):
    """Compile the modules of ``nodes`` that the cache lacks. Returns ``{source: shared library}``; what fails is left
    to Aesara.
    """
    cache, jobs = get_module_cache(), {}
    for node in nodes:
        try:
            node.op.prepare_node(node, None, None, "c")
            linker = CLinker().accept(FunctionGraph(node.inputs, node.outputs), no_recycling=[])
            key, source = linker.cmodule_key(), linker.get_src_code()
        except (NotImplementedError, MethodNotDefined, AttributeError):
            continue  # no C code: it runs in Python
        if key not in cache.entry_from_key and get_module_hash(source, key) not in cache.module_hash_to_key_data:
            jobs[source] = linker

    def compile_module(item):
        number, (source, linker) = item
        location, name = folder / str(number), linker.get_dynamic_module().code_hash
        location.mkdir()
        try:
            GCC_compiler.compile_str(
                module_name=name,
                src_code=source,
                location=str(location),
                include_dirs=linker.header_dirs(),
                lib_dirs=linker.lib_dirs(),
                libs=linker.libraries(),
                preargs=linker.compile_args(),
                py_module=False,
            )
        except CompileError:
            return source, None
        return source, location / f"{name}.{get_lib_extension()}"

    if not jobs:
        return {}
    log.info("compiling %d C modules", len(jobs))
    with ThreadPoolExecutor(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ) as pool:
        return {source: library for source, library in pool.map(compile_module, enumerate(jobs.items())) if library}
