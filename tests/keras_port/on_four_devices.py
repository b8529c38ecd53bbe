"""What ``devices`` may not change, on four devices of one process; ``test_distribution.py`` makes them and runs it."""

import copy

import jax
import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, distribution, evaluation

BASE = {"layers": [6], "batch_size": 5, "n_sample": 9, "n_epochs": 1, "learning_rate": 0.05, "dtype": "float64"}
SETTINGS = {
    "momentum": {"loss": "bpr-max", "final_act": "elu-0.5", "momentum": 0.3, "layers": [5, 4]},
    "constrained": {
        "loss": "cross-entropy",
        "final_act": "softmax",
        "constrained_embedding": True,
        "adapt": "adam",
        "adapt_params": [0.9, 0.99],
        "logq": 1.0,
    },
    "separate": {
        "embedding": 3,
        "adapt": "adadelta",
        "adapt_params": [0.9],
        "learning_rate": 1.0,
        "dropout_p_hidden": 0.2,
        "dropout_p_embed": 0.2,
        "grad_cap": 0.5,
        "lmbd": 0.01,
    },
    "rmsprop": {"adapt": "rmsprop", "adapt_params": [0.9], "loss": "top1-max", "momentum": 0.1},
}


def frame(seed, n_items=41, n_sessions=60):  # 41 is a multiple of no number of devices
    rng = np.random.RandomState(seed)
    lengths = rng.randint(2, 8, n_sessions)
    items = rng.zipf(1.4, lengths.sum()) % n_items
    items[:n_items] = rng.permutation(n_items)
    session = np.repeat(np.arange(n_sessions), lengths)
    return pd.DataFrame({"SessionId": session, "ItemId": items, "Time": np.arange(len(items))})


def fitted(devices, **options):
    gru = GRU4Rec(**{**BASE, **options}, devices=devices)
    gru.fit(frame(0), sample_store=500)
    return gru


@pytest.fixture(scope="module", params=list(SETTINGS))
def pair(request):
    """(on one device, on four) after an epoch."""
    return [fitted(devices, **SETTINGS[request.param]) for devices in (1, 4)]


def assert_same(one, other, tolerance=1e-13):
    for get in ("get_weights", "get_optimizer_state"):
        first, second = getattr(one, get)(), getattr(other, get)()
        assert list(first) == list(second)
        for name, values in first.items():
            assert values.shape == second[name].shape
            np.testing.assert_allclose(second[name], values, rtol=tolerance, atol=tolerance, err_msg=name)


def test_an_epoch_is_the_same_epoch(pair):
    assert_same(*pair)


def test_each_device_holds_its_rows_alone(pair):
    gru = pair[1]
    for name, variable in gru.trainer.state.variables().items():
        pieces = [piece.data.shape for piece in variable.value.addressable_shards]
        is_split = name.split("/")[-1] in gru.model.read_at or name == "log_support"
        assert len(pieces) == 4
        assert {shape[0] for shape in pieces} == {11 if is_split else variable.shape[0]}, name


@pytest.mark.parametrize("mode", evaluation.MODES)
@pytest.mark.parametrize("listed", [False, True])
def test_ranks_are_the_same(pair, mode, listed):
    items = list(pair[0].itemidmap.index[::3]) if listed else None
    one, four = (evaluation.ranks(gru, frame(1), items, mode=mode)["rank"] for gru in pair)
    np.testing.assert_array_equal(four, one)


@pytest.mark.parametrize("k", [1, 11, 12, 41])
def test_recommendations_are_the_same(pair, k):
    one, four = (gru.recommend([[1, 2, 3], [5]], k) for gru in pair)
    np.testing.assert_array_equal(four.items, one.items)
    np.testing.assert_allclose(four.scores, one.scores, rtol=1e-13, atol=1e-13)


def test_of_equal_scores_the_first_items_are_recommended():
    gru = GRU4Rec(**BASE, devices=4)
    gru.build(41)
    gru.set_weights({"Wy": np.zeros((41, 6)), "By": np.zeros((41, 1))})
    assert gru.recommend([3], 15).items.tolist() == list(range(15))


