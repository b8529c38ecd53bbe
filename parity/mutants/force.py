"""Puts a mutant in force: this process imports the mutated module instead of the one in its file."""

import sys
import tempfile
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any


class _Loader(SourceFileLoader):
    """Loads the module of a file from another text."""

    def __init__(self, name: str, path: str, text: str):
        super().__init__(name, path)
        self.text, self.used = text, False
        # Compiled as a file of its own: what reads a function's source, as TensorFlow does to translate it, has to find
        # the mutant's.
        with tempfile.NamedTemporaryFile("w", suffix=f"-{name}.py", encoding="utf-8", delete=False) as file:
            file.write(text)
        self.mutant = Path(file.name)

    def get_code(self, fullname: str) -> Any:
        self.used = True
        return compile(self.text, str(self.mutant), "exec", dont_inherit=True)

    def get_source(self, fullname: str) -> str:
        return self.text


class Mutation(MetaPathFinder):
    """A finder for one module, to be put before all others. As a context, it is there within the block.

    module: dotted name; it must not be imported yet. text: its mutated source.

    Raises RuntimeError where the module is imported already, and so would not be mutated.
    """

    def __init__(self, module: str, text: str):
        if module in sys.modules:
            raise RuntimeError(f"{module} is imported already")
        self.module, self.text = module, text
        self.loader: _Loader | None = None

    @property
    def in_force(self) -> bool:
        """Whether the mutated module was imported."""
        return self.loader is not None and self.loader.used

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = self.loader = _Loader(fullname, spec.origin, self.text)
        return spec

    def __enter__(self) -> "Mutation":
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        if self.loader is not None:
            self.loader.mutant.unlink(missing_ok=True)
