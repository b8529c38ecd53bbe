"""The layers of GRU4Rec. Each computes one step for M lanes; the recurrent state is an argument and a result.

Item tables (``Wx0`` or ``E``, ``Wy`` and ``By``) are read through ``lookup`` and computed with in ``call``: training
differentiates with respect to the looked-up rows, so that neither a gradient nor an update is ever of the size of the
table.
"""

from typing import Any

import keras
from keras import ops

from keras_port import activations
from keras_port.distribution import Split


class _WeightedLayer(keras.layers.Layer):
    """A layer whose weights carry the names of the paper's implementation and start at zero until they are drawn.

    split: how item tensors lie on devices; it is no part of a layer's configuration, nor are rows that fill it up.
    """

    def __init__(self, split: Split | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.split = split or Split(0)

    def _weight(self, name: str, shape: tuple[int, ...], by_rows: bool = False) -> keras.Variable:
        if self.split.devices == 1:
            return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=True)
        return self.split.zeros(shape, self.variable_dtype, name, by_rows, trainable=True)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights into a Keras file, by number."""
        for number, variable in enumerate(self.weights):
            store[str(number)] = self.split.read(variable)

    def load_own_variables(self, store: Any) -> None:
        """Take the weights from a Keras file. Raises ValueError where they are others."""
        if len(store.keys()) != len(self.weights):
            raise ValueError(f"{self.name} has {len(self.weights)} weights, the file {len(store.keys())}")
        for number, variable in enumerate(self.weights):
            values = store[str(number)]
            if tuple(values.shape) != self.split.shape(variable):
                raise ValueError(f"{variable.name} has shape {self.split.shape(variable)}, in the file {values.shape}")
            self.split.assign(variable, values)


@keras.saving.register_keras_serializable(package="keras_port")
class ItemTable(_WeightedLayer):
    """One row an item: an embedding ``E``, or the first layer's input weights ``Wx0`` when items enter it directly.

    Input: (M,) item indices. Output: (M, width).
    """

    def __init__(self, n_items: int, width: int, weight_name: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.n_items, self.width, self.weight_name = n_items, width, weight_name
        self.table = self._weight(weight_name, (n_items, width), by_rows=True)
        self.built = True

    def lookup(self, indices: Any) -> Any:
        """The rows of ``indices``."""
        return self.split.take(self.table, indices)

    def call(self, indices: Any) -> Any:
        return self.lookup(indices)

    def get_config(self) -> dict[str, Any]:
        config = {"n_items": self.n_items, "width": self.width, "weight_name": self.weight_name}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_port")
class DwellTable(_WeightedLayer):
    """``D``: what each bucket of dwell time adds to the first layer's input part v (:mod:`keras_port.dwell`).

    Input: (M,) buckets 0..n_buckets. Output: (M, width), width = 3*L_0.
    """

    def __init__(self, n_buckets: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n_buckets, self.width = n_buckets, width
        self.table = self._weight("D", (n_buckets + 1, width))
        self.built = True

    def call(self, buckets: Any) -> Any:
        # a product, not a look-up: its gradient is one too, where a look-up's adds up the rows one by one
        return ops.one_hot(buckets, self.n_buckets + 1, dtype=self.table.dtype) @ self.table

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_buckets": self.n_buckets, "width": self.width}


@keras.saving.register_keras_serializable(package="keras_port")
class SessionGRU(_WeightedLayer):
    """A GRU step whose reset gate acts before the matrix product (Cho et al. 2014), not after it as in cuDNN.

    With v = x·Wx + Bh and column blocks candidate | reset | update:

        r = sigmoid(v_reset + H·Wrz_reset)      z = sigmoid(v_update + H·Wrz_update)
        c = hidden_act((H*r)·Wh + v_candidate)  h = (1 - z)*H + z*c

    Inputs: x (M, input_width), or v - Bh itself (M, 3*units) when ``input_width`` is None; H (M, units); ``added`` (M,
    3*units), added to v. Output: (M, units).
    """

    def __init__(self, units: int, input_width: int | None, hidden_act: str, index: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.input_width, self.hidden_act, self.index = units, input_width, hidden_act, index
        self.activation = activations.hidden(hidden_act)
        self.Wx = None if input_width is None else self._weight(f"Wx{index}", (input_width, 3 * units))
        self.Wh = self._weight(f"Wh{index}", (units, units))
        self.Wrz = self._weight(f"Wrz{index}", (units, 2 * units))
        self.Bh = self._weight(f"Bh{index}", (3 * units,))
        self.built = True

    def call(self, x: Any, H: Any, added: Any = None) -> Any:
        v = (x if self.Wx is None else x @ self.Wx) + self.Bh
        v = v if added is None else v + added
        gates = ops.sigmoid(v[:, self.units :] + H @ self.Wrz)
        r, z = gates[:, : self.units], gates[:, self.units :]
        c = self.activation((H * r) @ self.Wh + v[:, : self.units])
        return (1.0 - z) * H + z * c

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "input_width": self.input_width,
            "hidden_act": self.hidden_act,
            "index": self.index,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_port")
class ItemScorer(_WeightedLayer):
    """Scores of items: final_act(h·Wyᵀ + By).

    Inputs: h (M, units); rows of Wy (N, units) and of By (N, 1), all of them by default, then with those that fill a
    split table up. Output: (M, N).
    ``columns`` (1, N) bool: columns that a softmax counts; all by default.
    """

    def __init__(self, n_items: int, units: int, final_act: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.n_items, self.units, self.final_act = n_items, units, final_act
        self.activation = activations.final(final_act)
        self.Wy = self._weight("Wy", (n_items, units), by_rows=True)
        self.By = self._weight("By", (n_items, 1), by_rows=True)
        self.built = True

    def lookup(self, indices: Any) -> tuple[Any, Any]:
        """The rows of ``indices`` in Wy and in By."""
        rows = self.split.take_all({"Wy": self.Wy, "By": self.By}, {"Wy": indices, "By": indices})
        return rows["Wy"], rows["By"]

    def call(self, h: Any, Wy: Any = None, By: Any = None, columns: Any = None, training: bool = False) -> Any:
        if Wy is None:
            Wy, By, columns = self.Wy, self.By, self.split.real_columns()
        return self.activation(h @ ops.transpose(Wy) + ops.transpose(By), columns, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_items": self.n_items, "units": self.units, "final_act": self.final_act}
