"""Activation functions against their definitions."""

import numpy as np
import pytest
from keras import ops

from keras_port import activations, backend


@pytest.mark.parametrize(
    ("name", "below", "above"), [("relu", 0.0, 1.0), ("leaky-0.1", 0.1, 1.0), ("elu-0.5", 0.5, 1.0)]
)
def test_the_derivative_at_zero_is_that_of_the_branch_from_zero_on(name, below, above):
    act = activations.hidden(name)
    points = ops.convert_to_tensor(np.array([-1e-9, 0.0, 1e-9], np.float32))
    _, _, gradients = backend.value_and_gradients(lambda given: (ops.sum(act(given["x"])), None), {"x": points})
    assert backend.to_numpy(gradients["x"]) == pytest.approx([below, above, above], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("linear", lambda x: x),
        ("tanh", np.tanh),
        ("leaky-0.2", lambda x: np.where(x >= 0, x, 0.2 * x)),
        ("elu-0.5", lambda x: np.where(x >= 0, x, 0.5 * np.expm1(x))),
        ("selu-1.5-0.5", lambda x: 1.5 * np.where(x >= 0, x, 0.5 * np.expm1(x))),
    ],
)
def test_values(name, wanted):
    x = np.linspace(-3, 3, 13).astype(np.float32)
    found = activations.hidden(name)(ops.convert_to_tensor(x))
    np.testing.assert_allclose(backend.to_numpy(found), wanted(x), rtol=1e-5)


def test_softmax_counts_the_marked_columns_only():
    scores, columns = np.array([[1.0, 2.0, 50.0]]), np.array([[True, True, False]])
    found = backend.to_numpy(activations.softmax(ops.convert_to_tensor(scores), ops.convert_to_tensor(columns)))
    np.testing.assert_allclose(found, [[1 / (1 + np.e), np.e / (1 + np.e), 0]], rtol=1e-6)
