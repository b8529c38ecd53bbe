"""Makes this folder's helper module importable, and puts its engine in the place of both that ship."""

import sys
import types
from pathlib import Path

import pytest

from examples import command, engines

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FakeGRU4Rec, fake_evaluation  # noqa: E402


@pytest.fixture
def fake_engines(monkeypatch):
    modules = {
        "fake.model": types.SimpleNamespace(GRU4Rec=FakeGRU4Rec),
        "fake.evaluation": types.SimpleNamespace(evaluate_gpu=fake_evaluation),
    }
    monkeypatch.setattr(engines, "import_module", modules.__getitem__)
    monkeypatch.setattr(engines, "_MODULES", {name: tuple(modules) for name in ("original", "keras")})
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", None)
    monkeypatch.setattr(FakeGRU4Rec, "nan_at", None)
    monkeypatch.setattr(command, "write_figure", lambda results, path: None)  # it takes longer than all the rest
    monkeypatch.setenv("COLUMNS", "80")
