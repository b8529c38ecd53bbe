"""What is installed, what it needs, and which package may import which."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ["original", "keras_port", "gru4rec", "parity"]
MAY_IMPORT = {"original": {"original"}, "keras_port": {"keras_port"}}
MAY_IMPORT["gru4rec"] = {"gru4rec", "original", "keras_port"}
MAY_IMPORT["parity"] = {"parity", *MAY_IMPORT["gru4rec"]}
OWN_FOLDERS = {*PACKAGES, "examples", "benchmarks", "tests"}


@pytest.fixture(scope="module")
def setup():
    """What setup.py says, as it is written: setuptools moves markers elsewhere, each release in its own way."""
    with mock.patch("setuptools.setup") as called:
        runpy.run_path(str(ROOT / "setup.py"))
    return SimpleNamespace(**called.call_args.kwargs)


def requirements(setup, *extras):
    """Those of the base and of the extras that are meant for this Python."""
    lines = [*setup.install_requires, *(line for extra in extras for line in setup.extras_require[extra])]
    return [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]


def imports(package):
    """(file, top-level name) of every import of a package, those within functions too."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield path, node.module.split(".")[0]


def test_every_folder_with_code_is_installed_and_no_other(setup):
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert set(setup.packages) == {str(folder.relative_to(ROOT)).replace(os.sep, ".") for folder in folders}


def test_installed_releases_are_those_asked_for(setup):
    wrong = [
        str(each)
        for each in requirements(setup, "original", "jax", "test")
        if version(each.name) not in each.specifier
    ]
    assert not wrong


def test_the_base_has_no_symbolic_library_and_no_jax(setup):
    """They are extras: keras_port, gru4rec and parity run without."""
    assert not {"aesara", "pytensor", "jax", "jaxlib", "torch"} & {each.name for each in requirements(setup)}


@pytest.mark.parametrize(
    ("python", "library", "tensorflow"),
    [("3.11", "aesara", True), ("3.12", "pytensor", True), ("3.13", "pytensor", True), ("3.14", "pytensor", False)],
)
def test_each_python_gets_what_has_wheels_for_it(setup, python, library, tensorflow):
    def named(lines):
        chosen = [Requirement(line) for line in lines]
        return {each.name for each in chosen if not each.marker or each.marker.evaluate({"python_version": python})}

    assert named(setup.extras_require["original"]) & {"aesara", "pytensor"} == {library}
    assert named(setup.extras_require["jax"]) == {"jax", "jaxlib"}
    assert ("tensorflow" in named(setup.install_requires)) == tensorflow
    assert f"{python}.0" in Requirement(f"python{setup.python_requires}").specifier


def test_this_python_is_the_one_asked_for(setup):
    assert ".".join(map(str, sys.version_info[:3])) in Requirement(f"python{setup.python_requires}").specifier


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_packages_run_one_way(package):
    wrong = [(str(path), name) for path, name in imports(package) if name in OWN_FOLDERS - MAY_IMPORT[package]]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(setup, package):
    extras = [line for name in ("original", "jax", "torch", "onnx") for line in setup.extras_require[name]]
    declared = {canonicalize_name(Requirement(line).name) for line in setup.install_requires + extras}
    providers = packages_distributions()
    undeclared = {
        (str(path), name)
        for path, name in imports(package)
        if name not in sys.stdlib_module_names | OWN_FOLDERS
        and declared.isdisjoint(map(canonicalize_name, providers.get(name, [name])))
    }
    assert not undeclared


def test_the_cited_version_is_the_installed_one_and_in_the_changelog(setup):
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert setup.version == cited
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] in ("Unreleased", cited)


@pytest.mark.parametrize("work", ["1511.06939", "1706.03847", "10.1145/3269206.3271761"])
def test_both_papers_are_cited(work):
    assert work in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def check(tmp_path, programs, **variables):
    """Run `make check` where nothing but ``programs`` can be found."""
    for program in programs:
        (tmp_path / program).symlink_to(shutil.which(program))
    arguments = [shutil.which("make"), "check", *(f"{name}={value}" for name, value in variables.items())]
    return subprocess.run(arguments, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)


def test_make_accepts_this_machine(tmp_path):
    result = check(tmp_path, ["g++"], PYTHON=sys.executable)
    assert (result.returncode, result.stderr) == (0, "")


def pretended(path, minor):
    """A program that is this Python, but says that it is 3.``minor``."""
    code = f"import sys; sys.version_info = (3, {minor}, 0); exec(sys.argv[1])"
    path.write_text(f"""#!/bin/sh\nexec {sys.executable} -c '{code}' "$2"\n""")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("minor", [10, 14])
def test_make_names_the_python_that_is_none_of_them(tmp_path, minor):
    other = pretended(tmp_path / "other-python", minor)
    result = check(tmp_path, ["g++"], PYTHON=other)
    assert result.returncode != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed, and '{other}' runs none of them" in result.stderr


def found(tmp_path, **environment):
    """The Python that make finds where ``tmp_path`` is all of the PATH but the shell's own programs."""
    for program in ("sort", "ls", "sh"):
        if not (tmp_path / program).exists():
            (tmp_path / program).symlink_to(shutil.which(program))
    done = subprocess.run(
        [shutil.which("make"), "-s", "help"],
        cwd=ROOT, env={"PATH": str(tmp_path), **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return re.search(r"PYTHON=(.*) VENV=", done.stdout)[1]


def test_make_finds_the_first_python_that_runs(tmp_path):
    shim = tmp_path / "python3.11"  # as pyenv leaves them for versions that are not chosen
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert found(tmp_path) == ""
    pretended(tmp_path / "python3.13", 13)
    assert found(tmp_path) == "python3.13"
    pretended(tmp_path / "python3.12", 12)
    assert found(tmp_path) == "python3.12"
    home = tmp_path / "pyenv" / "versions" / "3.11.9" / "bin"
    home.mkdir(parents=True)
    pretended(home / "python", 11)
    assert found(tmp_path, PYENV_ROOT=str(tmp_path / "pyenv")) == str(home / "python")


def test_make_without_a_python_says_which_it_looked_for(tmp_path):
    result = check(tmp_path, ["sh"])
    assert result.returncode != 0
    assert "no Python of 3.11 to 3.13 was found" in result.stderr


def test_make_asks_for_a_compiler(tmp_path):
    result = check(tmp_path, [], PYTHON=sys.executable)
    assert result.returncode != 0
    assert "no C++ compiler" in result.stderr
