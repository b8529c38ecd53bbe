"""The commands, run on the NumPy example beside a copy of it and beside a spoilt one."""

import json
import os
from unittest.mock import patch

import numpy as np
import pytest
from command_line import make_modules
from numpy_gru4rec import GRU4Rec
from spoilt import BiasesTooFar

from parity.cli import main
from parity.recordings.reading import SHIPPED

NUMPY = "numpy_gru4rec:GRU4Rec"
SETTINGS = "loss=bpr-max, final_act=linear\nlayers=6  # small\nn_sample=5, batch_size=4, learning_rate=0.05\n"


@pytest.fixture(autouse=True)
def other_modules(monkeypatch):
    make_modules(monkeypatch, same_gru4rec=GRU4Rec, spoilt_gru4rec=BiasesTooFar)


@pytest.fixture(autouse=True)
def environment_kept():
    """The choice of a device is made in the environment of the process."""
    with patch.dict(os.environ):
        yield


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text(SETTINGS, encoding="utf-8")
    return str(path)


def run(settings, folder, *more, second="same_gru4rec:GRU4Rec"):
    return main(["run", "--engine", NUMPY, "--engine", second, "--config", settings, "--steps", "9",
                 "--device", "cpu", "--out", str(folder), *more])  # fmt: skip


def checks_of(folder):
    made = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return made, {check["name"]: check for check in made["comparisons"][0]["checks"]}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_an_engine_lacks_is_not_covered_and_the_exit_status_says_so(settings, tmp_path, capsys, dtype):
    assert run(settings, tmp_path / "out", "--dtype", dtype) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert "failed" not in last.partition(";")[0] and last.endswith("not everything that applies was compared.")
    made, checks = checks_of(tmp_path / "out")
    assert made["verdict"] == "not covered"
    for name in ("batches", "forward", "loss", "gradients", "update", "trajectory", "fit"):
        assert checks[name]["verdict"] == "held", name
    for name in ("ranks", "metrics", "weights-transfer"):
        assert checks[name]["verdict"] == "not covered" and checks[name]["not_covered"], name
    assert checks["dropout"]["verdict"] == "not applicable"


def test_a_spoilt_engine_fails_and_the_last_line_says_where(settings, tmp_path, capsys):
    assert run(settings, tmp_path / "out", second="spoilt_gru4rec:GRU4Rec") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "first past its bound: update, By" in last and "(small, spoilt_gru4rec:GRU4Rec)" in last
    made, checks = checks_of(tmp_path / "out")
    assert made["verdict"] == "failed"
    assert checks["update"]["worst"]["tensor"].startswith("By")
    assert [checks[name]["verdict"] for name in ("forward", "loss", "gradients")] == ["held"] * 3
    assert [checks[name]["verdict"] for name in ("trajectory", "fit")] == ["failed"] * 2


@pytest.mark.parametrize(("mode", "left_out"), [("--teacher-forced", "trajectory"), ("--free-running", "gradients")])
def test_one_mode_leaves_the_other_not_covered(settings, tmp_path, mode, left_out):
    assert run(settings, tmp_path, mode) == 3
    _, checks = checks_of(tmp_path)
    assert checks[left_out]["verdict"] == "not covered"
    assert "held" in (checks["loss"]["verdict"], checks["trajectory"]["verdict"])


def test_golden_last_line_and_exit_status(capsys):
    paths = [str(SHIPPED / f"{name}.npz") for name in ("sampling-uniform", "opt-adam")]
    assert main(["golden", "--engine", NUMPY, "--jobs", "1", "--device", "cpu", *paths]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"golden: 2 recordings, engines {NUMPY}; 2 replays: 2 not covered; ")
    assert "nearest to its bound in float64" in last


def test_golden_without_files_runs_the_situations_too(monkeypatch, capsys):
    from parity.commands import golden as command

    names = ("samples-1", "retraining-sgd")
    monkeypatch.setattr(command.situations, "SITUATIONS", names)
    monkeypatch.setattr(command, "find", lambda files: [SHIPPED / "opt-sgd.npz"])
    assert main(["golden", "--engine", NUMPY, "--jobs", "1", "--device", "cpu"]) == 3
    out = capsys.readouterr().out
    assert "1 recordings and 2 situations, engines" in out and "situation samples-1" in out.replace("\n", " ")
    assert out.splitlines()[-1].startswith("golden: 1 recordings and 2 situations, ")


def test_golden_fails_on_a_recording_of_another_program(tmp_path, capsys):
    with np.load(SHIPPED / "sampling-uniform.npz") as file:
        arrays = {key: file[key] for key in file.files}
    arrays["step004/cost"] = arrays["step004/cost"] * (1 + 1e-9)
    np.savez(tmp_path / "other.npz", **arrays)
    assert main(["golden", "--engine", NUMPY, "--jobs", "1", "--device", "cpu", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 replays: 1 failed" in out.splitlines()[-1] and "loss: cost, step 4, other" in out.splitlines()[-1]


def test_a_damaged_recording_is_no_verdict(tmp_path, capsys):
    (tmp_path / "damaged.npz").write_bytes((SHIPPED / "opt-sgd.npz").read_bytes()[:5000])
    assert main(["golden", "--engine", NUMPY, "--device", "cpu", str(tmp_path)]) == 2
    assert "damaged.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["golden", "--engine", "nothing"], "--engine nothing: original, original-jax, keras or package.module:Class"),
        (["golden", "--engine", "no_such_module:GRU4Rec"], "no_such_module cannot be imported"),
        (["golden", "--engine", "json:Nothing"], "json has no class Nothing"),
        (["golden", "--engine", "json:JSONDecoder"], "JSONDecoder does not follow the protocol"),
        (["golden", "no-such-folder"], "no-such-folder: no recording"),
        (["run", "--config", "nothing"], "--config nothing"),
        (["run", "--set", "momentum"], "--set momentum: name=value is needed"),
        (["run", "--set", "speed=3"], "speed"),
        (["run", "--set", "layers=a/b"], "layers='a/b'"),
        (["run", "--train", "a.txt"], "--train and --test go together"),
        (["run", "--engine", "keras"], "two or more are needed"),
        (["run", "--seed", "-1"], "--seed -1"),
        (["run", "--engine", "keras", "--engine", "keras"], "--engine keras twice"),
        (["golden", "--engine", "keras", "--engine", "keras"], "--engine keras twice"),
        (["matrix", "--engine", "keras", "--engine", "keras"], "--engine keras twice"),
    ],
)
def test_a_command_that_cannot_be_run_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_was_found(monkeypatch, capsys):
    from gru4rec import engines

    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (0, "CPU:0 only"), "JAX": lambda: (0, "one CPU")})
    assert main(["run", "--device", "gpu", "--config", "bpr-max"]) == 2
    assert "TensorFlow sees CPU:0 only; JAX sees one CPU" in capsys.readouterr().err
    assert engines.choose_device("auto", ["original", "keras"])[0] == "cpu"
    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (1, "GPU:0"), "JAX": lambda: (1, "gpu 0")})
    assert engines.choose_device("auto", ["original", "keras"])[0] == "gpu"
    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (1, "GPU:0"), "JAX": lambda: (0, "one CPU")})
    device, remark = engines.choose_device("auto", ["original", "keras"])
    assert device == "cpu" and "JAX sees one CPU" in remark
