"""The scripts of the examples are the commands by their file names, and hold no logic."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "rsc15/run_rsc15.py": "gru4rec rsc15",
    "rsc15/preprocess.py": "gru4rec prepare rsc15",
    "rsc15/sample.py": "gru4rec sample rsc15",
    "movielens/run_movielens.py": "gru4rec movielens",
    "movielens/preprocess.py": "gru4rec prepare movielens",
    "movielens/sample.py": "gru4rec sample movielens",
    "dwelltime/run_dwelltime.py": "gru4rec dwelltime",
    "dwelltime/augment.py": "gru4rec augment",
}


def run(script, folder, *arguments):
    command = [sys.executable, ROOT / "examples" / script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_every_script_is_known_and_short():
    found = {str(path.relative_to(ROOT / "examples")): path for path in (ROOT / "examples").rglob("*.py")}
    found = {name: path for name, path in found.items() if not name.startswith("serving/")}  # a service, and no command
    assert found.keys() == COMMANDS.keys()
    for path in found.values():
        text = path.read_text(encoding="utf-8")
        assert "sys.path" not in text and len(text.splitlines()) < 12


@pytest.mark.parametrize("script", COMMANDS)
def test_a_script_is_its_command(script, tmp_path):
    done = run(script, tmp_path, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {COMMANDS[script]} ")
    assert not list(tmp_path.iterdir())


def test_clicks_are_made_and_prepared(tmp_path):
    assert run("rsc15/sample.py", tmp_path, "--clicks", "4000", "--items", "100", "--days", "4").returncode == 0
    done = run("rsc15/preprocess.py", tmp_path, "synthetic-clicks.dat", "--out", "data")
    assert done.returncode == 0 and "31,637,239" in done.stdout
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {f"rsc15_{part}.txt" for part in ("train_full", "test", "train_tr", "train_valid")} | {
        "rsc15_croissant.json"
    }
    assert run("rsc15/preprocess.py", tmp_path, "none.dat").returncode == 2
