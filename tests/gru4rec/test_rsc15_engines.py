"""The main job with the engines that ship."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gru4rec import cli
from gru4rec.datasets.rsc15_sample import write_sample
from gru4rec.jobs.arguments import ENGINES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "rsc15" / "run_rsc15.py"
TAME = ["--dtype", "float64", "--set", "learning_rate=0.01", "--set", "momentum=0", "--set", "n_sample=64"]


@pytest.fixture(scope="module")
def clicks(tmp_path_factory) -> list[str]:
    path = tmp_path_factory.mktemp("clicks") / "clicks.dat"
    write_sample(path, clicks=6_000, items=150, days=4)
    return ["--clicks", str(path)]


def job(arguments: list[str], out: Path) -> dict:
    assert cli.main(["rsc15", *arguments, "--out", str(out)]) == 0
    return json.loads((out / "results.json").read_text())


def figures(run: dict) -> list:
    return [(epoch["loss"], epoch["metrics"]) for epoch in run["epochs"]]


def test_both_engines_give_the_same_figures(clicks, tmp_path):
    original, keras = job([*clicks, *TAME, "--config", "cross-entropy", "--epochs", "2"], tmp_path / "out")["runs"]
    assert (original["engine"], keras["engine"]) == ENGINES
    for ours, theirs in zip(original["epochs"], keras["epochs"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-9)
        assert ours["metrics"]["recall"] == theirs["metrics"]["recall"]
        assert ours["metrics"]["mrr"] == pytest.approx(theirs["metrics"]["mrr"], rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_taken_up_again_ends_like_one_in_a_piece(clicks, tmp_path, engine):
    arguments = [*clicks, "--engine", engine, "--config", "cross-entropy", "--set", "n_sample=64"]
    whole = job([*arguments, "--epochs", "3"], tmp_path / "whole")["runs"][0]
    job([*arguments, "--epochs", "2", "--checkpoint"], tmp_path / "pieces")
    pieces = job([*arguments, "--epochs", "3", "--resume"], tmp_path / "pieces")["runs"][0]
    assert figures(pieces) == figures(whole)


def test_without_arguments_both_engines_beat_the_popularity_baselines(tmp_path):
    as_a_user = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    as_a_user["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=as_a_user, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "oneDNN" not in done.stderr and "cuInit" not in done.stderr
    results = json.loads((tmp_path / "runs" / "rsc15" / "results.json").read_text())
    popular = {b["name"]: b["metrics"]["recall"]["20"] for b in results["baselines"]}["SessionPop"]
    recalls = {(r["config"], r["engine"]): r["epochs"][-1]["metrics"]["recall"]["20"] for r in results["runs"]}
    assert len(recalls) == 4 and min(recalls.values()) > 1.3 * popular
