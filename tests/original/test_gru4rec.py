"""What the facade refuses, by name, and where it runs; options and frames are tested over both engines."""

import re

import numpy as np
import pandas as pd
import pytest

from original.graphs import backends
from original.gru4rec import GRU4Rec

FRAME = pd.DataFrame({"SessionId": [1, 1, 2, 2, 3, 3], "ItemId": [5, 6, 5, 7, 7, 6], "Time": range(6)})
SMALL = dict(layers=[3], batch_size=2, n_sample=2, n_epochs=1, dropout_p_hidden=0.2)


@pytest.fixture(scope="module")
def gru(without_compiler):
    """A model before its first step; nothing here is worth compiling C code for."""
    with pytest.MonkeyPatch.context() as patch:
        without_compiler(patch)
        model = GRU4Rec(**SMALL)
        model.prepare(FRAME, 6)
        yield model


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0, 3], [1, 2, 0, 0], [False] * 2), "X names item index 0..3: 0..2 are accepted"),
        (([0, 1], [1, 2, 0, -1], [False] * 2), "Y names item index -1..2: 0..2 are accepted"),
        (([0, 1.5], [1, 2, 0, 0], [False] * 2), "X has shape (2,) and type float64: a vector of integers is accepted"),
        (([0], [1, 2, 0], [False]), "X, Y, R have 1, 3, 1 entries: 2 lanes, "),
        (([0, 1], [1, 2, 0, 0], [False]), "X, Y, R have 2, 4, 1 entries: 2 lanes, "),
        (([0, 1], [1, 2, 0], [False] * 2), "Y has 3 entries: 4, lanes + n_sample, are accepted"),
        (([0, 1], [1, 2, 0, 0], [False] * 2, [np.ones((2, 4))]), "masks of shapes [(2, 4)]: [(2, 3)] are accepted"),
        (([0, 1], [1, 2, 0, 0], [False] * 2, []), "masks of shapes []: [(2, 3)] are accepted"),
    ],
)
def test_steps(gru, arguments, message):
    gru.set_hidden([np.zeros((2, 3))])
    with pytest.raises(ValueError, match=re.escape(message)):
        gru.train_step(*arguments)


def test_state_by_name_is_set_whole_or_not_at_all(gru):
    before = gru.get_weights()
    with pytest.raises(ValueError, match="weights: unknown name 'W', Wx0, .*By are accepted"):
        gru.set_weights({"Wh0": np.ones((3, 3)), "W": np.zeros(3)})
    with pytest.raises(ValueError, match=r"weights\['Wh0'\] has shape \(2, 3\): \(3, 3\) is accepted"):
        gru.set_weights({"By": np.ones((3, 1)), "Wh0": np.zeros((2, 3))})
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight, before[name])
    with pytest.raises(ValueError, match="state: unknown name 'vel/Wy', acc/Wx0, "):
        gru.set_optimizer_state({"vel/Wy": np.zeros((3, 3))})
    for rows, units in ((3, 3), (2, 4), (0, 3)):
        with pytest.raises(ValueError, match="^hidden has "):
            gru.set_hidden([np.zeros((rows, units))])


def test_an_attribute_that_is_no_option(gru):
    with pytest.raises(AttributeError, match="'GRU4Rec' object has no attribute 'n_layers'"):
        _ = gru.n_layers


# Where it runs.


def test_the_gpu_needs_jax():
    with pytest.raises(ValueError, match="device='gpu': auto or cpu with backend='c' is accepted"):
        GRU4Rec(**SMALL, device="gpu").fit(FRAME)


def test_a_gpu_that_is_not_there():
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("JAX sees a GPU")
    with pytest.raises(RuntimeError, match="device='gpu': JAX sees no GPU"):
        GRU4Rec(**SMALL, backend="jax", device="gpu").fit(FRAME)


def test_jax_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"backend='jax' needs JAX.*pip install"):
        GRU4Rec(**SMALL, backend="jax").fit(FRAME)
