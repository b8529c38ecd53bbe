"""The commands, run on the NumPy example beside itself and beside a spoilt copy of it."""

import json
import os
import re
import sys
from html.parser import HTMLParser
from types import ModuleType
from unittest.mock import patch

import jsonschema
import numpy as np
import pytest
from numpy_gru4rec import GRU4Rec

from parity import golden, report
from parity.cli import main

NUMPY = "numpy_gru4rec:GRU4Rec"
SETTINGS = "loss=bpr-max, final_act=linear\nlayers=6  # small\nn_sample=5, batch_size=4, learning_rate=0.05\n"


class Spoilt(GRU4Rec):
    """Its update of the biases is a thousandth too large."""

    def train_step(self, *arguments, **options):
        before = self.get_weights()["By"]
        result = super().train_step(*arguments, **options)
        self.set_weights({"By": before + 1.001 * (self.get_weights()["By"] - before)})
        return result


@pytest.fixture(autouse=True)
def spoilt_module(monkeypatch):
    module = ModuleType("spoilt_gru4rec")
    module.GRU4Rec = Spoilt
    monkeypatch.setitem(sys.modules, "spoilt_gru4rec", module)


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


def run(settings, folder, *more, second=NUMPY):
    return main(["run", "--engine", NUMPY, "--engine", second, "--config", settings, "--epochs", "0", "--steps", "9",
                 "--device", "cpu", "--out", str(folder), *more])  # fmt: skip


def test_an_engine_equals_itself(settings, tmp_path, capsys):
    assert run(settings, tmp_path / "out") == 0
    assert "0 failed" in capsys.readouterr().out.splitlines()[-1]
    made = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(made, report.schema())
    checks = {check["name"]: check for check in made["comparisons"][0]["checks"]}
    assert made["verdict"] == "held"
    assert checks["update"]["verdict"] == checks["trajectory"]["verdict"] == "held"
    for name in ("ranks", "training", "weights-transfer", "dropout"):
        assert checks[name]["verdict"] == "not covered"
        assert checks[name]["not_covered"]


def test_a_spoilt_engine_fails_and_the_report_says_where(settings, tmp_path, capsys):
    assert run(settings, tmp_path / "out", second="spoilt_gru4rec:GRU4Rec") == 1
    assert "small/spoilt_gru4rec:GRU4Rec: update" in capsys.readouterr().out.splitlines()[-1]
    made = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(made, report.schema())
    checks = {check["name"]: check for check in made["comparisons"][0]["checks"]}
    assert made["verdict"] == "failed"
    assert checks["update"]["worst"]["tensor"] == "By"
    assert [checks[name]["verdict"] for name in ("forward", "loss", "gradients")] == ["held"] * 3
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.index("Failed.") < page.index("<h2>")


@pytest.mark.parametrize(("mode", "left_out"), [("--teacher-forced", "trajectory"), ("--free-running", "gradients")])
def test_one_mode_leaves_the_other_not_covered(settings, tmp_path, mode, left_out):
    run(settings, tmp_path, mode)
    checks = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["comparisons"][0]["checks"]
    verdicts = {check["name"]: check["verdict"] for check in checks}
    assert verdicts[left_out] == "not covered"
    assert "held" in (verdicts["loss"], verdicts["trajectory"])


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "line", "polyline", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "polyline"):
            assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(settings, tmp_path):
    run(settings, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not page.open
    assert not page.fetched
    assert not re.search(r"https?://|@import|url\(|<script", text)
    assert text.count("<figure>") == 3
    for what in ("Not covered", "Worst tensors", "python -m parity", "SHA-256", "numpy"):
        assert what in text


def test_text_in_a_report_is_escaped(settings, tmp_path):
    run(settings, tmp_path)
    made = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    made["command"] = made["comparisons"][0]["setting"] = "<b>&"
    assert "<b>" not in report.page(made)


def test_a_broken_report_is_refused_by_the_schema(settings, tmp_path):
    run(settings, tmp_path)
    made = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    made["comparisons"][0]["checks"][0]["verdict"] = "passed"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, report.schema())


def test_golden_last_line_and_exit_status(capsys):
    covered, other = (golden.SHIPPED / f"{name}.npz" for name in ("sampling-uniform", "opt-adam"))
    command = ["golden", "--engine", NUMPY, "--jobs", "1", "--device", "cpu"]
    assert main([*command, str(covered)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"golden: 1 files.*1 of 1 replays held.*\d+ comparisons; worst float64 error \S+ \(bound .*", last
    )
    assert main([*command, str(covered), str(other)]) == 3
    assert "1 of 2 replays not covered" in capsys.readouterr().out.splitlines()[-1]


def test_golden_fails_on_a_recording_of_another_program(tmp_path, capsys):
    with np.load(golden.SHIPPED / "sampling-uniform.npz") as file:
        arrays = {key: file[key] for key in file.files}
    arrays["step004/cost"] = arrays["step004/cost"] * (1 + 1e-6)
    np.savez(tmp_path / "other.npz", **arrays)
    assert main(["golden", "--engine", NUMPY, "--jobs", "1", "--device", "cpu", str(tmp_path)]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "1 of 1 replays failed" in last and "loss: cost, step 4, other" in last


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
        (["run", "--set", "speed=3"], "unknown option"),
        (["run", "--set", "layers=a/b"], "layers=a/b"),
        (["run", "--train", "a.txt"], "--train and --test go together"),
        (["run", "--engine", "keras"], "two or more are needed"),
        (["run", "--seed", "-1"], "--seed -1"),
    ],
)
def test_a_command_that_cannot_be_run_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_was_found(monkeypatch, capsys):
    from parity import engines

    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (0, "CPU:0 only"), "JAX": lambda: (0, "one CPU")})
    assert main(["run", "--device", "gpu", "--config", "bpr-max"]) == 2
    assert "TensorFlow sees CPU:0 only; JAX sees one CPU" in capsys.readouterr().err
    assert engines.choose_device("auto", ["original", "keras"])[0] == "cpu"
    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (1, "GPU:0"), "JAX": lambda: (1, "gpu 0")})
    assert engines.choose_device("auto", ["original", "keras"])[0] == "gpu"
    monkeypatch.setattr(engines, "_PROBES", {"TensorFlow": lambda: (1, "GPU:0"), "JAX": lambda: (0, "one CPU")})
    device, remark = engines.choose_device("auto", ["original", "keras"])
    assert device == "cpu" and "JAX sees one CPU" in remark
