"""Bad input ends in an error that names the parameter, the value and what is accepted, before any work starts."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from original import backend as backends
from original import evaluation
from original.gru4rec import GRU4Rec

FRAME = pd.DataFrame({"SessionId": [1, 1, 2, 2, 3, 3], "ItemId": [5, 6, 5, 7, 7, 6], "Time": range(6)})
SMALL = dict(layers=[3], batch_size=2, n_sample=2, n_epochs=1, dropout_p_hidden=0.2)


@pytest.fixture(scope="module")
def gru(uncompiled):
    """A model before its first step; nothing here is worth compiling C code for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "c_mode", lambda: uncompiled)
        model = GRU4Rec(**SMALL)
        model.prepare(FRAME, 6)
        yield model


def says(*parts):
    """A pattern: these texts in this order."""
    return ".*".join(map(re.escape, parts))


# Before the model has weights.


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.n_items,
        lambda model: model.get_weights(),
        lambda model: model.get_hidden(),
        lambda model: model.batches(),
        lambda model: model.predict_next_batch([1], [5], batch=1),
        lambda model: model.scores([0], [np.zeros((1, 3))]),
        lambda model: model.train_step([0], [0, 0, 0], [False]),
        lambda model: model.save("model"),
        lambda model: model.fit(FRAME, retrain=True),
        lambda model: model.fit(FRAME, resume=True),
        lambda model: evaluation.evaluate_gpu(model, FRAME),
        lambda model: evaluation.evaluate_sessions_batch(model, FRAME),
    ],
)
def test_a_model_without_weights(call):
    with pytest.raises(RuntimeError, match="the model has no (weights|items|data) yet: call fit"):
        call(GRU4Rec(**SMALL))


# Prediction and steps.


def test_prediction(gru):
    with pytest.raises(ValueError, match=says("input_item_ids 99", "not among the 3 items")):
        gru.predict_next_batch([1, 2], [5, 99], batch=2)
    with pytest.raises(ValueError, match=says("predict_for_item_ids 8, 9", "not among the 3 items")):
        gru.predict_next_batch([1, 2], [5, 6], [8, 5, 9], batch=2)
    with pytest.raises(ValueError, match=says("input_item_ids", "and 2 more")):
        gru.predict_next_batch(range(7), range(80, 87), batch=7)
    with pytest.raises(ValueError, match=says("len(session_ids)=2, len(input_item_ids)=3", "batch=3")):
        gru.predict_next_batch([1, 2], [5, 6, 7], batch=3)
    with pytest.raises(ValueError, match=says("len(session_ids)=2", "batch=100")):
        gru.predict_next_batch([1, 2], [5, 6])


def test_scores(gru):
    for X in ([0, 3], [-1, 0], []):
        with pytest.raises(ValueError, match=says("X: accepted are one or more item indices, 0 to 2")):
            gru.scores(X, [np.zeros((len(X), 3))])
    with pytest.raises(ValueError, match=says("items: accepted are", "0 to 2")):
        gru.scores([0], [np.zeros((1, 3))], [3])
    with pytest.raises(ValueError, match=says("[(1, 4)]", "accepted is [(1, 3)]")):
        gru.scores([0], [np.zeros((1, 4))])


def test_scores_of_no_items(gru):
    with pytest.raises(ValueError, match=says("items: accepted are one or more item indices")):
        gru.scores([0], [np.zeros((1, 3))], [])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0, 3], [1, 2, 0, 0], [False] * 2), says("X holds 0 to 3", "indices 0 to 2")),
        (([0, 1], [1, 2, 0, -1], [False] * 2), says("Y holds -1 to 2", "indices 0 to 2")),
        (([0], [1, 2, 0], [False]), says("X has 1 lanes, the hidden state 2, batch_size is 2")),
        (([0, 1], [1, 2, 0], [False] * 2), says("len(Y)=3, len(R)=2", "4 (lanes + n_sample) and 2")),
        (([0, 1], [1, 2, 0, 0], [False]), says("len(Y)=4, len(R)=1")),
        (([0, 1], [1, 2, 0, 0], [False] * 2, [np.ones((2, 4))]), says("masks of shapes [(2, 4)]", "[(2, 3)]")),
        (([0, 1], [1, 2, 0, 0], [False] * 2, []), says("masks of shapes []", "[(2, 3)]")),
    ],
)
def test_steps(gru, arguments, message):
    gru.set_hidden([np.zeros((2, 3))])
    with pytest.raises(ValueError, match=message):
        gru.train_step(*arguments)


def test_state_by_name(gru):
    before = gru.get_weights()
    with pytest.raises(ValueError, match=says("'W' is no weight", "Wx0", "By")):
        gru.set_weights({"Wh0": np.ones((3, 3)), "W": np.zeros(3)})
    with pytest.raises(ValueError, match=says("weight 'Wh0' of shape (2, 3)", "(3, 3)")):
        gru.set_weights({"By": np.ones((3, 1)), "Wh0": np.zeros((2, 3))})
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight, before[name])
    with pytest.raises(ValueError, match=says("'vel/Wy' is no optimizer state", "acc/Wy")):
        gru.set_optimizer_state({"vel/Wy": np.zeros((3, 3))})
    with pytest.raises(ValueError, match=says("[(3, 3)]", "up to 2 lanes")):
        gru.set_hidden([np.zeros((3, 3))])
    with pytest.raises(ValueError, match=says("[(2, 4)]", "[3] units")):
        gru.set_hidden([np.zeros((2, 4))])


# Evaluation.


@pytest.mark.parametrize("evaluate", [evaluation.evaluate_gpu, evaluation.evaluate_sessions_batch])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "best"}, says("mode='best'", "standard, conservative, median, tiebreaking")),
        ({"cut_off": 0}, says("cut_off=0", "1 or more")),
        ({"cut_off": 2.5}, says("cut_off=2.5", "whole number")),
        ({"cut_off": True}, says("cut_off=True", "whole number")),
        ({"cut_off": [20, -1]}, says("cut_off=[20, -1]", "1 or more")),
        ({"cut_off": []}, says("cut_off=[]", "1 or more")),
        ({"batch_size": 0}, says("batch_size=0", "1 or more")),
        ({"items": [5, 99]}, says("99", "not among the 3 items")),
        ({"item_key": "article"}, says("test_data has no column 'article'")),
        ({"test_data": FRAME.assign(ItemId=0)}, says("test_data: no session has two events", "nothing to predict")),
        ({"test_data": FRAME.iloc[:0]}, says("test_data is empty")),
        ({"test_data": FRAME.assign(Time=np.nan)}, says("test_data: column 'Time'", "NaN")),
    ],
)
def test_evaluation(gru, evaluate, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(gru, **{"test_data": FRAME} | options)


def test_evaluation_of_baselines():
    with pytest.raises(ValueError, match="cut_off=0"):
        evaluation.evaluate_sessions(None, FRAME, FRAME, cut_off=0)
    with pytest.raises(ValueError, match="train_data has no column 'ItemId'"):
        evaluation.evaluate_sessions(None, FRAME, FRAME.drop(columns="ItemId"))
    with pytest.raises(ValueError, match="no session has two events"):
        evaluation.evaluate_sessions(None, FRAME, FRAME.assign(ItemId=0))


# Where it runs.


def test_the_gpu_needs_jax():
    with pytest.raises(ValueError, match="device='gpu' needs backend='jax'"):
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
