"""Which symbolic library it is, and what it is told while it is imported: a BLAS library, a folder for compiled C code.

The library looks for both then, and cannot be told of either afterwards. What a user has set himself, by
``AESARA_FLAGS`` or ``.aesararc`` (``PYTENSOR_FLAGS``, ``.pytensorrc``), is left alone.
"""

import atexit
import ctypes
import ctypes.util
import importlib
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

LIBRARIES = ("aesara", "pytensor")
# The functions of BLAS that the libraries' C code calls for real numbers.
_BLAS_FUNCTIONS = [f"{kind}{name}_" for kind in "sd" for name in ("gemm", "gemv", "ger", "dot", "axpy", "scal")]
_LEAST_FREE = 100 << 20  # bytes: the compiled headers take 41 MiB, a model's modules some more


class Environment:
    """What was chosen.

    Attributes:
        library: 'aesara' or 'pytensor'.
        blas: the name of the BLAS library, None where there is none or the user has set his own.
    """

    blas: str | None = None

    def __init__(self, library: str) -> None:
        self.library = library


def choose_library() -> str:
    """What ``GRU4REC_SYMBOLIC`` names; else Aesara where it is installed, PyTensor elsewhere.

    Raises:
        ValueError: where it names another.
        ImportError: where what it names, or either of the two, is not installed.
    """
    named = os.environ.get("GRU4REC_SYMBOLIC", "")
    if named not in ("", *LIBRARIES):
        raise ValueError(f"GRU4REC_SYMBOLIC={named!r}: aesara or pytensor is accepted")
    for library in [named] if named else LIBRARIES:
        if library in sys.modules or importlib.util.find_spec(library) is not None:
            return library
    missing = f"{named}, which GRU4REC_SYMBOLIC names, is not" if named else "neither Aesara nor PyTensor is"
    raise ImportError(f"{missing} installed: pip install 'gru4rec-parity[original]'")


def find_openblas() -> tuple[str, str | None]:
    """An OpenBLAS, SciPy's own or the system's.

    Newer SciPys rename the functions of theirs (``scipy_sgemm_``); the compiler is then told of it.

    Returns:
        Flags of compiler and linker, and name; ("", None) if there is none.
    """
    importlib.import_module("numpy")  # SciPy's OpenBLAS needs libraries that NumPy brings
    scipy = importlib.util.find_spec("scipy")
    folder = Path(scipy.origin).parent.with_name("scipy.libs") if scipy and scipy.origin else None
    for library in sorted(folder.glob("lib*openblas*.so")) if folder else []:
        if " " in str(library):
            continue  # flags are split at blanks, so a library below such a folder cannot be named
        found, flags = ctypes.CDLL(str(library)), f"-L{library.parent} -l{library.stem.removeprefix('lib')}"
        if hasattr(found, "sgemm_"):
            return flags, "SciPy's OpenBLAS"
        if hasattr(found, "scipy_sgemm_"):
            renamed = " ".join(f"-D{name}=scipy_{name}" for name in _BLAS_FUNCTIONS)
            return f"{flags} {renamed}", "SciPy's OpenBLAS"
    if ctypes.util.find_library("openblas"):
        return "-lopenblas", "the system's OpenBLAS"
    return "", None


def _users_settings(library: str) -> list[str]:
    """``AESARA_FLAGS``, then the text of each configuration file."""
    settings = [os.environ.get(f"{library.upper()}_FLAGS", "")]
    for rc in os.environ.get(f"{library.upper()}RC", f"~/.{library}rc").split(os.pathsep):
        path = Path(rc).expanduser()
        settings.append(path.read_text() if path.is_file() else "")
    return settings


def _problem_of(folder: Path) -> str | None:
    """Why compiled code cannot be kept in a folder, in words; None where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for inner in (folder, *folder.glob("compiledir_*")):
            with tempfile.TemporaryFile(dir=inner):
                pass
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        return f"cannot be written ({problem.strerror})"
    if free < _LEAST_FREE:
        return f"has {free >> 20} MiB of free space left, and {_LEAST_FREE >> 20} are needed"
    return None


def _temporary_compile_folder(library: str) -> str | None:
    """A folder for this process where the usual one, below HOME, cannot be written; None where it can."""
    usual = Path(os.environ.get("HOME") or os.path.expanduser("~")) / f".{library}"
    problem = _problem_of(usual)
    if problem is None:
        return None
    folder = tempfile.mkdtemp(prefix="gru4rec_compiled_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    log.warning(
        "%s %s: compiled C code goes to %s, for this process only, and is compiled anew by the next; "
        "%s_FLAGS=base_compiledir=FOLDER names another folder",
        usual,
        problem,
        folder,
        library.upper(),
    )
    return folder


@contextmanager
def quiet_import() -> Iterator[Environment]:
    """Within, the library is imported: with a BLAS, with a folder that can be written, and without warnings.

    Yields:
        What was chosen. What is set for the import is taken back after it, and so not left to child processes.
    """
    library = choose_library()
    chosen, flags, variable = Environment(library), [], f"{library.upper()}_FLAGS"
    settings = _users_settings(library)
    imported = library in sys.modules
    if not imported and not any("ldflags" in text for text in settings):
        found, chosen.blas = find_openblas()
        flags.append(f"blas__ldflags={found}")
    if not imported and not any("compiledir" in text for text in settings):
        folder = _temporary_compile_folder(library)
        flags += [f"base_compiledir={folder}"] if folder else []
    blas_log = logging.getLogger(f"{library}.tensor.blas")
    level, before = blas_log.level, os.environ.get(variable)
    if flags:
        os.environ[variable] = ",".join([*filter(None, settings[:1]), *flags])
        blas_log.setLevel(logging.ERROR)  # it warns that it found no BLAS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own age, and of a BLAS that it does not find
            yield chosen
    finally:
        if flags:
            blas_log.setLevel(level)
            os.environ.pop(variable)
            if before is not None:
                os.environ[variable] = before
