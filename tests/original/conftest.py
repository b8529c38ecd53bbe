"""Makes the helper modules of this folder importable, and has the package choose the BLAS before a test imports Aesara."""

import sys
from pathlib import Path

import original.backend  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
