"""The toy engine as a user's own module would be, and small files of sessions."""

import sys
from pathlib import Path

import pytest

from parity import data

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def dataset():
    return data.embedded(sessions=150, items=40, test_sessions=40)


@pytest.fixture(scope="session")
def files(tmp_path_factory, dataset):
    """{"train": path, "test": path}, tab separated."""
    folder = tmp_path_factory.mktemp("sessions")
    paths = {"train": folder / "train.tsv", "test": folder / "test.tsv"}
    dataset.train.to_csv(paths["train"], sep="\t", index=False)
    dataset.test.to_csv(paths["test"], sep="\t", index=False)
    return paths
