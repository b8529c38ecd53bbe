"""Weights that are not finite: training ends and says so, and nothing evaluates or recommends with them."""

import copy
import math
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from engine_tools import ENGINES, MODES, plain, refused, weights_finite


def evaluated(evaluation, gru, **options):
    """The three evaluations of a model, as calls."""
    return {
        name: lambda name=name: getattr(evaluation, name)(gru, plain(), **options)
        for name in ("evaluate_gpu", "ranks", "evaluate_sessions_batch")
    }


WEIGHTS = ["Wx0", "Wh0", "Wrz0", "Bh0", "Wy", "By"]


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_weight(engine, own, weight, value):
    """One number that is not finite, in any tensor, and no function in any mode gives a figure."""
    weights = own.get_weights()
    weights[weight].flat[-1] = value
    own.set_weights({weight: weights[weight]})
    words = f"the model's weights are not finite (first: {weight}): it cannot be evaluated"
    for mode in MODES:
        for call in evaluated(engine.evaluation, own, mode=mode).values():
            with refused(RuntimeError, words):
                call()
    for call in evaluated(engine.evaluation, own, items=[100, 101]).values():
        with refused(RuntimeError, words):
            call()
    if engine.name == "keras_port":
        for session in ([100, 101], [[100], [101, 102]]):
            with refused(RuntimeError, f"the model's weights are not finite (first: {weight}): it cannot recommend"):
                own.recommend(session, k=3)


def test_first_in_order(engine, own):
    """Of several tensors the first is named; once all are finite again the model evaluates."""
    good = own.get_weights()
    own.set_weights({name: np.full_like(good[name], math.nan) for name in ("By", "Wh0")})
    first = next(name for name in good if name in ("By", "Wh0"))
    with refused(RuntimeError, f"the model's weights are not finite (first: {first}): it cannot be evaluated"):
        engine.evaluation.evaluate_gpu(own, plain())
    own.set_weights(good)
    assert 0 <= engine.evaluation.evaluate_gpu(own, plain())[0] <= 1


def test_the_separate_embedding(engine):
    gru = engine.prepared(embedding=3)
    E = gru.get_weights()["E"]
    E[0, 0] = math.nan
    gru.set_weights({"E": E})
    with refused(RuntimeError, "the model's weights are not finite (first: E): it cannot be evaluated"):
        engine.evaluation.evaluate_gpu(gru, plain())


def test_not_finite_after_load(engine, own, tmp_path):
    weights = own.get_weights()
    weights["By"][0] = math.nan
    own.set_weights(weights)
    own.save(tmp_path / "model")
    loaded = engine.GRU4Rec.load(tmp_path / "model")
    for call in evaluated(engine.evaluation, loaded).values():
        with refused(RuntimeError, "the model's weights are not finite (first: By): it cannot be evaluated"):
            call()


def test_training_ends(diverged):
    """The first step makes weights that are not finite: no second epoch begins, the flag is set, the log says where."""
    gru, texts, ended = diverged
    assert gru.error_during_train and not weights_finite(gru)
    assert ended in ([], [0])
    names = "|".join(gru.get_weights())
    assert any(re.search(r"\bstep\b", text) and re.search(rf"\b({names})\b", text) for text in texts), texts


def test_diverged_is_not_evaluated(engine, diverged):
    gru = diverged[0]
    for mode in MODES:
        for call in evaluated(engine.evaluation, gru, mode=mode).values():
            with pytest.raises(
                RuntimeError, match=r"^the model's weights are not finite \(first: \w+\): it cannot be "
            ):
                call()
    if engine.name == "keras_port":
        with pytest.raises(RuntimeError, match=r"^the model's weights are not finite \(first: \w+\): it cannot recomm"):
            gru.recommend([100], k=3)


def test_the_flag_survives(engine, diverged, tmp_path):
    """Save and load, pickle and deepcopy keep it, and the copies are not evaluated either."""
    gru = diverged[0]
    gru.save(tmp_path / "model")
    for other in (engine.GRU4Rec.load(tmp_path / "model"), pickle.loads(pickle.dumps(gru)), copy.deepcopy(gru)):
        assert other.error_during_train
        with pytest.raises(RuntimeError, match="^the model's weights are not finite"):
            engine.evaluation.evaluate_gpu(other, plain())


def test_the_flag_of_a_good_model(engine, fitted, own):
    assert not fitted.error_during_train and not own.error_during_train


def test_the_flag_goes_with_a_new_training(engine, diverged, tmp_path):
    gru = diverged[0]
    gru.save(tmp_path / "model")
    again = engine.GRU4Rec.load(tmp_path / "model")
    again.n_epochs = 0
    again.fit(plain(), 0)
    assert not again.error_during_train and weights_finite(again)
    assert 0 <= engine.evaluation.evaluate_gpu(again, plain())[0] <= 1


ONE_STEP = pd.DataFrame({"SessionId": [1, 1, 2, 2], "ItemId": [1, 2, 3, 4], "Time": range(4)})


def test_the_last_step(engine):
    """The only step has a finite cost and leaves weights that are not finite."""
    gru, losses = engine.new(batch_size=2, learning_rate=1e39, n_epochs=1), []
    gru.fit(ONE_STEP, 0, on_epoch_end=lambda number, loss: losses.append(loss))
    assert gru.error_during_train and not weights_finite(gru)
    assert len(losses) <= 1 and np.isfinite(losses).all()
    with pytest.raises(RuntimeError, match="^the model's weights are not finite"):
        engine.evaluation.evaluate_gpu(gru, ONE_STEP)


def test_original_in_c():
    """C mode finds it too, and its file tells JAX mode."""
    engine = ENGINES["original"]
    gru = engine.new(backend="c", batch_size=2, learning_rate=1e39)
    gru.fit(ONE_STEP, 0)
    assert gru.error_during_train
    with pytest.raises(RuntimeError, match="^the model's weights are not finite"):
        engine.evaluation.evaluate_sessions_batch(gru, ONE_STEP)


def test_keras_port_validates_no_diverged_model():
    """Keras validates at an epoch's end: a diverged model gets no figures there, and fit ends without an exception."""
    engine = ENGINES["keras_port"]
    gru = engine.new(batch_size=2, learning_rate=1e39, n_epochs=2)
    history = gru.fit(ONE_STEP, 0, validation_data=ONE_STEP)
    assert gru.error_during_train
    figures = [value for name, values in history.history.items() if name.startswith("val_") for value in values]
    assert not np.isfinite(figures).any()


class NanPredictor:
    """A foreign predictor, some of whose scores are NaN."""

    def __init__(self, fitted, scores):
        self.itemidmap, self.scores = fitted.itemidmap, scores

    def predict_next_batch(self, session_ids, input_item_ids, predict_for_item_ids=None, batch=100):
        ids = self.itemidmap.index if predict_for_item_ids is None else pd.Index(predict_for_item_ids)
        return pd.DataFrame(np.tile(np.resize(self.scores, (len(ids), 1)), batch), index=ids)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("items", [None, [100, 101, 102]])
def test_nan_scores_of_another_predictor(engine, fitted, mode, items):
    """Scores that are NaN never make a hit: they are refused, or rank last."""
    predictor = NanPredictor(fitted, [math.nan])
    try:
        found = engine.evaluation.evaluate_sessions_batch(predictor, plain(), items, cut_off=1, mode=mode)
    except (ValueError, RuntimeError) as refusal:
        assert re.search("finite|NaN|number", str(refusal))
    else:
        assert found == (0.0, 0.0)
