"""A training ends in the step in which a weight stops being finite, and says step, lane and weight."""

import numpy as np
import pandas as pd
import pytest
from engine_tools import ENGINES, plain, weights_finite

GROWING = {"adapt": None, "learning_rate": 1.0, "lmbd": 1e5}  # weights are times -1e5 in each step
RMSPROP = {"loss": "bpr", "adapt": "rmsprop", "adapt_params": [0.9], "learning_rate": 133236.9, "lmbd": 0.001}
ENDING = {
    "at once": {"learning_rate": 1e39},
    "a cost": {"learning_rate": 1e38},
    "squares": {"learning_rate": 1e30},
    "rmsprop": {**RMSPROP, "sigma": 1},
    "growing dense weights": {**GROWING, "final_act": "tanh", "loss": "top1"},
    "momentum": {"momentum": 1e30},
    "initial weights": {"sigma": 1e38},
    "constrained": {"constrained_embedding": True, "learning_rate": 1e38, "momentum": 0.5},
    "separate": {"embedding": 3, "learning_rate": 3e38, "final_act": "tanh", "loss": "top1"},
    "no samples": {"n_sample": 0, "momentum": 1e30},
    "two layers": {"layers": [4, 3], "learning_rate": 3e38, "final_act": "tanh", "loss": "top1"},
    "capped": {"learning_rate": 1e39, "grad_cap": 1e-3},
    "adam": {"adapt": "adam", "adapt_params": [0.9, 0.999], "learning_rate": 2e38},
    "float64": {"dtype": "float64", "momentum": 1e160},
}
BACKENDS = [("original", {"backend": "c"}), ("original", {"backend": "jax"}), ("keras_port", {"jit_compile": False})]


def ended_by_hand(gru, n_epochs):
    """(epoch, step, first bad weight) by looking at every weight after every step; None where all are fine."""
    hidden = [np.zeros((gru.batch_size, L)) for L in gru.layers]
    for epoch in range(n_epochs):
        gru.set_hidden(hidden)
        before = np.arange(gru.batch_size)
        for number, batch in enumerate(gru.batches()):
            if len(batch.lanes) < len(before):
                gru.set_hidden([H[np.isin(before, batch.lanes)] for H in gru.get_hidden()])
                before = batch.lanes
            cost = gru.train_step(batch.X, batch.Y, batch.R).cost
            bad = [name for name, value in gru.get_weights().items() if not np.isfinite(value).all()]
            if bad or np.isnan(cost):
                return epoch + 1, number + 1, bad[0] if bad else "all weights"
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", ENDING.values(), ids=ENDING)
@pytest.mark.parametrize(("name", "fast"), BACKENDS, ids=["original-c", "original-jax", "keras_port"])
def test_the_step(name, fast, options, caplog):
    """fit ends in the very step that a look at every weight after every step finds, and its words are the log's."""
    engine = ENGINES[name]
    ended = []
    gru, again = (engine.new(**{**fast, "n_epochs": 4, **options}) for _ in range(2))
    gru.fit(plain(), 0, on_epoch_end=lambda number, loss: ended.append(number))
    again.prepare(plain(), 0)
    epoch, step, weight = ended_by_hand(again, 4)
    assert gru.error_during_train
    assert gru.fault.startswith(f"epoch {epoch}, step {step}, ") and f" {weight} " in gru.fault
    assert ended == list(range(epoch - 1)), "an epoch that was not whole was reported"
    assert f"{gru.fault}: the training has stopped" in caplog.text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", ENDING.values(), ids=ENDING)
def test_original_and_keras_port_say_the_same(options):
    """The same step, lane and weight in both engines."""
    said = []
    for engine in ENGINES.values():
        gru = engine.new(n_epochs=4, **options)
        gru.fit(plain(), 0)
        said.append(gru.fault)
    assert said[0] == said[1]


TWO_LANES = pd.DataFrame({"SessionId": [1] * 4 + [2] * 4, "ItemId": [1, 2, 3, 4, 5, 6, 7, 8], "Time": range(8)})


@pytest.mark.parametrize(
    ("weight", "item", "value", "n_sample", "said"),
    [
        ("Wx0", 7, 3e38, 0, "epoch 2, step 3, lane 1: weight Wx0 is not finite"),
        ("Wx0", 1, 3e38, 0, "epoch 2, step 1, lane 0: weight Wx0 is not finite"),
        ("By", 7, -3e38, 0, "epoch 2, step 2, lane 1: weight By is not finite"),
        ("By", 4, -3e38, 0, "epoch 2, step 3, lane 0: weight By is not finite"),
        ("By", 1, -3e38, 50, "epoch 2, step 1, a negative sample: weight By is not finite"),
        ("Bh0", None, 3e38, 0, "epoch 2, step 1, all lanes: weight Bh0 is not finite"),
    ],
)
def test_the_lane(engine, weight, item, value, n_sample, said):
    """A row that the next step that uses it carries beyond the largest number."""
    options = {"loss": "cross-entropy", "final_act": "softmax", "momentum": 0.5, "batch_size": 2, "sample_alpha": 0}
    gru = engine.new(n_sample=n_sample, **options)
    gru.fit(TWO_LANES, 0)
    assert not gru.error_during_train and gru.fault == ""
    planted, velocity = gru.get_weights()[weight], gru.get_optimizer_state()[f"vel/{weight}"]
    row = slice(None) if item is None else gru.itemidmap[item]
    planted[row] = velocity[row] = value
    gru.set_weights({weight: planted})
    gru.set_optimizer_state({f"vel/{weight}": velocity})
    gru.n_epochs = 3
    gru.fit(TWO_LANES, 0, resume=True)
    assert gru.error_during_train and gru.fault == said


def test_large_numbers_are_no_fault(engine):
    """Weights so large that their squares are not finite are trained on, step by step as by train_step."""
    options = {"learning_rate": 1e25, "final_act": "tanh", "loss": "top1", "n_epochs": 2}
    gru, again = engine.new(**options), engine.prepared(**options)
    gru.fit(plain(), 0)
    assert not gru.error_during_train and gru.fault == "" and weights_finite(gru)
    assert max(np.abs(value).max() for value in gru.get_weights().values()) > 1e20
    assert ended_by_hand(again, 2) is None
    for name, value in again.get_weights().items():
        np.testing.assert_array_equal(gru.get_weights()[name], value)


def test_not_finite_before(engine, own):
    """A model that is not finite is not trained on: no step is done, and it says which weight."""
    weights = own.get_weights()
    weights["Wy"][3, 0] = np.nan
    own.set_weights({"Wy": weights["Wy"]})
    own.n_epochs, steps = 2, []
    own.fit(plain(), 40, resume=True, on_step=steps.append)
    assert own.error_during_train and not steps
    assert own.fault == "epoch 2, step 0, weight Wy is not finite before the first step"


def test_the_last_good_checkpoint(engine, tmp_path):
    """What was saved at an epoch's end stays the last good state, and goes on from there."""
    gru, path = engine.new(n_epochs=4, **{**RMSPROP, "sigma": 1}), tmp_path / "model"
    gru.fit(plain(), 0, on_epoch_end=lambda number, loss: gru.save(path))
    assert gru.error_during_train and gru.fault.startswith("epoch 2, ")
    good = engine.GRU4Rec.load(path)
    assert not good.error_during_train and good.fault == "" and weights_finite(good)
    good.fit(plain(), 0, resume=True)
    assert good.fault == gru.fault
