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


# Settings.

BAD_OPTIONS = [
    ({"loss": "hinge"}, says("loss='hinge'", "accepted is", "top1", "bpr-max")),
    ({"final_act": "elu"}, says("final_act='elu'", "softmax_logit", "elu-<X>")),
    ({"final_act": "leaky-a"}, says("final_act='leaky-a'", "leaky-<X>")),
    ({"final_act": "selu-1"}, says("final_act='selu-1'", "selu-<X>-<Y>")),
    ({"hidden_act": "softmax"}, says("hidden_act='softmax'", "tanh")),
    ({"layers": []}, says("layers=[]", "one or more")),
    ({"layers": [10, 0]}, says("layers=[10, 0]", "units")),
    ({"layers": 100}, says("layers=100", "list")),
    ({"batch_size": 0}, says("batch_size=0", "1 or more")),
    ({"n_epochs": 2.5}, says("n_epochs=2.5", "whole number")),
    ({"dropout_p_hidden": 1.0}, says("dropout_p_hidden=1.0", "0 <= p < 1")),
    ({"dropout_p_embed": -0.1}, says("dropout_p_embed=-0.1", "0 <= p < 1")),
    ({"learning_rate": "fast"}, says("learning_rate='fast'", "a number")),
    ({"learning_rate": float("inf")}, says("learning_rate=inf", "a number")),
    ({"momentum": float("nan")}, says("momentum=nan", "a number, 0 or more")),
    ({"lmbd": -1}, says("lmbd=-1", "0 or more")),
    ({"embedding": -5}, says("embedding=-5", "0 for none")),
    ({"embedding": 2.5}, says("embedding=2.5", "whole number", "'layersize' for layers[0]")),
    ({"embedding": "LayerSize"}, says("embedding='LayerSize'", "'layersize' for layers[0]")),
    ({"embedding": "50"}, says("embedding='50'", "whole number")),
    ({"logq": -0.5}, says("logq=-0.5", "0 for no correction")),
    ({"logq": float("nan")}, says("logq=nan", "a number")),
    ({"logq": True}, says("logq=True", "a number")),
    ({"logq": None}, says("logq=None", "a number")),
    ({"logq": "1"}, says("logq='1'", "a number")),
    ({"n_sample": True}, says("n_sample=True", "whole number")),
    ({"sample_alpha": None}, says("sample_alpha=None", "a number")),
    ({"smoothing": 1.5}, says("smoothing=1.5", "0 to 1")),
    ({"constrained_embedding": "yes"}, says("constrained_embedding='yes'", "True or False")),
    ({"adapt": "sgd"}, says("adapt='sgd'", "adagrad, rmsprop, adadelta, adam", "None")),
    ({"adapt": "adam"}, says("adapt_params=[]", "adapt='adam' takes 2")),
    ({"adapt": "rmsprop", "adapt_params": [0.9, 0.9]}, says("adapt_params=[0.9, 0.9]", "adapt='rmsprop' takes 1")),
    ({"adapt": "rmsprop", "adapt_params": [2.0]}, says("adapt_params=[2.0]", "0 to 1")),
    ({"grad_cap": -1}, says("grad_cap=-1", "0 for no cap")),
    ({"bpreg": "1"}, says("bpreg='1'", "a number")),
    ({"sigma": -0.1}, says("sigma=-0.1", "sqrt(6/(rows+cols))")),
    ({"time_sort": 2}, says("time_sort=2", "True or False")),
    ({"session_key": ""}, says("session_key=''", "column name")),
    ({"item_key": 3}, says("item_key=3", "column name")),
    ({"dtype": "float16"}, says("dtype='float16'", "float32 or float64")),
    ({"seed": -1}, says("seed=-1", "2**32-1")),
    ({"dropout_seed": 0}, says("dropout_seed=0", "1 to 2**31-1")),
    ({"backend": "theano"}, says("backend='theano'", "c or jax")),
    ({"device": "tpu"}, says("device='tpu'", "auto, cpu or gpu")),
]


@pytest.mark.parametrize("options, message", BAD_OPTIONS)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**options)
    model = GRU4Rec()
    before = model.get_params()
    # Text is read as it stands on a command line, which can turn it into something good.
    if not any(isinstance(value, str) for value in options.values()):
        with pytest.raises(ValueError, match=message):
            model.set_params(**options)
        assert model.get_params() == before


