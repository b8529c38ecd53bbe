"""Training as a whole: callbacks, files, going on, retraining, and what must not change the result."""

import csv
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, backend, evaluation, programs

OPTIONS = {
    "layers": [6],
    "batch_size": 4,
    "n_sample": 5,
    "momentum": 0.2,
    "dropout_p_hidden": 0.3,
    "n_epochs": 4,
    "learning_rate": 0.05,
    "jit_compile": False,  # what is tested here does not depend on the compiler, which would take most of the time
}


def frame_of(rng, n_items, n_sessions, first_item=0):
    lengths = rng.randint(2, 6, n_sessions)
    items = first_item + (np.cumsum(rng.randint(1, 3, lengths.sum())) % n_items)
    return pd.DataFrame(
        {"SessionId": np.repeat(np.arange(n_sessions), lengths), "ItemId": items, "Time": np.arange(lengths.sum())}
    )


@pytest.fixture(scope="module")
def train():
    return frame_of(np.random.RandomState(0), 20, 40)


@pytest.fixture(scope="module")
def test_data():
    return frame_of(np.random.RandomState(1), 20, 15)


def fitted(train, **options):
    gru = GRU4Rec(**{**OPTIONS, **options})
    gru.fit(train, sample_store=60)
    return gru


@pytest.fixture(scope="module")
def whole_run(train):
    """Weights and optimizer state after four epochs in one go."""
    gru = fitted(train)
    return {**gru.get_weights(), **gru.get_optimizer_state()}


def assert_same(gru, wanted):
    found = {**gru.get_weights(), **gru.get_optimizer_state()}
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


