"""Activation functions against their definitions."""

import numpy as np
import pytest
from keras import ops

from keras_port import activations, backends


@pytest.mark.parametrize(
    ("name", "below", "above"), [("relu", 0.0, 1.0), ("leaky-0.1", 0.1, 1.0), ("elu-0.5", 0.5, 1.0)]
)
def test_the_derivative_at_zero_is_that_of_the_branch_from_zero_on(name, below, above):
    act = activations.hidden(name)
    points = ops.convert_to_tensor(np.array([-1e-9, 0.0, 1e-9], np.float32))
    _, _, gradients = backends.value_and_gradients(lambda given: (ops.sum(act(given["x"])), None), {"x": points})
    assert backends.to_numpy(gradients["x"]) == pytest.approx([below, above, above], abs=1e-6)
