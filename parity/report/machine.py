"""What a run was made on and with: the commit, the libraries of linear algebra, the environment's variables."""

import os
import subprocess
from pathlib import Path
from typing import Any

from gru4rec import environment

# They choose kernels, threads, precisions or compilers; a report names them even where they are not set.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "KERAS_BACKEND",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
    "GRU4REC_SYMBOLIC",
    "AESARA_FLAGS",
    "PYTENSOR_FLAGS",
)
_ROOT = Path(__file__).resolve().parents[2]


def commit(root: Path = _ROOT) -> dict[str, Any] | None:
    """The git commit that the harness is run from: its ``id``, and whether tracked files have ``changed`` since.

    None where ``root`` is no repository, or is in one that does not track the harness, as an installed copy may be.
    """
    if _git(root, "ls-files", "--error-unmatch", "parity/__init__.py") is None:
        return None
    head, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    return None if head is None or changes is None else {"id": head, "changed": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        made = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here, or one that waits for something
        return None
    return made.stdout.strip() if made.returncode == 0 else None


def blas() -> list[dict[str, str]]:
    """The libraries of linear algebra and of threads that the process has loaded."""
    return environment.pools()


def variables() -> dict[str, str | None]:
    """The environment's variables of :data:`VARIABLES`; None where one is not set."""
    return {name: os.environ.get(name) for name in VARIABLES}
