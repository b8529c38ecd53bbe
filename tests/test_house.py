"""The plan of the house: each engine has the same rooms, no room grows too large, and one vocabulary serves both."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINES = ("original", "keras_port")
PACKAGES = ("original", "keras_port", "gru4rec", "parity", "benchmarks", "examples")
# What stands on both sides, under the same name.
ROOMS = {
    "gru4rec.py", "settings.py", "events.py", "batches.py", "sampling.py", "dropout.py", "initial_weights.py",
    "activations.py", "losses.py", "optimizers.py", "training.py", "prediction.py", "evaluation.py", "checkpoint.py",
}  # fmt: skip
FACADE, CLASS, FILE = 250, 250, 450
ELSEWHERE = {"winner", "valid", "idx", "After"}  # words that the engines had for what has another name


def sources(package: str) -> list[Path]:
    """The files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports anywhere in it, by statement."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def test_the_engines_have_the_same_rooms():
    for engine in ENGINES:
        assert {path.name for path in (ROOT / engine).glob("*.py")} >= ROOMS


@pytest.mark.parametrize("engine", ENGINES)
def test_the_facade_is_one(engine):
    assert len((ROOT / engine / "gru4rec.py").read_text(encoding="utf-8").splitlines()) <= FACADE


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_is_too_large(package):
    for path in sources(package):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < CLASS, f"{path}: class {node.name}"


def test_one_module_imports_the_symbolic_library():
    found = [path.name for path in sources("original") if imported(path) & {"aesara", "pytensor"}]
    assert found == ["library.py"]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_vocabulary(engine):
    for path in sources(engine):
        for node in ast.walk(tree(path)):
            name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "name", None)
            assert name not in ELSEWHERE, f"{path}:{getattr(node, 'lineno', 0)}: {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_banner_comments(package):
    for path in sources(package):
        for line in path.read_text(encoding="utf-8").splitlines():
            bare = line.strip()
            assert not (bare.startswith("#") and len(bare) > 3 and set(bare[1:].strip()) <= set("-=#*~")), (path, line)


@pytest.mark.parametrize("package", PACKAGES)
def test_summaries_fit_a_line(package):
    """A docstring's first line is a sentence, and what follows stands apart from it."""
    for path in sources(package):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                continue
            lines = (ast.get_docstring(node) or "").splitlines()
            for first, second in pairwise(lines[:2]):
                assert not second.strip(), f"{path}:{getattr(node, 'lineno', 1)}: {first}"


def test_private_names_stay_in_their_module():
    """``module._name`` and ``from module import _name`` among this project's own modules."""
    for package in ("original", "keras_port", "gru4rec", "parity"):
        for path in sources(package):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
                    private = [name.name for name in node.names if name.name.startswith("_")]
                    assert private == [], f"{path}: from {node.module} import {private}"
