"""What a result may depend on besides its settings: versions, machine, BLAS, threads, the commit of the source."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "scipy", "pandas", "polars", "aesara", "pytensor", "jax", "jaxlib", "keras", "tensorflow", "torch",
    "gru4rec-parity",
)  # fmt: skip
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS")
_SOURCE = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """Everything, in words."""
    found = {
        "system": platform.platform(),
        "processor": processor(),
        "cores": str(cores()),
        "blas": blas(),
        "threads": threads(),
        "commit": commit(),
    }
    return {"python": platform.python_version()} | {n: value for n, value in found.items() if value} | versions()


def versions() -> dict[str, str]:
    """Of the packages that a result may depend on, where they are installed."""
    found = {package: package_version(package) for package in PACKAGES}
    return {package: number for package, number in found.items() if number}


def package_version(package: str) -> str:
    """Empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def own_version() -> str:
    """Of this package; from the source tree where it is not installed."""
    citation = _SOURCE / "CITATION.cff"
    if not citation.is_file():
        return package_version("gru4rec-parity") or "of no known version"
    lines = citation.read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("version:"))


def machine() -> dict[str, Any]:
    """System, processor and the cores that this process may use."""
    return {"system": platform.platform(), "processor": processor(), "cores": cores()}


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Its name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def pools() -> list[dict[str, str]]:
    """The libraries of linear algebra and of threads that the process has loaded, by threadpoolctl.

    Where that is not installed, what NumPy was built with, which does not tell the kernel nor the number of threads.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return [_numpy_built_with()]
    wanted = ("user_api", "internal_api", "version", "num_threads", "architecture", "threading_layer")
    return [{name: str(one[name]) for name in wanted if one.get(name)} for one in threadpool_info()]


def _numpy_built_with() -> dict[str, str]:
    built = numpy_blas()
    wanted = {"name": "name", "version": "version", "openblas configuration": "configuration"}
    found = {name: str(built[key]) for key, name in wanted.items() if built.get(key)}
    return {"user_api": "blas", **found, "source": "what NumPy was built with"}


def blas() -> str:
    """The BLAS libraries that are loaded, each with release, kernel and threads, in words."""
    found = [pool for pool in pools() if pool.get("user_api") == "blas"]
    return "; ".join(dict.fromkeys(_in_words(pool) for pool in found))


def _in_words(pool: dict[str, str]) -> str:
    name = pool.get("internal_api") or pool.get("name", "BLAS")
    count = pool.get("num_threads") and f"{pool['num_threads']} threads"
    told = ", ".join(detail for detail in (pool.get("architecture"), count, pool.get("source")) if detail)
    return f"{name} {pool.get('version', '')}".strip() + (f" ({told})" if told else "")


def threads() -> str:
    """How many threads OpenMP has where it is loaded, and what the variables say."""
    loaded = [pool for pool in pools() if pool.get("user_api") == "openmp"]
    found = dict.fromkeys(f"{pool.get('internal_api')}: {pool.get('num_threads')}" for pool in loaded)
    return ", ".join([*found, *(f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ)])


def numpy_blas() -> dict[str, Any]:
    """What NumPy says of the BLAS that it was built with; empty where it says nothing."""
    import numpy as np

    show: Any = np.show_config  # whose type knows of no mode
    return show(mode="dicts").get("Build Dependencies", {}).get("blas", {})


def commit() -> str:
    """The git commit of the source tree, with ``+`` where files were changed since; empty where there is none."""
    if not (_SOURCE / ".git").exists():
        return ""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_SOURCE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