class Interrupt(keras.callbacks.Callback):
    """Fails at the start of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise KeyboardInterrupt


def test_two_runs_are_equal_to_the_bit(train, whole_run):
    assert_same(fitted(train), whole_run)


@pytest.mark.parametrize("steps_per_call", [1, 500])
def test_steps_per_call_changes_no_result(train, whole_run, steps_per_call):
    gru = fitted(train, steps_per_call=steps_per_call)
    for name, values in gru.get_weights().items():
        np.testing.assert_allclose(values, whole_run[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_xla_changes_no_result(train, whole_run):
    for name, values in fitted(train, jit_compile=True).get_weights().items():
        np.testing.assert_allclose(values, whole_run[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("random_order", [False, True])
def test_a_saved_model_goes_on_exactly_where_it_stopped(train, tmp_path, random_order):
    wanted = fitted(train, train_random_order=random_order)
    half = fitted(train, train_random_order=random_order, n_epochs=2)
    half.save(tmp_path / "half.safetensors")
    gru = GRU4Rec.load(tmp_path / "half.safetensors", jit_compile=False)
    gru.set_params(n_epochs="4")
    history = gru.fit(train, sample_store=60, resume=True)
    assert history.epoch == [2, 3]
    assert_same(gru, {**wanted.get_weights(), **wanted.get_optimizer_state()})
    gru.save(tmp_path / "whole.safetensors")
    assert GRU4Rec.load(tmp_path / "whole.safetensors", jit_compile=False).n_epochs == 4


def test_a_loaded_model_is_the_saved_one(train, test_data, tmp_path):
    gru = fitted(
        train,
        n_epochs=1,
        loss="cross-entropy",
        final_act="softmax",
        embedding=3,
        adapt="adam",
        adapt_params=[0.9, 0.99],
    )
    gru.save(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]
    copy = GRU4Rec.load(tmp_path / "model", jit_compile=False)
    assert copy.settings() == gru.settings()
    assert copy.itemidmap.equals(gru.itemidmap)
    assert_same(copy, {**gru.get_weights(), **gru.get_optimizer_state()})
    assert evaluation.evaluate_gpu(copy, test_data) == evaluation.evaluate_gpu(gru, test_data)
    np.testing.assert_array_equal(copy.support, gru.support)


def test_keras_files_checkpoints_and_logs(train, test_data, tmp_path, whole_run):
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", monitor="val_recall@20", mode="max", save_best_only=True
        ),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    gru = GRU4Rec(**OPTIONS)
    history = gru.fit(train, sample_store=60, callbacks=callbacks, validation_data=test_data)
    assert_same(gru, whole_run)
    assert set(history.history) == {"loss", "val_recall@20", "val_mrr@20"}
    assert (history.history["val_recall@20"][-1], history.history["val_mrr@20"][-1]) == evaluation.evaluate_gpu(
        gru, test_data
    )
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history.history["loss"]

    model = keras.saving.load_model(tmp_path / "2.keras")
    half = GRU4Rec.from_model(model, jit_compile=False)
    assert half.itemidmap.equals(gru.itemidmap)
    half.fit(train, sample_store=60, resume=True)
    assert_same(half, whole_run)
    best = GRU4Rec.from_model(keras.saving.load_model(tmp_path / "best.keras"), jit_compile=False)
    assert evaluation.evaluate_gpu(best, test_data)[0] == max(history.history["val_recall@20"])


def test_backup_and_restore_after_an_interruption(train, tmp_path, whole_run):
    backup = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        GRU4Rec(**OPTIONS).fit(train, 60, callbacks=[keras.callbacks.BackupAndRestore(backup), Interrupt(2)])
    gru = GRU4Rec(**OPTIONS)
    history = gru.fit(train, 60, callbacks=[keras.callbacks.BackupAndRestore(backup)])
    assert history.epoch == [2, 3]
    assert_same(gru, whole_run)


def test_early_stopping_on_recall_restores_the_best_weights(train, test_data):
    gru = GRU4Rec(**{**OPTIONS, "n_epochs": 30, "learning_rate": 0.3})
    stop = keras.callbacks.EarlyStopping("val_recall@20", mode="max", patience=2, restore_best_weights=True)
    history = gru.fit(train, 60, callbacks=[stop], validation_data=test_data)
    recalls = history.history["val_recall@20"]
    assert len(recalls) < 30
    assert evaluation.evaluate_gpu(gru, test_data)[0] == max(recalls)


def test_tensorboard_writes_events(train, tmp_path):
    pytest.importorskip("tensorboard")
    GRU4Rec(**{**OPTIONS, "n_epochs": 1}).fit(train, 60, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_plain_functions_are_told_of_the_progress(train, whole_run):
    steps, epochs = [], []
    gru = GRU4Rec(**OPTIONS, steps_per_call=8)
    history = gru.fit(train, 60, on_step=steps.append, on_epoch_end=lambda epoch, loss: epochs.append((epoch, loss)))
    assert epochs == list(enumerate(history.history["loss"]))
    targets = len(train) - train["SessionId"].nunique()
    for epoch in range(4):
        told = [step for step in steps if step.epoch == epoch]
        assert [step.step for step in told[:-1]] == list(range(8, 8 * len(told), 8))
        assert (told[-1].events, told[-1].total_events) == (targets, targets)
        assert told[-1].loss == pytest.approx(epochs[epoch][1])
        assert all(a.events < b.events for a, b in zip(told, told[1:]))


def test_stop_training_ends_after_the_epoch(train):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    assert GRU4Rec(**OPTIONS).fit(train, 60, callbacks=[Stop()]).epoch == [0]


@pytest.mark.parametrize("steps_per_call", [1, 50])
def test_a_nan_cost_stops_training_at_that_step(train, steps_per_call):
    """To the first NaN and no further: the weights are those after that step, wherever it falls in a call."""
    options = {
        **OPTIONS,
        "loss": "bpr-max",
        "final_act": "linear",
        "learning_rate": 1e30,
        "momentum": 0.0,
        "dropout_p_hidden": 0.0,
    }
    by_hand = GRU4Rec(**options)
    by_hand.prepare(train, 60)
    before = np.arange(by_hand.batch_size)
    for batch in by_hand.batches():
        by_hand.set_hidden([H[np.isin(before, batch.lanes)] for H in by_hand.get_hidden()])
        before = batch.lanes
        if np.isnan(by_hand.train_step(batch.X, batch.Y, batch.R).cost):
            break
    else:
        pytest.fail("this training was meant to fail")
    gru = GRU4Rec(**options, steps_per_call=steps_per_call)
    history = gru.fit(train, 60)
    assert gru.error_during_train
    assert history.epoch == []
    for name, values in by_hand.get_weights().items():
        np.testing.assert_array_equal(np.isnan(gru.get_weights()[name]), np.isnan(values), err_msg=name)


def test_training_learns(train, test_data):
    gru = GRU4Rec(**{**OPTIONS, "n_epochs": 12, "layers": [20], "dropout_p_hidden": 0.0, "learning_rate": 0.1})
    losses = gru.fit(train, 60).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert evaluation.evaluate_gpu(gru, test_data, cut_off=2)[0] > 0.8  # the next item is one of two


def test_retraining_appends_new_items_and_goes_on(train):
    gru = fitted(train, n_epochs=1, embedding=4)
    before, stream, known = gru.get_weights(), gru.trainer.state.rng.get_state(), gru.itemidmap
    new = frame_of(np.random.RandomState(2), 25, 30, first_item=5)
    gru.n_epochs = 0
    gru.fit(new, 60, retrain=True)
    added = [item for item in dict.fromkeys(new["ItemId"]) if item not in known.index]
    assert added and list(gru.itemidmap.index) == [*known.index, *added]
    rng = np.random.RandomState()
    rng.set_state(stream)
    weights = gru.get_weights()
    for name in ("E", "Wy"):
        rows, cols = before[name].shape
        sigma = np.sqrt(6 / (rows + cols + len(added)))
        wanted = np.vstack([before[name], (rng.rand(len(added), cols) * sigma * 2 - sigma).astype("float32")])
        np.testing.assert_array_equal(weights[name], wanted, err_msg=name)
    assert not weights["By"][len(known) :].any()
    for name in ("Wx0", "Wh0", "Wrz0", "Bh0"):
        np.testing.assert_array_equal(weights[name], before[name])
    assert not any(values.any() for values in gru.get_optimizer_state().values())
    np.testing.assert_array_equal(gru.support, new["ItemId"].value_counts().reindex(gru.itemidmap.index).fillna(0))
    gru.n_epochs = 2
    assert gru.fit(new, 60, retrain=True).epoch == [0, 1]
    assert not np.array_equal(gru.get_weights()["Wh0"], before["Wh0"])


def test_adadelta_takes_the_learning_rate_for_one(train):
    weights = []
    for learning_rate in (0.1, 1.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gru = fitted(train, n_epochs=1, adapt="adadelta", adapt_params=[0.95], learning_rate=learning_rate)
        weights.append(gru.get_weights()["Wy"])
    np.testing.assert_array_equal(*weights)


def test_a_step_without_gradients_runs_the_program_of_fit(train, monkeypatch):
    """Step by step through train_step, then fit with one step a call: nothing further is compiled."""
    programs.forget()
    by_hand = GRU4Rec(**{**OPTIONS, "n_epochs": 1})
    by_hand.prepare(train, 60)
    lanes = np.arange(by_hand.batch_size)
    for batch in by_hand.batches():
        by_hand.set_hidden([H[np.isin(lanes, batch.lanes)] for H in by_hand.get_hidden()])
        lanes = batch.lanes
        by_hand.train_step(batch.X, batch.Y, batch.R)
    with monkeypatch.context() as patch:
        patch.setattr(backend, "compile_program", None)
        gru = fitted(train, n_epochs=1, steps_per_call=1)
    for name, values in gru.get_weights().items():
        np.testing.assert_allclose(by_hand.get_weights()[name], values, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.ReduceLROnPlateau(),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_callbacks_of_a_keras_optimizer_are_refused_before_training(train, callback):
    gru = GRU4Rec(**OPTIONS)
    with pytest.raises(ValueError, match=f"callbacks: {type(callback).__name__} works on a Keras optimizer"):
        gru.fit(train, 60, callbacks=[callback])
    assert gru.model is None


def test_a_backend_that_is_none_is_named_with_its_file(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", "import keras_port"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "KERAS_HOME": str(tmp_path)},
    )
    assert "theano" in done.stderr and str(tmp_path / "keras.json") in done.stderr.splitlines()[-1]


def test_the_package_stands_alone():
    code = "import sys, keras_port; print([m for m in ('aesara', 'original', 'parity', 'torch') if m in sys.modules])"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
