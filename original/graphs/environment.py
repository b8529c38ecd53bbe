"""What the symbolic library is told while it is imported: a BLAS library, and a folder for compiled C code.

The library looks for both then, and cannot be told of either afterwards. What a user has set himself, by
``AESARA_FLAGS`` or ``.aesararc``, is left alone.
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

_LEAST_FREE = 100 << 20  # bytes: the compiled headers take 41 MiB, a model's modules some more


class Environment:
    """What was chosen.

    Attributes:
        blas: the name of the BLAS library, None where there is none or the user has set his own.
    """

    blas: str | None = None


def find_openblas() -> tuple[str, str | None]:
    """An OpenBLAS with the plain names (``sgemm_``), SciPy's own or the system's.

    Returns:
        Linker flags and name; ("", None) if there is none.
    """
    importlib.import_module("numpy")  # SciPy's OpenBLAS needs libraries that NumPy brings
    scipy = importlib.util.find_spec("scipy")
    folder = Path(scipy.origin).parent.with_name("scipy.libs") if scipy and scipy.origin else None
    for library in sorted(folder.glob("libopenblas*.so")) if folder else []:
        # Flags are split at blanks, so a library below such a folder cannot be named.
        if " " not in str(library) and hasattr(ctypes.CDLL(str(library)), "sgemm_"):
            return f"-L{library.parent} -l{library.stem.removeprefix('lib')}", "SciPy's OpenBLAS"
    if ctypes.util.find_library("openblas"):
        return "-lopenblas", "the system's OpenBLAS"
    return "", None


def _users_settings() -> list[str]:
    """``AESARA_FLAGS``, then the text of each configuration file."""
    settings = [os.environ.get("AESARA_FLAGS", "")]
    for rc in os.environ.get("AESARARC", "~/.aesararc").split(os.pathsep):
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


def _temporary_compile_folder() -> str | None:
    """A folder for this process where the usual one, below HOME, cannot be written; None where it can."""
    usual = Path(os.environ.get("HOME") or os.path.expanduser("~")) / ".aesara"
    problem = _problem_of(usual)
    if problem is None:
        return None
    folder = tempfile.mkdtemp(prefix="gru4rec_compiled_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    log.warning(
        "%s %s: compiled C code goes to %s, for this process only, and is compiled anew by the next; "
        "AESARA_FLAGS=base_compiledir=FOLDER names another folder",
        usual,
        problem,
        folder,
    )
    return folder


@contextmanager
def quiet_import() -> Iterator[Environment]:
    """Within, the library is imported: with a BLAS, with a folder that can be written, and without warnings.

    Yields:
        What was chosen. What is set for the import is taken back after it, and so not left to child processes.
    """
    chosen, flags = Environment(), []
    settings = _users_settings()
    imported = "aesara" in sys.modules
    if not imported and not any("ldflags" in text for text in settings):
        found, chosen.blas = find_openblas()
        flags.append(f"blas__ldflags={found}")
    if not imported and not any("compiledir" in text for text in settings):
        folder = _temporary_compile_folder()
        flags += [f"base_compiledir={folder}"] if folder else []
    blas_log = logging.getLogger("aesara.tensor.blas")
    level, before = blas_log.level, os.environ.get("AESARA_FLAGS")
    if flags:
        os.environ["AESARA_FLAGS"] = ",".join([*filter(None, settings[:1]), *flags])
        blas_log.setLevel(logging.ERROR)  # it warns that it found no BLAS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own age, and of its advice against MRG31k3p
            yield chosen
    finally:
        if flags:
            blas_log.setLevel(level)
            os.environ.pop("AESARA_FLAGS")
            if before is not None:
                os.environ["AESARA_FLAGS"] = before
