"""This folder's engines as a user's own modules would be, and small files of sessions."""

import sys
from pathlib import Path

import pytest

from gru4rec import engines
from gru4rec.jobs import job

sys.path.insert(0, str(Path(__file__).parent))

from embedded import embedded
from fake_engine import FakeGRU4Rec


@pytest.fixture(scope="session")
def dataset():
    """(train, test)"""
    return embedded(sessions=150, items=40, test_sessions=40)


@pytest.fixture(scope="session")
def files(tmp_path_factory, dataset):
    """{"train": path, "test": path}, tab separated."""
    folder = tmp_path_factory.mktemp("sessions")
    paths = {"train": folder / "train.tsv", "test": folder / "test.tsv"}
    for path, frame in zip(paths.values(), dataset):
        frame.to_csv(path, sep="\t", index=False)
    return paths


@pytest.fixture
def fake_engines(monkeypatch):
    """An engine that learns nothing, in the place of both that ship."""
    monkeypatch.setattr(engines, "_SHIPPED", dict.fromkeys(("original", "keras"), ("fake_engine:FakeGRU4Rec", {})))
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", None)
    monkeypatch.setattr(FakeGRU4Rec, "nan_at", None)
    monkeypatch.setattr(FakeGRU4Rec, "bad_weight_at", None)
    monkeypatch.setattr(job, "write_figure", lambda results, path: None)  # it takes longer than all the rest
    monkeypatch.setenv("COLUMNS", "80")
