"""What Keras leaves to its backend: gradients, and compiling a function whose state stays in place.

And ``tanh``, which ``keras.ops`` rounds to float32 outside TensorFlow. One module a backend, with the same functions;
everything else in this package is written in ``keras.ops``.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")


def _chosen_by() -> str:
    """Where Keras took its backend's name from: the variable, or the file."""
    if os.environ.get("KERAS_BACKEND"):
        return "the environment variable KERAS_BACKEND"
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return f"the file {Path(home, 'keras.json')} (the environment variable KERAS_BACKEND goes before it)"


try:
    import keras
except ValueError as fault:  # Keras' own error names no file
    raise ImportError(f"{fault}: {', '.join(BACKENDS)} are accepted; the name is taken from {_chosen_by()}") from fault

NAME: str = keras.backend.backend()

if NAME == "tensorflow":
    from keras_port.backend.tensorflow import (
        RELAXES_SHAPES,
        compile_program,
        scatter_add,
        scatter_set,
        tanh,
        use_float64,
        value_and_gradients,
    )
elif NAME == "jax":
    from keras_port.backend.jax import (
        RELAXES_SHAPES,
        compile_program,
        scatter_add,
        scatter_set,
        tanh,
        use_float64,
        value_and_gradients,
    )
elif NAME == "torch":
    from keras_port.backend.torch import (
        RELAXES_SHAPES,
        compile_program,
        scatter_add,
        scatter_set,
        tanh,
        use_float64,
        value_and_gradients,
    )
else:
    raise ImportError(f"backend {NAME!r}: {', '.join(BACKENDS)} are accepted; the name is taken from {_chosen_by()}")

__all__ = [
    "BACKENDS",
    "NAME",
    "RELAXES_SHAPES",
    "compile_program",
    "scatter_add",
    "scatter_set",
    "tanh",
    "to_numpy",
    "use_float64",
    "value_and_gradients",
]


def to_numpy(tensor: Any) -> np.ndarray:
    """A NumPy copy of a tensor or variable; never a view of memory that a later step reuses."""
    return np.array(keras.ops.convert_to_numpy(tensor))
