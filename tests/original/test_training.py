"""Training that no recording shows: the stop at NaN, retraining, going on from a file, one lane."""

import importlib.util
import math

import numpy as np
import pandas as pd
import pytest
from recordings import epoch_steps, relative_error
from toys import random_frame

from original import evaluation
from original.gru4rec import GRU4Rec

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
BACKENDS = ["c", pytest.param("jax", marks=NO_JAX)]
SMALL = dict(loss="bpr-max", layers=[4], batch_size=4, n_sample=6, n_epochs=2, dtype="float64")


def assert_same_state(a, b):
    for name, (found, wanted) in {
        **{name: (a.get_weights()[name], w) for name, w in b.get_weights().items()},
        **{name: (a.get_optimizer_state()[name], s) for name, s in b.get_optimizer_state().items()},
    }.items():
        np.testing.assert_array_equal(found, wanted, err_msg=name)


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
    assert "is not a number, training stopped" in caplog.text
    with pytest.raises(RuntimeError, match="stopped at a NaN cost"):
        evaluation.evaluate_gpu(gru, random_frame())

    gru.set_params(learning_rate=0.05)
    gru.fit(random_frame(), 100, on_epoch_end=lambda *epoch: ended.append(epoch))
    assert not gru.error_during_train
    assert [epoch for epoch, _ in ended] == [0, 1] and all(math.isfinite(loss) for _, loss in ended)


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


# Files.

EXACT = dict(dropout_p_hidden=0.2, momentum=0.2, train_random_order=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "options, sample_store",
    [(EXACT, 6 * 60), pytest.param(dict(constrained_embedding=True, dropout_p_embed=0.3), 0, marks=pytest.mark.slow)],
)
def test_training_goes_on_from_a_file_to_the_bit(tmp_path, backend, options, sample_store):
    """Two epochs, saved amid a store that was drawn before the permutations, and two more are four epochs."""
    data, losses = random_frame(), {"once": [], "twice": []}
    whole = GRU4Rec(**SMALL | options | dict(n_epochs=4), backend=backend)
    whole.fit(data, sample_store, on_epoch_end=lambda *epoch: losses["once"].append(epoch))

    first = GRU4Rec(**SMALL | options, backend=backend)
    first.fit(data, sample_store, on_epoch_end=lambda *epoch: losses["twice"].append(epoch))
    first.save(tmp_path / "model")
    second = GRU4Rec.load(tmp_path / "model")
    assert second.epochs_done == 2
    assert_same_state(second, first)
    second.set_params(n_epochs=4)
    second.fit(data, resume=True, on_epoch_end=lambda *epoch: losses["twice"].append(epoch))

    assert losses["once"] == losses["twice"]
    assert_same_state(second, whole)
    after = [next(gru.batches()).Y.tolist() for gru in (whole, second)]
    assert after[0] == after[1]


@pytest.fixture
def trained(python_mode):
    gru = GRU4Rec(**SMALL | dict(n_epochs=1), dropout_p_hidden=0.1)
    gru.fit(random_frame(), sample_store=100)
    return gru


