"""Bad input ends in an error that names it, before any work starts."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from keras_port import GRU4Rec, evaluation

FRAME = pd.DataFrame({"SessionId": [1, 1, 2, 2, 3, 3], "ItemId": [5, 6, 5, 7, 7, 6], "Time": range(6)})
SMALL = {"layers": [3], "batch_size": 2, "n_sample": 2, "n_epochs": 1, "jit_compile": False}


@pytest.fixture(scope="module")
def gru():
    model = GRU4Rec(**SMALL)
    model.prepare(FRAME, 0)
    return model


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss": "hinge"}, "loss='hinge'.*'top1'"),
        ({"final_act": "elu"}, "final_act='elu'.*elu-X"),
        ({"final_act": "leaky-a"}, "final_act='leaky-a'"),
        ({"hidden_act": "softmax"}, "hidden_act='softmax'"),
        ({"adapt": "sgd"}, "adapt='sgd'.*'adagrad'"),
        ({"adapt": "adam", "adapt_params": [0.9]}, "adapt_params.*2 decay"),
        ({"layers": []}, r"layers=\[\]"),
        ({"layers": [0]}, r"layers=\[0\]"),
        ({"dropout_p_hidden": 1.0}, "dropout_p_hidden=1.0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"momentum": float("nan")}, "momentum=nan"),
        ({"n_sample": -1}, "n_sample=-1"),
        ({"batch_size": 1, "n_sample": 0}, "batch_size=1"),
        ({"time_sort": "yes"}, "time_sort='yes'"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"seed": -1}, "seed=-1"),
        ({"steps_per_call": 0}, "steps_per_call=0"),
        ({"jit_compile": "no"}, "jit_compile='no'"),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**options)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_layers": "3"}, "unknown parameter 'n_layers'"),
        ({"time_sort": "yes"}, "time_sort='yes'.*True, 1"),
        ({"layers": "100,50"}, "layers='100,50'"),
        ({"n_epochs": "2.5"}, "n_epochs='2.5'"),
    ],
)
def test_set_params(params, message):
    gru = GRU4Rec()
    with pytest.raises(ValueError, match=message):
        gru.set_params(learning_rate="0.5", **params)
    assert gru.learning_rate == 0.1  # nothing was set


@pytest.mark.parametrize(
    "frame, message",
    [
        (FRAME.drop(columns="Time"), r"no column \['Time'\]"),
        (FRAME.iloc[:0], "no rows"),
        (FRAME.assign(Time=[0, 1, np.nan, 3, 4, 5]), r"data\['Time'\] is empty \(NaN\) in row 2"),
        (FRAME.assign(ItemId=[5, 6, None, 7, 7, 6]), r"data\['ItemId'\]"),
        (FRAME.iloc[:2], "batch_size=2 is more than the 1 sessions"),
        (FRAME.drop_duplicates("SessionId"), "one event only"),
    ],
)
def test_training_data(frame, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**SMALL).fit(frame)


def test_training_data_must_be_a_frame():
    with pytest.raises(TypeError, match="data is a list"):
        GRU4Rec(**SMALL).fit([1, 2])


@pytest.mark.parametrize("call", ["get_weights", "get_hidden", "batches", "recommend"])
def test_nothing_fitted(call):
    with pytest.raises(ValueError, match="call"):
        getattr(GRU4Rec(), call)(*([[1]] if call == "recommend" else []))


def test_fit_arguments(gru, tmp_path):
    with pytest.raises(ValueError, match="sample_store=-1"):
        GRU4Rec(**SMALL).fit(FRAME, sample_store=-1)
    with pytest.raises(ValueError, match="one of the two"):
        GRU4Rec(**SMALL).fit(FRAME, retrain=True, resume=True)
    gru.save(tmp_path / "model")
    with pytest.raises(ValueError, match="began with 0"):
        GRU4Rec.load(tmp_path / "model").fit(FRAME, sample_store=10, resume=True)
    with pytest.raises(ValueError, match="items of the data"):
        GRU4Rec.load(tmp_path / "model").fit(FRAME.assign(ItemId=FRAME["ItemId"] + 1), sample_store=0, resume=True)
    with pytest.raises(ValueError, match="never been fitted"):
        built = GRU4Rec(**SMALL)
        built.build(3)
        built.fit(FRAME, resume=True)


def test_prediction(gru):
    with pytest.raises(ValueError, match="input_item_ids: item .*99.* is not among the 3 items"):
        gru.predict_next_batch([1, 2], [5, 99], batch=2)
    with pytest.raises(ValueError, match="predict_for_item_ids: item"):
        gru.predict_next_batch([1, 2], [5, 6], [8], batch=2)
    with pytest.raises(ValueError, match=r"session_ids has shape \(2,\): batch=3"):
        gru.predict_next_batch([1, 2], [5, 6, 7], batch=3)


def test_steps(gru):
    hidden = [np.zeros((2, 3))]
    gru.set_hidden(hidden)
    with pytest.raises(ValueError, match="X names item index 0..3: 0..2"):
        gru.train_step([0, 3], [1, 2, 0, 0], [False, False])
    with pytest.raises(ValueError, match="2 lanes"):
        gru.train_step([0], [1, 2], [False])
    with pytest.raises(ValueError, match="masks of shapes"):
        gru.train_step([0, 1], [1, 2, 0, 0], [False, False], masks=[np.ones((2, 3), bool)])
    with pytest.raises(ValueError, match="hidden has 3 rows: at most batch_size=2"):
        gru.set_hidden([np.zeros((3, 3))])
    with pytest.raises(ValueError, match="hidden has shapes"):
        gru.scores(np.array([0]), [np.zeros((1, 4))])
    with pytest.raises(ValueError, match="unknown name 'W'"):
        gru.set_weights({"W": np.zeros(3)})
    with pytest.raises(ValueError, match=r"weights\['Wh0'\] has shape \(2, 3\): \(3, 3\)"):
        gru.set_weights({"Wh0": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="unknown name 'vel/Wy'"):
        gru.set_optimizer_state({"vel/Wy": np.zeros((3, 3))})


def test_evaluation(gru):
    with pytest.raises(ValueError, match="mode='best'"):
        evaluation.evaluate_gpu(gru, FRAME, mode="best")
    with pytest.raises(ValueError, match="cut_off=0"):
        evaluation.evaluate_gpu(gru, FRAME, cut_off=0)
    with pytest.raises(ValueError, match=r"cut_off=\[\]"):
        evaluation.evaluate_sessions_batch(gru, FRAME, cut_off=[])
    with pytest.raises(ValueError, match="batch_size=0"):
        evaluation.evaluate_gpu(gru, FRAME, batch_size=0)
    with pytest.raises(ValueError, match="items: item"):
        evaluation.evaluate_gpu(gru, FRAME, items=[1])
    with pytest.raises(ValueError, match="no session with two events"):
        evaluation.evaluate_gpu(gru, FRAME.assign(ItemId=0))
    with pytest.raises(ValueError, match="test_data has no column"):
        evaluation.evaluate_gpu(gru, FRAME, item_key="article")


def test_serving(gru, tmp_path):
    with pytest.raises(ValueError, match="k=4: an integer from 1 to the 3 items"):
        gru.recommend([5], k=4)
    with pytest.raises(ValueError, match="session 1 has no item that the model knows"):
        gru.recommend([[5], [1, 2]], k=1)
    with pytest.raises(ValueError, match="session 0 has no item"):
        gru.recommend([], k=1)


def test_model_files(gru, tmp_path):
    path = tmp_path / "model"
    gru.save(path)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 5, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="model is truncated or no safetensors file"):
            GRU4Rec.load(path)
    with pytest.raises(FileNotFoundError, match="no model file"):
        GRU4Rec.load(tmp_path / "other")


def edit(path, change):
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        header = file.metadata()
    tensors = load_file(path)
    change(tensors, header)
    save_file(tensors, path, header)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, h: t.update({"weight/Wh0": np.zeros((2, 3), "float32")}), "Wh0"),
        (lambda t, h: t.pop("weight/By"), "By"),
        (lambda t, h: t.pop("state/slot/acc/Wy"), "acc/Wy"),
        (lambda t, h: t.update(item_ids=np.arange(2)), "2 item ids for 3 items"),
        (lambda t, h: h.update(format="another"), "format 'another'"),
        (
            lambda t, h: h.update(settings=h["settings"].replace('"layers": [3]', '"layers": [4]')),
            "does not fit together",
        ),
        (lambda t, h: h.update(settings=h["settings"].replace("bpr-max", "hinge")), "loss='hinge'"),
        (lambda t, h: h.pop("settings"), "settings"),
    ],
)
def test_model_files_of_another_shape(gru, tmp_path, change, message):
    path = tmp_path / "model"
    gru.save(path)
    edit(path, change)
    with pytest.raises(ValueError, match=message):
        GRU4Rec.load(path)


def test_a_failed_save_leaves_the_old_file(gru, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_text("old")

    def fail(tensors, name, header):
        raise OSError("disk full")

    monkeypatch.setattr("keras_port.storage.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        gru.save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
