"""The two engines by name. Each is imported when it is asked for, and not before."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Callable, Iterator

_MODULES = {
    "original": ("original.gru4rec", "original.evaluation"),
    "keras": ("keras_port", "keras_port.evaluation"),
}
ENGINES = tuple(_MODULES)


@dataclass(frozen=True)
class Engine:
    name: str
    model: type  # the GRU4Rec class
    evaluate: Callable  # evaluate_gpu

    @classmethod
    def named(cls, name: str) -> "Engine":
        """Raises ImportError when what the engine needs is not installed."""
        model, evaluation = _MODULES[name]
        try:
            with _native_messages_hidden():
                return cls(name, import_module(model).GRU4Rec, import_module(evaluation).evaluate_gpu)
        except ImportError as error:
            raise ImportError(f"--engine {name}: {error}") from error

    def create(self, params: dict[str, Any], overrides: dict[str, str]) -> Any:
        """A model with constructor options ``params``, then ``overrides`` by ``set_params``.

        Raises ValueError for a name or a value that is not accepted.
        """
        gru = self.model(**params)
        gru.set_params(**overrides)
        return gru


@contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Nothing reaches file descriptor 2, unless the user asks for all messages by TF_CPP_MIN_LOG_LEVEL=0.

    TensorFlow's native code writes six lines there while it is imported, which no setting of its own hides.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)
