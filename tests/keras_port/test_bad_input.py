"""Bad input ends in an error that names it, before any work starts."""

import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, evaluation

FRAME = pd.DataFrame({"SessionId": [1, 1, 2, 2, 3, 3], "ItemId": [5, 6, 5, 7, 7, 6], "Time": range(6)})
SMALL = {"layers": [3], "batch_size": 2, "n_sample": 2, "n_epochs": 1, "jit_compile": False}


@pytest.fixture(scope="module")
def gru():
    model = GRU4Rec(**SMALL)
    model.prepare(FRAME, 0)
    return model


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
    with pytest.raises(ValueError, match="items: item 1 is not among"):
        evaluation.evaluate_gpu(gru, FRAME, items=[1])
    with pytest.raises(ValueError, match="a session with two events"):
        evaluation.evaluate_gpu(gru, FRAME.assign(ItemId=0))
    with pytest.raises(ValueError, match="test_data: no column 'article'"):
        evaluation.evaluate_gpu(gru, FRAME, item_key="article")


def test_serving(gru, tmp_path):
    with pytest.raises(ValueError, match="k=4: a whole number from 1 to 3"):
        gru.recommend([5], k=4)
    with pytest.raises(ValueError, match="session 1 has no item that the model knows"):
        gru.recommend([[5], [1, 2]], k=1)
    with pytest.raises(ValueError, match="session 0 has no item"):
        gru.recommend([], k=1)
