"""The registry of engines: what it finds, and what it says of what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from gru4rec import engines, models
from gru4rec.engines import EngineSpec


class Plain:
    def __init__(self, loss="bpr-max", *, dtype, seed, dropout_seed):
        self.options = {"loss": loss, "dtype": dtype, "seed": seed, "dropout_seed": dropout_seed}


class TakesAll:
    def __init__(self, **options):
        self.options = options


class Broken:
    def __init__(self, loss="bpr-max", *, dtype, seed, dropout_seed):
        raise TypeError("__init__() got an unexpected keyword argument 'loss'")


def test_an_option_that_is_no_parameter_is_named_with_the_engine():
    spec = EngineSpec("mine:Plain", Plain)
    assert spec.create({"loss": "top1"}).options["loss"] == "top1"
    with pytest.raises(NotImplementedError, match="^engine mine:Plain has no option layers, momentum$"):
        spec.create({"loss": "top1", "layers": [7], "momentum": 0.1})
    assert EngineSpec("mine:TakesAll", TakesAll).create({"layers": [7]}).options["layers"] == [7]


def test_a_constructor_s_own_type_error_is_not_taken_for_an_option_that_it_lacks():
    with pytest.raises(TypeError, match="unexpected keyword"):
        EngineSpec("mine:Broken", Broken).create({"loss": "top1"})


def test_later_options_are_given_where_they_are_on_alone():
    spec = EngineSpec("mine:Plain", Plain)
    assert "logq" not in spec.create({"logq": 0.0, "dwell_time": 0, "dwell_weight": 0.0}).options
    with pytest.raises(NotImplementedError, match="has no option logq"):
        spec.create({"logq": 1.0})


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("nothing", ValueError, "--engine nothing: original, original-jax, keras or package.module:Class is accepted"),
        (":x", ValueError, "--engine :x: "),
        ("no.such:Engine", ImportError, "--engine no.such:Engine: no.such cannot be imported: No module named 'no'"),
        ("json:Engine", ImportError, "--engine json:Engine: json has no class Engine"),
        ("json:JSONDecoder", ImportError, "--engine json:JSONDecoder: JSONDecoder does not follow the protocol"),
        ("raises_on_import:E", ImportError, "--engine raises_on_import:E: raises_on_import cannot be imported: no b"),
    ],
)
def test_what_leads_to_no_engine_is_named(tmp_path, monkeypatch, name, error, message):
    (tmp_path / "raises_on_import.py").write_text("raise ValueError('no backend')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error) as problem:
        engines.named(name)
    assert str(problem.value).startswith(message)


def test_the_file_that_names_the_backend_is_named(tmp_path, monkeypatch):
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(ImportError, match=f"Keras' backend is named in {tmp_path}/keras.json"):
        engines.named("no.such:Engine")


def test_a_foreign_class_with_a_name_like_original_s_is_left_alone():
    spec = EngineSpec("original_too.module:Engine", TakesAll)
    assert engines.for_device(spec, "gpu") is spec
    own = EngineSpec("original-jax", TakesAll, {"backend": "jax"})
    assert engines.for_device(own, "cpu").options == {"backend": "jax", "device": "cpu"}


def test_a_gpu_that_is_not_there_is_missed_by_name(monkeypatch):
    monkeypatch.setattr(engines, "_PROBES", {"JAX": lambda: (0, "cpu:0"), "TensorFlow": lambda: (1, "gpu:0")})
    with pytest.raises(RuntimeError, match=r"--device gpu: no GPU .* \(original, keras\); JAX sees cpu:0"):
        engines.choose_device("gpu", ["original", "keras"])
    assert engines.choose_device("auto", ["keras", "original"])[0] == "cpu"


def test_an_engine_without_a_full_training_is_refused():
    with pytest.raises(ImportError, match="--engine mine:Plain: Plain has no fit"):
        models.check_interface(EngineSpec("mine:Plain", Plain))


def test_nothing_of_an_engine_is_imported_before_one_is_asked_for():
    program = (
        "import importlib, pkgutil, sys, gru4rec\n"
        "for each in pkgutil.walk_packages(gru4rec.__path__, 'gru4rec.'):\n"
        "    each.name.endswith('__main__') or importlib.import_module(each.name)\n"
        "libraries = {'tensorflow', 'jax', 'aesara', 'keras', 'torch', 'original', 'keras_port', 'parity'}\n"
        "print(sorted(libraries & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
