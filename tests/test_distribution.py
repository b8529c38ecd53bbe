"""The wheel and the source archive, as they would be uploaded: what they hold, and that every module is imported."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ["original", "keras_port", "gru4rec", "parity"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, source archive) of the tracked files; built from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "runs", "gpu-*", "build", "dist", "*.pyc")
    shutil.copytree(ROOT, source, ignore=ignored)
    (source / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", source / ".ci" / "run")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (wheel,), (archive,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, archive


def test_an_index_would_take_both(built):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_packages_data_and_licences_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    tracked = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix not in (".pyc", "")]
    missing = {str(path.relative_to(ROOT)) for path in tracked} - names
    # Pages for readers of the repository; FORMAT.md is a page for readers of a recording, and travels.
    assert missing <= {"parity/README.md"}
    for licence in ("LICENSE", "LICENSE-DATA", "CITATION.cff"):
        assert [name for name in names if name.endswith((f"dist-info/{licence}", f"licenses/{licence}"))]


def test_the_source_archive_holds_what_repeats_the_claims(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"setup.py", "Makefile", "pyproject.toml", "codecheck.yml", "LICENSE-DATA", "CITATION.cff", ".ci/run"}
    wanted |= {"tests/conftest.py", "benchmarks/gpu/wheels.txt", "docs/installation.md", "examples/rsc15/run_rsc15.py"}
    assert not wanted - names


IMPORT_ALL = """
import importlib, json, pkgutil, sys
site, packages, optional = json.loads(sys.argv[1])
failed, elsewhere, count = {}, [], 0
for package in packages:
    top = importlib.import_module(package)
    for each in [None, *pkgutil.walk_packages(top.__path__, package + ".")]:
        name = package if each is None else each.name
        if name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as problem:
            if problem.name not in optional:
                failed[name] = repr(problem)
            continue
        count += 1
        if not module.__file__.startswith(site):
            elsewhere.append(name)
print(json.dumps([failed, elsewhere, count]))
"""


def test_every_module_of_the_wheel_can_be_imported_in_an_empty_folder(built, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(built[0]).extractall(site)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    optional = ["torch", "jax", "mlcroissant", "psycopg"]  # what extras bring
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps([str(site), PACKAGES, optional])],
        cwd=empty, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    failed, elsewhere, count = json.loads(done.stdout.splitlines()[-1])
    assert (failed, elsewhere) == ({}, [])
    assert count > 150
    assert list(empty.iterdir()) == []


def test_the_citation_is_one_that_tools_read():
    """Of CITATION.cff 1.2.0 what it requires, and the licences of code and of data."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited["cff-version"] == "1.2.0"
    assert cited["license"] == ["MIT", "CC-BY-4.0"]
    for work in [cited, *cited["references"]]:
        assert work["title"] and all({"name"} <= set(one) or {"family-names"} <= set(one) for one in work["authors"])


def test_each_claim_of_codecheck_names_a_command_that_there_is():
    checked = yaml.safe_load((ROOT / "codecheck.yml").read_text(encoding="utf-8"))
    assert checked["version"] == "https://codecheck.org.uk/spec/config/1.0"
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [each["command"] for each in checked["manifest"]]
    assert len(commands) > 5
    for each in checked["manifest"]:
        assert set(each) == {"file", "claim", "command", "minutes", "comment"} and float(each["minutes"]) > 0
    for command in commands:
        words = command.split()
        if words[0] == "make":
            assert words[1] in targets, command
        else:
            assert words[:2] == [".venv/bin/python", "-m"] or words[0] == ".venv/bin/python", command
            module = words[2].replace(".", "/") if words[1] == "-m" else words[1].removesuffix(".py")
            assert any((ROOT / f"{module}{end}").is_file() for end in (".py", "/__main__.py")), command
