"""Recorded runs and further options on the backends that this test run does not use, each in its own process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

FOLDER = Path(__file__).parent
SHORT = "embed-constrained or opt-duplicates-momentum or dropout-both-separate"


def other_backends():
    return [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]


def run_tests(backend, *arguments):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=FOLDER.parents[1], check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("backend", other_backends())
def test_some_recordings(backend):
    run_tests(backend, str(FOLDER / "test_recordings.py"), "-k", SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("backend", other_backends())
def test_all_recordings(backend):
    run_tests(backend, str(FOLDER / "test_recordings.py"), "-m", "slow or not slow")


@pytest.mark.slow
@pytest.mark.parametrize("backend", other_backends())
def test_further_options(backend):
    run_tests(backend, str(FOLDER / "test_logq.py"), str(FOLDER / "test_dwell.py"))
