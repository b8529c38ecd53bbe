"""The options of 2020: the logQ correction, and an embedding as wide as the first layer."""

import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, evaluation

LOSSES = {
    "cross-entropy": "softmax",
    "xe_logit": "softmax_logit",
    "bpr": "linear",
    "top1": "tanh",
    "top1-max": "elu-0.5",
    "bpr-max": "elu-1",
}
OPTIONS = {"layers": [4], "batch_size": 3, "n_sample": 4, "n_epochs": 1, "dtype": "float64", "jit_compile": False}


@pytest.fixture(scope="module")
def train():
    rng = np.random.RandomState(0)
    items = rng.zipf(1.5, 60) % 12
    return pd.DataFrame({"SessionId": np.repeat(np.arange(15), 4), "ItemId": items, "Time": np.arange(60)})


def prepared(train, **options):
    gru = GRU4Rec(**{**OPTIONS, **options})
    gru.prepare(train, sample_store=0)
    gru.set_hidden([np.zeros((gru.batch_size, units)) for units in gru.layers])
    return gru


def replay(gru):
    """One epoch step by step; the steps' results."""
    lanes, steps = np.arange(gru.batch_size), []
    for batch in gru.batches():
        gru.set_hidden([H[np.isin(lanes, batch.lanes)] for H in gru.get_hidden()])
        steps.append(gru.train_step(batch.X, batch.Y, batch.R))
        lanes = batch.lanes
    return steps


@pytest.mark.parametrize("loss, final_act", LOSSES.items())
def test_with_one_P_for_both_columns_logq_is_a_shift_of_the_biases(train, loss, final_act):
    """With sample_alpha=1 the correction depends on the item alone, so that biases can say the same."""
    options = {"loss": loss, "final_act": final_act, "sample_alpha": 1.0}
    plain, corrected = prepared(train, **options), prepared(train, **options, logq=0.7)
    plain.set_weights({"By": plain.get_weights()["By"] - 0.7 * np.log(plain.support)[:, None]})
    batch = next(plain.batches())
    wanted = plain.train_step(batch.X, batch.Y, batch.R, gradients=True)
    found = corrected.train_step(batch.X, batch.Y, batch.R, gradients=True)
    assert found.cost == pytest.approx(wanted.cost, rel=1e-13)
    for name, g in wanted.gradients.items():
        np.testing.assert_allclose(found.gradients[name], g, rtol=1e-11, atol=1e-14, err_msg=name)


def test_targets_and_samples_have_each_their_own_P(train):
    gru = prepared(train, loss="cross-entropy", final_act="softmax", logq=0.5, sample_alpha=0.3)
    batch, weights = next(gru.batches()), gru.get_weights()
    _, (h,) = gru.scores(batch.X, gru.get_hidden())
    support = gru.support[batch.Y].astype(float)
    P = np.concatenate([support[:3], support[3:] ** 0.3])
    o = h @ weights["Wy"][batch.Y].T + weights["By"][batch.Y].T - 0.5 * np.log(P)
    softmax = np.exp(o) / np.exp(o).sum(axis=1, keepdims=True)
    wanted = -np.log(np.diag(softmax) + 1e-24).mean()
    assert gru.train_step(batch.X, batch.Y, batch.R).cost == pytest.approx(wanted, rel=1e-12)


def test_fit_corrects_as_step_by_step(train):
    options = {"logq": 1.0, "loss": "cross-entropy", "final_act": "softmax", "momentum": 0.1}
    by_hand = prepared(train, **options)
    replay(by_hand)
    gru = GRU4Rec(**{**OPTIONS, **options, "jit_compile": True}, steps_per_call=5)
    gru.fit(train, sample_store=0)
    for name, values in by_hand.get_weights().items():
        np.testing.assert_allclose(gru.get_weights()[name], values, rtol=1e-10, atol=1e-13, err_msg=name)


def test_prediction_and_evaluation_do_not_subtract(train):
    plain, corrected = prepared(train), prepared(train, logq=1.0)
    corrected.set_weights(plain.get_weights())
    X, hidden = np.arange(3), plain.get_hidden()
    np.testing.assert_array_equal(corrected.scores(X, hidden)[0], plain.scores(X, hidden)[0])
    assert evaluation.ranks(corrected, train).equals(evaluation.ranks(plain, train))


def test_an_item_without_events_is_sampled_without_nan(train):
    gru = prepared(train, logq=1.0, sample_alpha=0.0, n_sample=30)
    gru.fit(train[train["ItemId"] != train["ItemId"].iloc[0]], sample_store=0, retrain=True)
    assert (gru.support == 0).any()
    assert not gru.error_during_train
    assert all(np.isfinite(values).all() for values in gru.get_weights().values())


def test_without_data_there_is_no_P():
    gru = GRU4Rec(**OPTIONS, logq=1.0)
    gru.build(8)
    gru.set_hidden([np.zeros((3, 4))])
    with pytest.raises(RuntimeError, match="^logq=1.0 needs the items' support, and the model has no data yet:"):
        gru.train_step(np.arange(3), np.arange(7), np.zeros(3, bool))


def test_a_loaded_model_goes_on_with_its_P(train, tmp_path):
    gru = prepared(train, logq=0.5, embedding="layersize")
    gru.save(tmp_path / "model")
    gru.model.save(tmp_path / "model.keras")
    wanted = [step.cost for step in replay(gru)]
    for copy in (
        GRU4Rec.load(tmp_path / "model", jit_compile=False),
        GRU4Rec.from_model(keras.saving.load_model(tmp_path / "model.keras"), jit_compile=False),
    ):
        assert (copy.logq, copy.embedding) == (0.5, "layersize")
        copy.n_epochs = 0
        copy.fit(train, 0, resume=True)
        copy.set_hidden([np.zeros((3, 4))])
        assert [step.cost for step in replay(copy)] == wanted


def test_layersize_is_the_width_of_the_first_layer(train):
    named, counted = prepared(train, layers=[5, 3], embedding="layersize"), prepared(train, layers=[5, 3], embedding=5)
    assert named.settings().embedding == "layersize"
    assert named.get_weights()["E"].shape == (named.n_items, 5)
    assert [step.cost for step in replay(named)] == [step.cost for step in replay(counted)]
    np.testing.assert_array_equal(named.get_weights()["E"], counted.get_weights()["E"])
