"""What importing the package does, and what it leaves to the user. Each import is a Python process of its own."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from original.graphs import backends, compilation, environment
from original.graphs.c_backend import c_mode
from original.graphs.environment import find_openblas
from original.graphs.library import CompileError, config, function, tensor

ROOT = Path(__file__).parents[3]


def python(code, *options, **environment):
    """Run ``code``; returns what it printed. Fails when it failed, or wrote anything to the standard error."""
    of_the_user = ("AESARA_FLAGS", "AESARARC", "PYTHONWARNINGS")
    environment = {name: value for name, value in os.environ.items() if name not in of_the_user} | environment
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


SHOW = """
import os, sys
import original.gru4rec
from original.graphs import library as backend
import aesara
print(aesara.config.floatX)
for shown in (aesara.config.blas__ldflags, backend.BLAS, os.environ.get("AESARA_FLAGS")):
    print(repr(shown))
"""


def test_import_is_quiet_and_links_a_blas():
    """No warning of Aesara's, no line on the standard error, and no other framework is imported."""
    others = "print(sorted({'tensorflow', 'keras', 'keras_port', 'torch', 'jax', 'parity'} & set(sys.modules)))"
    strict = "-W", "error::UserWarning", "-W", "error::RuntimeWarning"
    floatX, flags, name, environment, modules = python(SHOW + others, *strict)
    assert floatX == "float64"
    assert modules == "[]"
    if find_openblas()[1]:
        assert "openblas" in flags and "OpenBLAS" in name
    # What was set for the import is not left to child processes.
    assert environment in ("None", "''")


WITHOUT_OPENBLAS = """
import ctypes.util, importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *package: None if name == "scipy" else find_spec(name, *package)
ctypes.util.find_library = lambda name: None
"""


def test_import_is_quiet_where_there_is_no_blas():
    """Aesara warns of that by its log; one line of ours says it, and only to who asks for the log."""
    _, flags, name, _ = python(WITHOUT_OPENBLAS + SHOW, "-W", "error::UserWarning")
    assert (flags, name) == ("''", "None")


def test_flags_of_the_user_are_left_alone(tmp_path):
    given = "floatX=float32,blas__ldflags=-lm"
    assert python(SHOW, AESARA_FLAGS=given) == ["float32", "'-lm'", "'BLAS -lm'", repr(given)]
    rc = tmp_path / "aesararc"
    rc.write_text("[global]\nfloatX = float32\n[blas]\nldflags = -lm\n")
    floatX, flags, name, _ = python(SHOW, AESARARC=str(rc))
    assert (floatX, flags, name) == ("float32", "'-lm'", "'BLAS -lm'")


def test_other_flags_of_the_user_still_get_a_blas():
    floatX, flags, name, environment = python(SHOW, AESARA_FLAGS="floatX=float32")
    assert (floatX, environment) == ("float32", "'floatX=float32'")
    assert ("openblas" in flags) == bool(find_openblas()[1])


def test_one_line_says_what_was_chosen(caplog):
    caplog.set_level("INFO")
    made = backends.make("c", "float64")
    assert [record.message for record in caplog.records if record.name == "original.graphs.backends"] == [
        made.description
    ]
    assert "C on the CPU, float64" in made.description
    assert ("OpenBLAS" if find_openblas()[1] else "BLAS") in made.description


def test_jax_says_its_device(caplog):
    jax = pytest.importorskip("jax")
    caplog.set_level("INFO")
    made = backends.make("jax", "float32", "cpu")
    assert [record.message for record in caplog.records if record.name == "original.graphs.backends"] == [
        made.description
    ]
    assert f"JAX {jax.__version__} on cpu" in made.description and "float32" in made.description


def test_a_home_that_cannot_be_written_gives_a_temporary_folder(tmp_path):
    """It is said in the log, C code compiles there, and nothing of it stays behind."""
    home = tmp_path / "home"
    home.write_text("a file")
    code = """
import logging
logging.basicConfig(format="%(message)s", level="WARNING", stream=__import__("sys").stdout)
import original.gru4rec
from original.graphs.library import config, function, tensor
from original.graphs.c_backend import c_mode
x = tensor.dvector()
print(config.base_compiledir)
print(function([x], x * 3, mode=c_mode())([2.0]))
"""
    said, folder, result = python(code, HOME=str(home))
    assert f"{home / '.aesara'} cannot be written" in said and folder in said
    assert result == "[6.]" and not Path(folder).exists()


WITHOUT_COMPILER = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s", level="WARNING", stream=__import__("sys").stdout)
from original.gru4rec import GRU4Rec
model = GRU4Rec(layers=[2], batch_size=2, n_sample=2)
model.build(3)
print(model.computed_on)
"""


def test_without_a_compiler_it_is_said():
    """C mode then runs in Python: the log warns, and the model says what computes it."""
    warning, computed_on = python(WITHOUT_COMPILER, AESARA_FLAGS="cxx=")[-2:]
    assert computed_on.endswith("Python, no C++ compiler: thousands of times slower; backend='jax' is the way out")
    assert warning == f"WARNING {computed_on}"


def test_a_full_disk_gives_a_temporary_folder(tmp_path, monkeypatch):
    """The compiled headers alone take 41 MiB."""
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5 << 20))
    assert environment._problem_of(tmp_path) == "has 5 MiB of free space left, and 100 are needed"
    monkeypatch.undo()
    assert environment._problem_of(tmp_path / "new") is None


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, "No space left on device", "somewhere"),
        OSError("[Errno 28] No space left on device: 'x' -> 'y'\nApply node that caused the error: ...\nHINT: ..."),
        CompileError("Compilation failed: cannot write: No space left on device\n" + "line\n" * 500),
    ],
)
def test_a_disk_that_fills_up_while_compiling_is_one_line(problem, monkeypatch):
    def fail(self, *args, **kwargs):
        raise problem

    monkeypatch.setattr(compilation.VMLinker, "make_all", fail)
    x = tensor.dvector()
    with pytest.raises(OSError) as caught:
        function([x], x * 3 + 11, mode=c_mode())
    text = str(caught.value)
    assert caught.value.errno == errno.ENOSPC and "\n" not in text and len(text) < 400
    assert str(config.compiledir) in text and "AESARA_FLAGS=base_compiledir=FOLDER" in text


def test_other_errors_of_a_compilation_stay_as_they_are(monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(compilation.VMLinker, "make_all", fail)
    x = tensor.dvector()
    with pytest.raises(OSError, match="Input/output error"):
        function([x], x * 5 + 13, mode=c_mode())
