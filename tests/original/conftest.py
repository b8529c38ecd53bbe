"""Makes this folder's helper modules importable, and C mode's graphs cheap to make."""

import sys
from pathlib import Path

import pytest

from original.graphs import c_backend
from original.graphs.library import Mode

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def uncompiled():
    """C mode's graphs, rewritten as ever, but run in Python: the same program without its compilation.

    Nothing is fused, which takes a third of the time and is for compiled code only.
    """
    return Mode("py", c_backend.c_mode().provided_optimizer).excluding("fusion")


@pytest.fixture(scope="session")
def without_compiler(uncompiled):
    """A context in which C mode runs without a compiler."""

    def patch(monkeypatch):
        monkeypatch.setattr("original.graphs.c_backend.c_mode", lambda: uncompiled)

    return patch


@pytest.fixture
def python_mode(monkeypatch, without_compiler):
    """C mode without a compiler, for tests of what is around the graphs; the recordings are replayed in C."""
    without_compiler(monkeypatch)
