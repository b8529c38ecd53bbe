"""The attacks on models, in a small form; the slow ones are the figures of docs/robustness.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks import mutated_models

ROOT = Path(__file__).parent.parent.parent
MOST_KEPT = 8  # MiB that the second half of a part may add


@pytest.mark.parametrize("forged", [False, True], ids=["", "forged"])
@pytest.mark.parametrize("reader", mutated_models.READERS)
def test_mutated_models(reader, forged):
    count = 40 if reader == "keras-file" else 150
    outcomes = mutated_models.attack(reader, forged, count)
    assert sum(outcomes.values()) == count
    assert not [said for said in outcomes if said.startswith("FAULT")], outcomes
    assert outcomes["refused"] > count / 4


def test_the_attack_sees_faults(tmp_path):
    """A reader that raises, accepts, or names no file is counted as a fault."""
    path = tmp_path / "model"

    def raising(path):
        raise KeyError("x")

    def unnamed(path):
        raise ValueError("something is wrong")

    def slow(path):
        while True:
            pass

    assert mutated_models.outcome(raising, path, 1, False).startswith("FAULT KeyError")
    assert mutated_models.outcome(unnamed, path, 1, False).startswith("FAULT unnamed")
    assert mutated_models.outcome(lambda path: 2, path, 1, False).startswith("FAULT accepted")
    assert mutated_models.outcome(lambda path: 2, path, 1, True) == "another"
    assert mutated_models.outcome(lambda path: 1, path, 1, False) == "the same"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutated_models, "SECONDS", 1)
        assert mutated_models.outcome(slow, path, 1, False) == "FAULT too long"


@pytest.mark.slow
def test_memory_stays_flat():
    """Models, recommendations and evaluations in one process: the second half of each adds little.

    The large form, and the other engines, are commands: docs/robustness.md has their figures.
    """
    command = [sys.executable, "-m", "tests.attacks.long_run", "original"]
    command += ["--models", "10", "--recommends", "500", "--evaluations", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    for part in ("models", "recommends", "evaluations"):
        _, middle, end = figures[part]
        assert end - middle < MOST_KEPT, figures