def test_a_loaded_model_is_the_saved_one(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model")
    assert loaded.get_params() == trained.get_params()
    assert_same_state(loaded, trained)
    pd.testing.assert_series_equal(loaded.itemidmap, trained.itemidmap)
    np.testing.assert_array_equal(loaded.support, trained.support)
    pd.testing.assert_frame_equal(*(gru.predict_next_batch([1, 2], [101, 102], batch=2) for gru in (loaded, trained)))
    for mask, wanted in zip(loaded.draw_masks(4), trained.draw_masks(4), strict=True):
        np.testing.assert_array_equal(mask, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_loaded_model_can_be_saved_again(trained, tmp_path):
    trained.save(tmp_path / "model")
    GRU4Rec.load(tmp_path / "model").save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "model").read_bytes()
    again = GRU4Rec.load(tmp_path / "copy")
    again.set_params(n_epochs=2)
    again.fit(random_frame(), resume=True)
    assert again.epochs_done == 2


def test_a_retrained_model_goes_on_from_its_file(python_mode, tmp_path):
    old, new = random_frame(), random_frame(n_items=10, seed=1)
    gru = GRU4Rec(**SMALL | dict(n_epochs=1))
    gru.fit(old, 100)
    gru.fit(new, 100, retrain=True)
    assert not gru.support.all()  # some of the items occur in the old data only
    gru.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model").set_params(n_epochs=2)
    loaded.fit(new, resume=True)
    assert loaded.epochs_done == 2


def test_a_failed_save_leaves_the_old_file(trained, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_text("old")

    def fail(tensors, name, header):
        name.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr("original.storage.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        trained.save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


IDS = {
    "text": lambda i: f"é {i}",
    "object": lambda i: f"item {i}",
    "whole numbers in an object column": lambda i: i,
    "float": lambda i: i + 0.5,
}


@pytest.mark.parametrize("kind", IDS)
def test_item_ids_of_any_kind(python_mode, tmp_path, kind):
    """Ids stay what they are, through training, files and prediction."""
    plain = random_frame()
    ids = [IDS[kind](i) for i in plain["ItemId"].unique()]
    renamed = plain.assign(ItemId=plain["ItemId"].map(dict(zip(plain["ItemId"].unique(), ids))))
    if "object" in kind:
        renamed["ItemId"] = renamed["ItemId"].astype(object)
    models = [GRU4Rec(**SMALL | dict(n_epochs=1)) for _ in range(2)]
    for gru, data in zip(models, (plain, renamed)):
        gru.fit(data, 100)
    expected = models[0].predict_next_batch([1], [models[0].itemidmap.index[3]], batch=1)
    models[1].save(tmp_path / "model")
    for gru in (models[1], GRU4Rec.load(tmp_path / "model")):
        scores = gru.predict_next_batch([1], [ids[3]], batch=1)
        assert scores.index.tolist() == ids
        np.testing.assert_array_equal(scores, expected)


# Few lanes, and what the caller hands over.


def test_one_lane_trains_on_every_event(python_mode):
    data, progress = random_frame(n_sessions=6), []
    gru = GRU4Rec(**SMALL | dict(batch_size=1, n_epochs=1))
    gru.fit(data, 100, on_step=progress.append)
    assert progress[-1].events == progress[-1].total_events == progress[-1].step == len(data) - 6
    assert math.isfinite(progress[-1].loss)


def test_one_lane_without_samples_has_nothing_to_rank(python_mode):
    """There is no step: the epochs pass, the loss is no number, and that is no error of the training."""
    losses, progress = [], []
    gru = GRU4Rec(**SMALL | dict(batch_size=1, n_sample=0))
    gru.prepare(random_frame())
    before = gru.get_weights()
    gru.fit(random_frame(), 100, on_step=progress.append, on_epoch_end=lambda epoch, loss: losses.append(loss))
    assert not gru.error_during_train and len(losses) == 2 and all(map(math.isnan, losses))
    assert [(p.step, p.events) for p in progress] == [(0, 0), (0, 0)]
    for name, weight in gru.get_weights().items():
        np.testing.assert_array_equal(weight, before[name])


def test_one_lane_of_jax_is_one_lane_of_c(python_mode):
    pytest.importorskip("jax")
    models = [GRU4Rec(**SMALL | dict(batch_size=1, n_epochs=1), backend=b) for b in ("c", "jax")]
    for gru in models:
        gru.fit(random_frame(n_sessions=6), 100)
    for name, weight in models[0].get_weights().items():
        assert relative_error(models[1].get_weights()[name], weight) < 1e-11, name


@NO_JAX
def test_predictions_of_some_items_are_those_of_all(python_mode):
    """And a graph made for many lanes serves few."""
    for backend in ("c", "jax"):
        gru = GRU4Rec(**SMALL | dict(n_epochs=1, final_act="softmax", loss="cross-entropy"), backend=backend)
        gru.fit(random_frame(), 100)
        random = np.random.RandomState(0)
        X, hidden = random.randint(gru.n_items, size=6), [random.randn(6, 4)]
        scores, states = gru.scores(X, hidden)
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-12)
        few, (state,) = gru.scores(X[:2], [hidden[0][:2]])
        np.testing.assert_allclose(few, scores[:2], rtol=1e-12)
        np.testing.assert_allclose(state, states[0][:2], rtol=1e-12)
        some, _ = gru.scores(X[:2], [hidden[0][:2]], [3, 1, 1])
        wanted = scores[:2, [3, 1, 1]]
        np.testing.assert_allclose(some, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-12)


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
