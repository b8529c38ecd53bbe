"""Which modules of an engine are mathematics.

A list of what is not, with the reason, so that a module that nobody thought of has mutants rather than none.
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

PACKAGES = {"original": "original", "original-jax": "original", "keras": "keras_port"}

# By path within the package, without the suffix.
NOT_MATHEMATICS = {
    "*__init__": "names only",
    "gru4rec": "the facade: options, documentation, one-liners",
    "settings": "validation of options",
    "files": "writing files whole",
    "storage": "files",
    "checkpoint": "files",
    "parts": "files",
    "item_ids": "kinds of item ids",
    "progress": "messages",
    "callbacks": "messages",
    "serving": "lists of items and exports, after the scores",
    "dwell": "an option that the published program lacks",
    "baselines": "other models, of which nothing is recorded",
    "*environment": "the symbolic library's flags",
    "*library": "the symbolic library's names",
    "*compilation": "when C code is compiled",
    "graphs/backends": "which backend is taken",
    "programs": "which compiled program is kept",
}
# Modules that an engine imports and does not compute with.
NOT_IN_FORCE = {"original-jax": ("elementwise", "graphs/elementwise", "graphs/c_backend")}


class Module(NamedTuple):
    """A module of an engine. name: dotted. path: its file. place: path within the package, without the suffix."""

    name: str
    path: Path
    place: str

    @property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")


def package_of(engine: str) -> str:
    """The top-level package, or module, that holds an engine's mathematics. Raises ValueError for no engine's name."""
    if engine in PACKAGES:
        return PACKAGES[engine]
    module, colon, _ = engine.partition(":")
    if not colon:
        raise ValueError(f"--engine {engine}: {', '.join(PACKAGES)} or package.module:Class is accepted")
    return module.partition(".")[0]


def modules_of(engine: str) -> list[Module]:
    """Every module of an engine, by name. Raises ImportError where there is none."""
    package = package_of(engine)
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"--engine {engine}: there is no package {package}")
    root = Path(spec.origin)
    if not spec.submodule_search_locations:
        return [Module(package, root, package)]
    found = []
    for path in sorted(root.parent.rglob("*.py")):
        place = path.relative_to(root.parent).with_suffix("").as_posix()
        name = ".".join([package, *place.split("/")]).removesuffix(".__init__")
        found.append(Module(name, path, place))
    return found


def mathematics_of(engine: str, imported: Iterable[str]) -> list[Module]:
    """The modules that mutants are made of.

    imported: names of the modules that the engine has imported after a run; another backend's are not among them.
    """
    left_out, here = (*NOT_MATHEMATICS, *NOT_IN_FORCE.get(engine, ())), set(imported)
    return [
        module
        for module in modules_of(engine)
        if module.name in here and not any(fnmatch(module.place, pattern) for pattern in left_out)
    ]


def fingerprint(engine: str) -> str:
    """SHA-256 of the source of every module of the engine."""
    digest = hashlib.sha256()
    for module in modules_of(engine):
        digest.update(f"{module.name}\0{module.source}\0".encode())
    return digest.hexdigest()
