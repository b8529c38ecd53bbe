"""The recorded runs on the backends that this test run does not use, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

GOLDEN = Path(__file__).parent / "test_golden.py"
SHORT = "embed-constrained or opt-duplicates-momentum or dropout-both-separate"


def other_backends():
    return [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]


def run_golden(backend, *options):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(GOLDEN), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("backend", other_backends())
def test_some_recordings(backend):
    run_golden(backend, "-k", SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("backend", other_backends())
def test_all_recordings(backend):
    run_golden(backend, "-m", "slow or not slow")
