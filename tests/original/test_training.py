"""Training that no recording shows: the stop at NaN, retraining, going on from a file, one lane."""

import importlib.util
import math

import numpy as np
import pandas as pd
import pytest
from recordings import assert_same_state, epoch_steps, relative_error
from toys import random_frame

from original import evaluation
from original.gru4rec import GRU4Rec

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
BACKENDS = ["c", pytest.param("jax", marks=NO_JAX)]
SMALL = dict(loss="bpr-max", layers=[4], batch_size=4, n_sample=6, n_epochs=2, dtype="float64")


# The stop at a cost that is not a number.


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_nan_cost_stops_training(python_mode, caplog, backend):
    gru = GRU4Rec(**SMALL | dict(learning_rate=1e30), backend=backend)
    progress, ended = [], []
    with np.errstate(all="ignore"):
        gru.fit(random_frame(), 100, on_step=progress.append, on_epoch_end=lambda *epoch: ended.append(epoch))
    assert gru.error_during_train
    assert progress[-1].epoch == 0 and math.isnan(progress[-1].loss)
    assert progress[-1].events < progress[-1].total_events
    assert not ended and gru.epochs_done == 0
    assert "the cost is NaN" in caplog.text and "the training has stopped" in caplog.text
    with pytest.raises(RuntimeError, match="the model's weights are not finite"):
        evaluation.evaluate_gpu(gru, random_frame())


# Retraining.


def stream_after_weights(widths):
    """The NumPy stream after a seed's weights of these numbers of entries were drawn."""
    stream = np.random.RandomState(42)
    for size in widths:
        stream.rand(size)
    return stream


@pytest.mark.parametrize("options", [{}, {"embedding": 3}, {"constrained_embedding": True}, {"sigma": 0.3}])
def test_retraining_appends_new_items_and_keeps_the_rest(python_mode, options):
    gru = GRU4Rec(**SMALL | options | dict(n_sample=0, momentum=0.1))
    old_data = random_frame(n_items=8)
    gru.prepare(old_data, 100)
    n, before = gru.n_items, gru.get_weights()
    ids = gru.itemidmap.index.tolist()
    for _ in epoch_steps(gru):
        pass
    trained = gru.get_weights()
    assert any(gru.get_optimizer_state()["acc/Wy"].ravel())

    new_data = random_frame(n_items=12, seed=1)
    new_ids = [item for item in dict.fromkeys(new_data["ItemId"]) if item not in ids]
    assert len(new_ids) > 2
    gru.prepare(new_data, 100, retrain=True)
    assert gru.itemidmap.index.tolist() == ids + new_ids
    assert gru.itemidmap.tolist() == list(range(n + len(new_ids)))
    assert gru.support.sum() == len(new_data)
    assert all(not state.any() for state in gru.get_optimizer_state().values())

    stream = stream_after_weights(w.size for name, w in before.items() if name[0] != "B")
    item_tensors = ["E", "Wx0"] if "E" in before else ["Wx0"]
    item_tensors = [name for name in item_tensors if len(before[name]) == n][:1] + ["Wy"]
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight[: len(trained[name])], trained[name], err_msg=name)
        if name in item_tensors:
            rows, cols = trained[name].shape
            sigma = options.get("sigma") or math.sqrt(6 / (rows + cols + len(new_ids)))
            wanted = stream.rand(len(new_ids), cols) * sigma * 2 - sigma
            np.testing.assert_array_equal(weight[n:], wanted, err_msg=name)
        elif name == "By":
            assert weight.shape == (n + len(new_ids), 1) and not weight[n:].any()
        else:
            assert weight.shape == trained[name].shape


def test_retraining_without_new_items_goes_on_from_the_weights(python_mode):
    data = random_frame()
    gru = GRU4Rec(**SMALL)
    gru.fit(data, 100)
    trained, epochs = gru.get_weights(), []
    assert any(state.any() for state in gru.get_optimizer_state().values())
    gru.prepare(data, 100, retrain=True)
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight, trained[name])
    assert not any(state.any() for state in gru.get_optimizer_state().values())
    gru.fit(data, 100, retrain=True, on_epoch_end=lambda *epoch: epochs.append(epoch))
    assert [epoch for epoch, _ in epochs] == [0, 1]
    assert any((weight != trained[name]).any() for name, weight in gru.get_weights().items())


def test_a_retrained_model_scores_old_and_new_items(python_mode):
    old, new = random_frame(n_items=8), random_frame(n_items=12, seed=1)
    gru = GRU4Rec(**SMALL)
    gru.fit(old, 100)
    gru.fit(new, 100, retrain=True)
    scores = gru.predict_next_batch([1], [new["ItemId"].max()], batch=1)
    assert set(scores.index) == set(old["ItemId"]) | set(new["ItemId"])
    assert np.isfinite(scores.to_numpy()).all()


# Few lanes, and what the caller hands over.


def test_one_lane_trains_on_every_event(python_mode):
    data, progress = random_frame(n_sessions=6), []
    gru = GRU4Rec(**SMALL | dict(batch_size=1, n_epochs=1))
    gru.fit(data, 100, on_step=progress.append)
    assert progress[-1].events == progress[-1].total_events == progress[-1].step == len(data) - 6
    assert math.isfinite(progress[-1].loss)


def test_one_lane_of_jax_is_one_lane_of_c(python_mode):
    pytest.importorskip("jax")
    models = [GRU4Rec(**SMALL | dict(batch_size=1, n_epochs=1), backend=b) for b in ("c", "jax")]
    for gru in models:
        gru.fit(random_frame(n_sessions=6), 100)
    for name, weight in models[0].get_weights().items():
        assert relative_error(models[1].get_weights()[name], weight) < 1e-11, name


def test_fit_does_not_change_the_frame(python_mode):
    data = random_frame()
    before = data.copy()
    GRU4Rec(**SMALL | dict(n_epochs=1)).fit(data, 100)
    pd.testing.assert_frame_equal(data, before)


def test_training_twice_is_the_same_training(python_mode):
    models = [GRU4Rec(**SMALL | dict(n_epochs=1), dropout_p_hidden=0.3) for _ in range(2)]
    for gru in models:
        gru.fit(random_frame(), 100)
    assert_same_state(*models)
    models[0].fit(random_frame(), 100)
    assert_same_state(*models)
