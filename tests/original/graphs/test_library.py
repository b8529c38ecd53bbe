"""What importing the package does, and what it leaves to the user. Each import is a Python process of its own."""

import errno
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from original.graphs import backends, compilation, environment
from original.graphs.c_backend import c_mode
from original.graphs.environment import LIBRARIES, choose_library, find_openblas
from original.graphs.library import LIBRARY, NAME, CompileError, config, function, tensor

ROOT = Path(__file__).parents[3]
FLAGS, RC = f"{LIBRARY.upper()}_FLAGS", f"{LIBRARY.upper()}RC"


def python(code, *options, **environment):
    """Run ``code``; returns what it printed. Fails when it failed, or wrote anything to the standard error."""
    of_the_user = (FLAGS, RC, "PYTHONWARNINGS")
    environment = {name: value for name, value in os.environ.items() if name not in of_the_user} | environment
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


SHOW = f"""
import os, sys
import original.gru4rec
from original.graphs import library as backend
import {LIBRARY} as symbolic
print(symbolic.config.floatX)
for shown in (symbolic.config.blas__ldflags, backend.BLAS, os.environ.get("{FLAGS}")):
    print(repr(shown))
"""


def test_import_is_quiet_and_links_a_blas():
    """No warning of the library's, no line on the standard error, and no other framework is imported."""
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
    """The library warns of that; one line of ours says it, and only to who asks for the log."""
    _, flags, name, _ = python(WITHOUT_OPENBLAS + SHOW, "-W", "error::UserWarning")
    assert (flags, name) == ("''", "None")


def test_flags_of_the_user_are_left_alone(tmp_path):
    given = "floatX=float32,blas__ldflags=-lm"
    assert python(SHOW, **{FLAGS: given}) == ["float32", "'-lm'", "'BLAS -lm'", repr(given)]
    rc = tmp_path / "rc"
    rc.write_text("[global]\nfloatX = float32\n[blas]\nldflags = -lm\n")
    floatX, flags, name, _ = python(SHOW, **{RC: str(rc)})
    assert (floatX, flags, name) == ("float32", "'-lm'", "'BLAS -lm'")


def test_other_flags_of_the_user_still_get_a_blas():
    floatX, flags, name, environment = python(SHOW, **{FLAGS: "floatX=float32"})
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
    assert f"{home / f'.{LIBRARY}'} cannot be written" in said and folder in said
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
    warning, computed_on = python(WITHOUT_COMPILER, **{FLAGS: "cxx="})[-2:]
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
    assert str(config.compiledir) in text and f"{FLAGS}=base_compiledir=FOLDER" in text


def test_other_errors_of_a_compilation_stay_as_they_are(monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(compilation.VMLinker, "make_all", fail)
    x = tensor.dvector()
    with pytest.raises(OSError, match="Input/output error"):
        function([x], x * 5 + 13, mode=c_mode())


# Which library it is.


@pytest.fixture
def installed(monkeypatch):
    """installed('aesara', ...): these of the libraries are, and no other."""

    def only(*names):
        for library in LIBRARIES:
            monkeypatch.delitem(sys.modules, library, raising=False)
        monkeypatch.setattr(
            "original.graphs.environment.importlib.util.find_spec", lambda name: name if name in names else None
        )

    monkeypatch.delenv("GRU4REC_SYMBOLIC", raising=False)
    return only


@pytest.mark.parametrize(
    ("there", "chosen"), [(LIBRARIES, "aesara"), (("aesara",), "aesara"), (("pytensor",), "pytensor")]
)
def test_aesara_is_taken_where_it_is_installed(installed, there, chosen):
    installed(*there)
    assert choose_library() == chosen


@pytest.mark.parametrize("named", LIBRARIES)
def test_a_variable_names_the_library(installed, monkeypatch, named):
    installed(*LIBRARIES)
    monkeypatch.setenv("GRU4REC_SYMBOLIC", named)
    assert choose_library() == named


def test_a_library_that_there_is_not_is_refused_by_name(installed, monkeypatch):
    installed()
    with pytest.raises(ImportError, match=r"^neither Aesara nor PyTensor is installed: pip install 'gru4rec"):
        choose_library()
    monkeypatch.setenv("GRU4REC_SYMBOLIC", "pytensor")
    with pytest.raises(ImportError, match="^pytensor, which GRU4REC_SYMBOLIC names, is not installed: pip install"):
        choose_library()
    monkeypatch.setenv("GRU4REC_SYMBOLIC", "theano")
    with pytest.raises(ValueError, match="^GRU4REC_SYMBOLIC='theano': aesara or pytensor is accepted$"):
        choose_library()


def test_the_name_says_library_and_release():
    assert NAME == f"{dict(aesara='Aesara', pytensor='PyTensor')[LIBRARY]} {version(LIBRARY)}"


def test_no_other_module_imports_the_library():
    """And this one is the whole of what the package takes from either."""
    imports = re.compile(r"^\s*(from|import) (aesara|pytensor)", re.MULTILINE)
    found = [path.name for path in (ROOT / "original").rglob("*.py") if imports.search(path.read_text())]
    assert found == ["library.py"]
