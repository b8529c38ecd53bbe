"""A quick cold start: compile the C modules of a graph side by side, with their headers compiled beforehand.

The library compiles one small C++ module an operation, one after the other, and most of a module's time goes into
reading the same headers. Here the headers are compiled once (a precompiled header in the library's compile folder), and
a graph's missing modules are compiled on all cores before the library asks for them; it then finds each one ready. Its
own cache works as ever.
"""

import errno
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from original.graphs.library import (
    C_HEADERS,
    LIBRARY,
    CLinker,
    CompileError,
    FunctionGraph,
    MethodNotDefined,
    VMLinker,
    cmodule,
    config,
    get_module_cache,
    scalar,
    scalar_square,
)

log = logging.getLogger(__name__)

# Without debug information, and free to compute both sides of a choice, which vector code does.
_FLAGS = "-g0 -fno-trapping-math"

_patching = threading.RLock()


def has_compiler() -> bool:
    """Whether there is a C++ compiler; without one the library runs graphs in Python."""
    return bool(config.cxx)


def set_flags() -> None:
    """Have every later module compiled with the package's flags, on top of the user's."""
    if has_compiler() and _FLAGS not in config.gcc__cxxflags:
        config.gcc__cxxflags = f"{config.gcc__cxxflags} {_FLAGS}".strip()


def precompiled_headers(folder: Path) -> list[str]:
    """Compile the headers into ``folder``, if it lacks them whole.

    GCC takes a precompiled header only where it fits; where it does not, modules include the plain headers: slower,
    never wrong. One that is damaged would break every compilation, so its hash stands beside it and is compared.

    Returns:
        The compiler's arguments that make use of them. They are no flags of the library's: those are part of its
        cache's keys, and split at blanks, which a folder's name may have.
    """
    header = folder / "headers.h"
    compiled, digest = folder / "headers.h.gch", folder / "headers.sha256"
    try:
        if not _is_whole(compiled, digest):
            folder.mkdir(parents=True, exist_ok=True)
            compiled.unlink(missing_ok=True)
            header.write_text(C_HEADERS)
            _compile_headers(header, compiled, digest)
    except OSError as problem:
        log.debug("no precompiled header in %s: %s", folder, problem)
        return []
    return ["-include", str(header)]


def _is_whole(compiled: Path, digest: Path) -> bool:
    return compiled.is_file() and digest.is_file() and digest.read_text() == _hash(compiled)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compile_headers(header: Path, compiled: Path, digest: Path) -> None:
    x = scalar.float32()
    flags = CLinker().accept(FunctionGraph([x], [scalar_square(x)], clone=False)).compile_args()
    handle, mine = tempfile.mkstemp(suffix=".gch", dir=header.parent)
    os.close(handle)
    command = [config.cxx, "-g", *flags, *(f"-I{include}" for include in cmodule.std_include_dirs())]
    command += ["-fvisibility=hidden", "-x", "c++-header", str(header), "-o", mine]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            log.debug("no precompiled header: %s", done.stderr)
            return
        # The hash first: cut off in between, the two differ and the headers are compiled anew.
        digest.write_text(_hash(Path(mine)))
        os.replace(mine, compiled)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(mine)


@cache
def _headers() -> list[str]:
    """The arguments for this process, whose compile folder stays the same."""
    return precompiled_headers(Path(config.compiledir) / "gru4rec_headers")


@contextmanager
def compiler_replaced(compile_str: Callable[..., Any]) -> Iterator[None]:
    """Within, the library's modules are compiled by ``compile_str``, in whatever thread.

    The blocks of several threads run one after the other. The library has no place for a compiler of one's own, but
    calls ``GCC_compiler.compile_str`` at one place only.
    """
    with _patching:
        before = cmodule.GCC_compiler.__dict__["compile_str"]
        cmodule.GCC_compiler.compile_str = staticmethod(compile_str)
        try:
            yield
        finally:
            cmodule.GCC_compiler.compile_str = before


