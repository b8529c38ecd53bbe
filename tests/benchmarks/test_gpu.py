"""The stages of ``make gpu``: what they are made of, and how they are run and told of. No GPU is needed."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as kit
from benchmarks.gpu.stages import STAGES, Command, Plan
from parity import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(kit, "smi", lambda: "A GPU, 1.0, 80 GiB")


def prints(text, status=0):
    return Command(f"prints {text}", ["-c", f"print({text!r}); raise SystemExit({status})"])


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("device", ["gpu", "cpu"])
@pytest.mark.parametrize("stage", STAGES)
def test_each_command_is_one_that_its_program_takes(stage, device, small, tmp_path):
    commands = STAGES[stage](Plan(device, tmp_path, small, (ROOT / "LICENSE", ROOT / "LICENSE")))
    assert commands
    for command in commands:
        option, module, *arguments = command.arguments
        assert option == "-m" and arguments[arguments.index("--device") + 1] == device
        if module == "parity":
            given = cli.parser().parse_args(arguments)
            assert given.device == device
        else:
            importlib.import_module(module).parser().parse_args(arguments)


def test_tf32_has_to_fail_and_is_tried_on_a_gpu_only(tmp_path):
    (fault,) = [command for command in STAGES["selftest"](Plan("gpu", tmp_path)) if "TF32" in command.title]
    assert fault.statuses == (1,) and fault.backend == "torch"
    assert len(STAGES["selftest"](Plan("cpu", tmp_path))) == 1


def test_results_say_what_came_of_each_command(monkeypatch, tmp_path, gpu):
    monkeypatch.setattr(kit, "STAGES", {"one": lambda plan: [prints("fine"), prints("bad", 1)], "two": lambda plan: []})
    assert kit.main(["--out", str(tmp_path), "one"]) == 1
    results = json.loads((tmp_path / "results.json").read_text())
    fine, bad = results["stages"]["one"]
    assert (fine["status"], fine["as_it_should"], fine["said"][-1]) == (0, True, "fine")
    assert (bad["status"], bad["as_it_should"], bad["said"][-1]) == (1, False, "bad")
    assert results["gpu"] == "A GPU, 1.0, 80 GiB" and results["environment"]["python"]
    assert "prints bad" in (tmp_path / "one.log").read_text()


def test_a_later_call_adds_its_stages(monkeypatch, tmp_path, gpu):
    monkeypatch.setattr(kit, "STAGES", {name: lambda plan: [prints("fine")] for name in ("one", "two")})
    assert kit.main(["--out", str(tmp_path), "one"]) == 0
    assert kit.main(["--out", str(tmp_path), "two"]) == 0
    assert list(json.loads((tmp_path / "results.json").read_text())["stages"]) == ["one", "two"]


def test_a_command_that_is_not_done_in_time_is_ended_and_said(tmp_path):
    with open(tmp_path / "log", "w") as log:
        done = kit.execute(Command("sleeps", ["-c", "import time; time.sleep(60)"]), log, 0.2)
    assert done["status"] is None and not done["as_it_should"] and done["seconds"] < 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["golden"], "nvidia-smi sees no GPU; --device cpu --small tries the stages without one"),
        (["nothing", "--device", "cpu"], "nothing: golden, run, selftest, matrix, training, speed are accepted"),
        (["run", "--device", "cpu", "--data", "no.txt", "no.txt"], "--data no.txt: no such file"),
    ],
)
def test_wrong_use_is_status_2_and_one_line(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(kit, "smi", lambda: "")
    with pytest.raises(SystemExit) as ended:
        kit.main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_what_a_machine_lacks_is_pinned_and_small():
    lines = (ROOT / "benchmarks" / "gpu" / "wheels.txt").read_text().splitlines()
    named = [line for line in lines if not line.startswith("#")]
    assert {"keras", "pytensor", "jsonschema"} <= {line.split("==")[0] for line in named}
    assert all(line.count("==") == 1 for line in named)
    assert not {"tensorflow", "polars", "optuna"} & {line.split("==")[0] for line in named}


BLOCKED = """
import sys
sys.modules.update(dict.fromkeys(["polars", "optuna", "tensorflow", "sqlalchemy", "aesara"]))
import benchmarks.gpu.__main__, benchmarks.gpu.speed
for name in ("golden", "run", "selftest", "matrix", "training"):
    __import__(f"parity.commands.{name}")
"""


def test_the_kit_needs_nothing_that_such_a_machine_lacks():
    done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