def test_predictions_have_a_row_an_item(pair):
    one, four = (gru.predict_next_batch(np.arange(3), np.array([1, 2, 3]), None, 3) for gru in pair)
    assert four.shape == (41, 3)
    np.testing.assert_allclose(four, one, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("devices", [1, 3])
def test_files_know_nothing_of_devices(pair, devices, tmp_path):
    for number, gru in enumerate(pair):
        gru.save(tmp_path / str(number))
        gru.model.save(tmp_path / f"{number}.keras")
    assert (tmp_path / "0").stat().st_size == (tmp_path / "1").stat().st_size
    loaded = GRU4Rec.load(tmp_path / "1", devices=devices)
    assert loaded.devices == devices and GRU4Rec.load(tmp_path / "1").devices == 1
    assert_same(pair[1], loaded, 0)
    assert_same(pair[1], GRU4Rec.from_model(keras.saving.load_model(tmp_path / "1.keras"), devices=devices), 0)
    copies = [copy.deepcopy(pair[0]), loaded]
    for gru in copies:
        gru.n_epochs = 2
        gru.fit(frame(0), sample_store=500, resume=True)
    assert_same(*copies)


def test_a_copy_is_on_as_many_devices(pair):
    other = copy.deepcopy(pair[1])
    assert other.devices == 4
    assert_same(pair[1], other, 0)


def test_retraining_adds_rows(pair):
    copies = [copy.deepcopy(gru) for gru in pair]
    for gru in copies:
        gru.fit(frame(2, 47), sample_store=500, retrain=True)
    assert copies[1].n_items == 47
    assert_same(*copies)


def test_a_step_gives_the_same_gradients(pair):
    copies = [copy.deepcopy(gru) for gru in pair]
    X, Y, R = [1, 40, 3], [4, 5, 6, 0, 40, 4], [0, 1, 0]
    for gru in copies:
        gru.set_hidden([np.full((3, units), 0.1) for units in gru.layers])
    masks = copies[0].draw_masks(3)
    one, four = (gru.train_step(X, Y, R, masks, gradients=True) for gru in copies)
    assert four.cost == pytest.approx(one.cost, rel=1e-13)
    for name, values in one.gradients.items():
        np.testing.assert_allclose(four.gradients[name], values, rtol=1e-12, atol=1e-14, err_msg=name)
    assert_same(*copies)


def test_a_weight_that_is_not_finite_is_found():
    gru = fitted(4)
    weights = gru.get_weights()["Wy"]
    weights[40, 0] = np.inf
    gru.set_weights({"Wy": weights})
    with pytest.raises(RuntimeError, match="not finite .first: Wy.: it cannot recommend"):
        gru.recommend([1], 3)


def test_programs_read_the_model_that_runs():
    """A program is compiled once for models that are alike: nothing of the first may stay in it."""
    one, other = (GRU4Rec(**BASE, devices=4, seed=seed) for seed in (1, 2))
    for gru in (one, other):
        gru.build(41)
    other.set_weights(one.get_weights())
    H = [np.zeros((2, 6))]
    np.testing.assert_array_equal(other.scores([1, 2], H)[0], one.scores([1, 2], H)[0])
    other.set_weights({name: 2 * values for name, values in one.get_weights().items()})
    assert not np.allclose(other.scores([1, 2], H)[0], one.scores([1, 2], H)[0])


def test_more_devices_than_there_are():
    assert jax.device_count() == 4
    words = "^devices=5: 1 to 4, the 4 devices of JAX here, is accepted; on CPUs XLA_FLAGS="
    with pytest.raises(ValueError, match=words):
        GRU4Rec(**BASE, devices=5)
    gru = GRU4Rec(**BASE)
    with pytest.raises(ValueError, match=words):
        gru.set_params(devices=5)
    assert gru.devices == 1
    gru.build(41)
    with pytest.raises(RuntimeError, match="^devices=4: the model is built with 1; a new model takes other options$"):
        gru.set_params(devices=4)


def test_blocks_of_a_table_are_put_together(monkeypatch):
    """As several processes read it: block by block, the last one overlapping."""
    gru = fitted(4)
    split, Wx0 = gru.model.split, gru.model.named_weights["Wx0"]
    monkeypatch.setattr(distribution, "_BLOCK", 18 * 8 * 4 * 3)
    blocks = list(split._blocks(Wx0.value))
    assert [start for start, _ in blocks] == [0, 3, 6, 8]
    found = np.empty((4, 11, 18))
    for start, rows in blocks:
        found[:, start : start + 3] = rows
    np.testing.assert_array_equal(found.reshape(44, 18)[:41], gru.get_weights()["Wx0"])