class ParallelVMLinker(VMLinker):
    """The library's own virtual machine; only the compilation before it runs on all cores."""

    def make_all(self, *args: Any, **kwargs: Any) -> Any:
        """As the parent's. Raises OSError where compiled code cannot be written, in words that name the folder."""
        try:
            return self._make_all(*args, **kwargs)
        except (OSError, CompileError) as problem:
            raise _of_the_disk(problem) or problem from None

    def _make_all(self, *args: Any, **kwargs: Any) -> Any:
        if not has_compiler():
            return super().make_all(*args, **kwargs)
        with tempfile.TemporaryDirectory(prefix="gru4rec_compile_") as folder, _patching:
            headers, compile_one = _headers(), cmodule.GCC_compiler.compile_str
            ready = _compile_missing(self.fgraph.toposort(), Path(folder), headers)

            def take_ready(
                module_name: str,
                src_code: str,
                location: str | None = None,
                preargs: Sequence[str] | None = None,
                **options: Any,
            ) -> Any:
                library = ready.pop(src_code, None)
                if library is None:
                    preargs = [*(preargs or []), *headers]
                    return compile_one(module_name, src_code, location=location, preargs=preargs, **options)
                target = Path(location or "") / library.name
                shutil.move(library, target)
                target.with_name("mod.cpp").write_text(src_code)
                target.with_name("__init__.py").touch()
                return cmodule.dlimport(str(target))

            with compiler_replaced(take_ready):
                return super().make_all(*args, **kwargs)


def _of_the_disk(problem: Exception) -> OSError | None:
    """The error of a folder that cannot be written; None for another one. The library buries it in pages of hints."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        if getattr(problem, "errno", None) == number or os.strerror(number) in str(problem):
            words = f"{os.strerror(number)}: compiled C code goes to {config.compiledir}, and on its way through "
            words += (
                f"{tempfile.gettempdir()}; {LIBRARY.upper()}_FLAGS=base_compiledir=FOLDER and TMPDIR name other folders"
            )
            return OSError(number, words)
    return None


def _missing(nodes: Sequence[Any]) -> dict[str, Any]:
    """{source: its linker} of the modules of ``nodes`` that the cache lacks."""
    known, missing = get_module_cache(), {}
    for node in nodes:
        try:
            node.op.prepare_node(node, None, None, "c")
            linker = CLinker().accept(FunctionGraph(node.inputs, node.outputs), no_recycling=[])
            key, source = linker.cmodule_key(), linker.get_src_code()
        except (NotImplementedError, MethodNotDefined, AttributeError):
            continue  # no C code: it runs in Python
        unknown = cmodule.get_module_hash(source, key) not in known.module_hash_to_key_data
        if key not in known.entry_from_key and unknown:
            missing[source] = linker
    return missing


def _compile_missing(nodes: Sequence[Any], folder: Path, headers: list[str]) -> dict[str, Path]:
    """Compile the missing modules into ``folder``.

    Returns:
        {source: shared library}; what fails is left to the library, which says why.
    """
    jobs = _missing(nodes)

    def compile_module(number: int, source: str, linker: Any) -> Path | None:
        location, name = folder / str(number), linker.get_dynamic_module().code_hash
        location.mkdir()
        try:
            cmodule.GCC_compiler.compile_str(
                module_name=name,
                src_code=source,
                location=str(location),
                include_dirs=linker.header_dirs(),
                lib_dirs=linker.lib_dirs(),
                libs=linker.libraries(),
                preargs=[*linker.compile_args(), *headers],
                py_module=False,
            )
        except CompileError:
            return None
        return location / f"{name}.{cmodule.get_lib_extension()}"

    if not jobs:
        return {}
    log.info("compiling %d C modules", len(jobs))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        libraries = pool.map(compile_module, range(len(jobs)), jobs, jobs.values())
        return {source: library for source, library in zip(jobs, libraries, strict=True) if library}