def test_options_that_do_not_go_together_are_warned_of():
    with pytest.warns(UserWarning, match=r"adadelta has no learning rate: learning_rate=0.1 is set to 1.0"):
        assert GRU4Rec(adapt="adadelta", adapt_params=[0.9]).learning_rate == 1.0
    with pytest.warns(UserWarning, match=says("loss='cross-entropy'", "final_act='softmax'", "not 'linear'")):
        GRU4Rec(loss="cross-entropy")


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("layers", "100/50", [100, 50]),
        ("layers", "7", [7]),
        ("batch_size", "64", 64),
        ("learning_rate", "0.05", 0.05),
        ("learning_rate", "1", 1.0),
        ("logq", "0", 0.0),
        ("logq", "0.5", 0.5),
        ("embedding", "layersize", "layersize"),
        ("embedding", "50", 50),
        ("embedding", "0", 0),
        ("momentum", "1e-1", 0.1),
        ("loss", "top1", "top1"),
        ("final_act", "elu-0.5", "elu-0.5"),
        ("adapt", "None", None),
        ("adapt", "", None),
        ("adapt_params", "", []),
        ("item_key", "None", "None"),
        *[("train_random_order", text, True) for text in ("True", "1")],
        *[("time_sort", text, False) for text in ("False", "0")],
    ],
)
def test_options_as_text(name, text, value):
    model = GRU4Rec()
    assert model.set_params(**{name: text}) is model
    found = getattr(model, name)
    assert found == value and type(found) is type(value)
    assert model.get_params() == GRU4Rec(**{name: value}).get_params()


def test_text_is_read_by_the_kind_of_the_default():
    model = GRU4Rec(momentum=0, embedding="layersize").set_params(momentum="0.5", embedding="7")
    assert (model.momentum, model.embedding) == (0.5, 7)


def test_adapt_params_as_text_are_floats():
    model = GRU4Rec().set_params(adapt="adam", adapt_params="0.9/0.999")
    assert (model.adapt, model.adapt_params) == ("adam", [0.9, 0.999])


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("n_layers", "3", says("'n_layers'", "no option", "layers")),
        ("time_sort", "yes", says("time_sort='yes'", "True, 1, False or 0")),
        ("time_sort", "true", says("time_sort='true'", "True, 1, False or 0")),
        ("layers", "100,50", says("layers='100,50'", "list")),
        ("layers", "", says("layers=[]", "one or more")),
        ("n_epochs", "2.5", says("n_epochs='2.5'", "whole number")),
        ("momentum", "much", says("momentum='much'", "a number")),
        ("logq", "much", says("logq='much'", "a number")),
        ("logq", "-1", says("logq=-1.0", "0 for no correction")),
        ("embedding", "wide", says("embedding='wide'", "'layersize'")),
        ("adapt_params", "a", says("adapt_params='a'", "list of numbers")),
        ("loss", "hinge", says("loss='hinge'", "top1")),
    ],
)
def test_bad_text_sets_nothing(name, text, message):
    model = GRU4Rec()
    with pytest.raises(ValueError, match=message):
        model.set_params(learning_rate="0.5", **{name: text})
    assert model.get_params() == GRU4Rec().get_params()


def test_options_changed_by_hand_are_checked_before_training():
    model = GRU4Rec(**SMALL)
    model.loss = "hinge"
    with pytest.raises(ValueError, match="loss='hinge'"):
        model.fit(FRAME)


def test_a_list_given_is_not_shared():
    layers = [5]
    model = GRU4Rec(layers=layers)
    layers.append(6)
    assert model.layers == [5]
    model.layers.append(7)
    assert GRU4Rec().layers == [100]


# Data.


@pytest.mark.parametrize(
    "frame, message",
    [
        (FRAME.drop(columns="Time"), says("data has no column 'Time'", "['SessionId', 'ItemId']")),
        (FRAME.drop(columns="ItemId"), says("data has no column 'ItemId'")),
        (FRAME.iloc[:0], says("data is empty", "at least one event")),
        (FRAME.assign(Time=[0, 1, np.nan, 3, np.nan, 5]), says("column 'Time'", "NaN", "2 rows", "row 2")),
        (FRAME.assign(ItemId=[5, 6, 5, None, 7, 6]), says("column 'ItemId'", "NaN", "row 3")),
        (FRAME.assign(SessionId=[None, 1, 2, 2, 3, 3]), says("column 'SessionId'", "NaN", "row 0")),
        (FRAME.iloc[:2], says("batch_size=2", "only 1 sessions", "at most that")),
        (FRAME.drop_duplicates("SessionId"), says("every one of the 3 sessions has a single event")),
    ],
)
@pytest.mark.parametrize("retrain", [False, True])
def test_training_data(gru, frame, message, retrain):
    before = gru.get_weights(), gru.itemidmap
    with pytest.raises(ValueError, match=message):
        gru.fit(frame, retrain=retrain)
    assert gru.itemidmap is before[1]
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight, before[0][name])


