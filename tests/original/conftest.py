"""Makes this folder's helper modules importable, and C mode's graphs cheap to make."""

import sys
from pathlib import Path

import pytest

from original import backend  # before a test imports Aesara, so that the package chooses the BLAS

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def uncompiled():
    """C mode's graphs, rewritten as ever, but run in Python: the same program without its compilation.

    Nothing is fused, which takes a third of the time and is for compiled code only.
    """
    return backend.Mode("py", backend.c_mode().provided_optimizer).excluding("fusion")


@pytest.fixture
def python_mode(monkeypatch, uncompiled):
    """C mode without a compiler, for tests of what is around the graphs; the recordings are replayed in C."""
    monkeypatch.setattr(backend, "c_mode", lambda: uncompiled)
