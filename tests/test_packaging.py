"""What is installed, what it needs, and which package may import which."""

import ast
import distutils.core
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

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
    """What setup.py says, as setuptools reads it."""
    return distutils.core.run_setup(str(ROOT / "setup.py"), stop_after="init")


def requirements(setup, *extras):
    lines = [*setup.install_requires, *(line for extra in extras for line in setup.extras_require[extra])]
    return [Requirement(line) for line in lines]


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
    wrong = [str(each) for each in requirements(setup, "jax", "test") if version(each.name) not in each.specifier]
    assert not wrong


def test_this_python_is_the_one_asked_for(setup):
    assert ".".join(map(str, sys.version_info[:3])) in Requirement(f"python{setup.python_requires}").specifier


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_packages_run_one_way(package):
    wrong = [(str(path), name) for path, name in imports(package) if name in OWN_FOLDERS - MAY_IMPORT[package]]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(setup, package):
    declared = {canonicalize_name(each.name) for each in requirements(setup, "jax", "torch")}
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
    assert setup.metadata.version == cited
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


def test_make_names_the_python_that_is_not_3_11(tmp_path):
    other = tmp_path / "other-python"
    pretence = "import sys; sys.version_info = (3, 12, 0)"
    other.write_text(f"""#!/bin/sh\nexec {sys.executable} -c '{pretence}\n'"$2"\n""")
    other.chmod(0o755)
    result = check(tmp_path, ["g++"], PYTHON=other)
    assert result.returncode != 0
    assert f"Python 3.11 is needed, and '{other}' does not run it" in result.stderr


def test_make_asks_for_a_compiler(tmp_path):
    result = check(tmp_path, [], PYTHON=sys.executable)
    assert result.returncode != 0
    assert "no C++ compiler" in result.stderr