def test_training_data_must_be_a_frame():
    with pytest.raises(TypeError, match="data is a list: accepted is a pandas DataFrame"):
        GRU4Rec(**SMALL).fit([1, 2])


@pytest.mark.parametrize("value", [-1, 2.5, "many", None])
def test_sample_store(value):
    with pytest.raises(ValueError, match=says(f"sample_store={value!r}", "whole number")):
        GRU4Rec(**SMALL).fit(FRAME, sample_store=value)


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


# Model files.


@pytest.fixture
def model_file(gru, tmp_path):
    gru.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("size", [-1, -100, 200, 8, 5, 0])
def test_a_truncated_model_file(model_file, size):
    model_file.write_bytes(model_file.read_bytes()[:size])
    with pytest.raises(ValueError, match=says(f"path={str(model_file)!r}", "damaged", "written by save")):
        GRU4Rec.load(model_file)


def test_files_that_are_no_model_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=says(f"path={str(tmp_path / 'none')!r}", "no such model file")):
        GRU4Rec.load(tmp_path / "none")
    (tmp_path / "pickle").write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.")
    with pytest.raises(ValueError, match="not a model file, or damaged"):
        GRU4Rec.load(tmp_path / "pickle")
    save_file({"weight/Wy": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(ValueError, match=says("format None", "accepted is 'gru4rec-original-1'")):
        GRU4Rec.load(tmp_path / "other")


def edited(path, change):
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["gru4rec"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    change(tensors, header)
    save_file(tensors, path, {"gru4rec": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, h: t.update({"weight/Wh0": np.zeros((2, 3), "f")}), says("weight/Wh0 has shape (2, 3)", "(3, 3)")),
        (lambda t, h: t.update({"weight/Wy": np.zeros((4, 3), "f")}), says("weight/Wy has shape (4, 3)", "(3, 3)")),
        (lambda t, h: t.update({"state/acc/By": np.zeros(3, "f")}), says("state/acc/By has shape (3,)", "(3, 1)")),
        (lambda t, h: t.pop("weight/By"), says("weight/By has shape None", "(3, 1)")),
        (lambda t, h: t.update(items=np.arange(2)), says("items has shape (2,)", "(3,)")),
        (lambda t, h: h["params"].update(layers=[4]), says("has shape", "the file's settings make it")),
        (lambda t, h: h["params"].update(loss="hinge"), "loss='hinge'"),
        (lambda t, h: h["params"].update(n_layers=1), says("unknown options ['n_layers']", "accepted are")),
        (lambda t, h: h.update(format="another"), says("format 'another'", "accepted is")),
        (lambda t, h: h.pop("params"), says("path=", "params is missing")),
        (lambda t, h: h.pop("n_items"), says("path=", "n_items is missing")),
        (lambda t, h: t.pop("stream/position"), says("path=", "stream/", "is missing")),
        (lambda t, h: t.pop("dropout/0"), says("path=", "dropout/0 is missing")),
        (lambda t, h: t.update(support=np.arange(7)), says("path=", "support has shape (7,)", "(3,)")),
    ],
)
def test_model_files_of_another_shape(model_file, change, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec.load(edited(model_file, change))


def test_item_ids_that_a_file_cannot_hold(gru, tmp_path, monkeypatch):
    dates = pd.Index(pd.date_range("2014-04-01", periods=3))
    monkeypatch.setattr(gru, "itemidmap", pd.Series(range(3), index=dates))
    with pytest.raises(ValueError, match="item ids of type Timestamp: accepted in a model file are numbers and texts"):
        gru.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_resuming(gru, model_file):
    with pytest.raises(RuntimeError, match="resume=True: this model was not loaded"):
        gru.fit(FRAME, resume=True)
    loaded = GRU4Rec.load(model_file)
    with pytest.raises(ValueError, match=says("its items are not those", "resume=True needs the same data")):
        loaded.fit(FRAME.assign(ItemId=FRAME["ItemId"] + 1), resume=True)
    with pytest.raises(ValueError, match=says("supports are not those", "resume=True needs the same data")):
        loaded.fit(pd.concat([FRAME, FRAME.assign(Time=FRAME["Time"] + 10)]), resume=True)
    # A refusal changes nothing: the right data still goes on.
    np.testing.assert_array_equal(loaded.support, [2, 2, 2])
    loaded.fit(FRAME, resume=True)
    assert loaded.epochs_done == 1


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
