"""GRU4Rec v2 in Keras 3: TensorFlow by default, JAX or PyTorch by ``KERAS_BACKEND``."""

from keras_port import backend
from keras_port.gru4rec import GRU4Rec

__all__ = ["GRU4Rec", "backend"]
