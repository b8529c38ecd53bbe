"""Compiled programs, one for all models that are alike.

A program is a function ``function(model, state, inputs) -> (changed state, results)``. What it computes depends on the
model's settings and sizes only, so models of the same settings share it, and nothing of a model stays behind in it; the
numbers among the settings may be inputs (:mod:`keras_port.numbers`), and models that differ by them share it too.
Those used last are kept; what an XLA program of TensorFlow has taken is never given back, which is why sizes that vary
from call to call are rounded up to few (:func:`rounded`).
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import keras
import numpy as np

from keras_port import backend, numbers
from keras_port.model import SessionModel
from keras_port.settings import Settings

MOST = 256  # more than the sizes that are asked for: one that is forgotten is compiled, and takes memory, again

# options that no program depends on, at their defaults
_SHAPELESS = {
    name: getattr(Settings(), name)
    for name in ("n_epochs", "seed", "dropout_seed", "session_key", "item_key", "time_key", "train_random_order")
    + ("time_sort", "sigma", "init_as_normal", "steps_per_call", "dwell_weight")
}
_programs: OrderedDict[Hashable, Callable] = OrderedDict()
_lock = Lock()
_running: ContextVar[SessionModel] = ContextVar("running")


def run(
    function: Callable,
    model: SessionModel,
    variables: Mapping[str, keras.Variable],
    inputs: Mapping[str, np.ndarray],
    jit: bool = True,
) -> Any:
    """Run ``function`` on a model, compiled once for all models alike; store what it changes, return its results.

    Args:
        function: of a module, or ``functools.partial`` of one with arguments that can be hashed.
        model: its layers compute.
        variables: the state by name: what the function reads, and may change.
        inputs: arrays by name.
        jit: False where shapes vary from call to call, so that compiling by XLA would not pay.
    """
    shapes = None if backend.RELAXES_SHAPES and not jit else frozenset((n, np.shape(v)) for n, v in inputs.items())
    jit = jit and model.settings.jit_compile
    is_reading = isinstance(function, partial) and function.func is _read
    shaping = _shaping(model.settings, is_reading or numbers.NAME in inputs)
    key = (_named(function), model.n_items, shaping, jit, shapes)
    with _lock:
        program = _programs.pop(key, None) or _compiled(function, jit)
        _programs[key] = program
        while len(_programs) > MOST:
            _programs.popitem(last=False)
    token = _running.set(model)
    try:
        return program(variables, inputs)
    finally:
        _running.reset(token)


def read(function: Callable, model: SessionModel, inputs: Mapping[str, np.ndarray], jit: bool = True) -> Any:
    """The results of ``function(model, inputs)``, which reads the weights and changes nothing; see :func:`run`."""
    return run(partial(_read, function), model, model.named_weights, inputs, jit)


def rounded(size: int) -> int:
    """The next size that programs are compiled for: at most an eighth above, and eight of them from k to 2k."""
    step = 1 << max(0, int(size - 1).bit_length() - 4)
    return -(-size // step) * step


def forget() -> None:
    """Forget all compiled programs, after a function that they were compiled from has been replaced."""
    with _lock:
        _programs.clear()


@lru_cache(maxsize=MOST)
def _shaping(settings: Settings, numbers_given: bool) -> Settings:
    """The settings that a program depends on; of the numbers only which are 0, where it needs or gets no more."""
    return settings.replaced(**_SHAPELESS, **(numbers.standing_in(settings) if numbers_given else {}))


def _compiled(function: Callable, jit: bool) -> Callable:
    # traced with the model that runs; the closure holds none
    return backend.compile_program(lambda state, inputs: function(_running.get(), state, inputs), jit)


def _read(function: Callable, model: SessionModel, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple:
    with model.using(state):
        return {}, function(model, {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()})


def _named(function: Callable) -> Hashable:
    if isinstance(function, partial):
        inner = (_named(part) if callable(part) else part for part in function.args)
        return _named(function.func), *inner, *sorted(function.keywords.items())
    return function.__module__, function.__qualname__
