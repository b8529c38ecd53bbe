"""What a model says before it has weights or data, and what fit refuses before any work."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
from engine_tools import NO_DATA, NO_WEIGHTS, epoch, plain, refused, same_arrays, unchanged

CALLS = {
    "n_items": lambda gru, ev: gru.n_items,
    "get_weights": lambda gru, ev: gru.get_weights(),
    "set_weights": lambda gru, ev: gru.set_weights({}),
    "get_optimizer_state": lambda gru, ev: gru.get_optimizer_state(),
    "set_optimizer_state": lambda gru, ev: gru.set_optimizer_state({}),
    "get_hidden": lambda gru, ev: gru.get_hidden(),
    "set_hidden": lambda gru, ev: gru.set_hidden([np.zeros((3, 4))]),
    "draw_masks": lambda gru, ev: gru.draw_masks(3),
    "train_step": lambda gru, ev: gru.train_step([0], [1], [True]),
    "scores": lambda gru, ev: gru.scores([0], [np.zeros((1, 4))]),
    "predict_next_batch": lambda gru, ev: gru.predict_next_batch([1], [100], batch=1),
    "save": lambda gru, ev: gru.save("never-written"),
    "retrain": lambda gru, ev: gru.fit(plain(), retrain=True),
    "evaluate_gpu": lambda gru, ev: ev.evaluate_gpu(gru, plain()),
    "ranks": lambda gru, ev: ev.ranks(gru, plain()),
    "evaluate_sessions_batch": lambda gru, ev: ev.evaluate_sessions_batch(gru, plain()),
}
CALLS_OF_KERAS = {
    "recommend": lambda gru: gru.recommend([100]),
    "export": lambda gru: gru.export("never-written"),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_weights(engine, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused(RuntimeError, NO_WEIGHTS):
        CALLS[call](engine.new(), engine.evaluation)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", CALLS_OF_KERAS)
def test_no_weights_keras_port(call, tmp_path, monkeypatch):
    from keras_port import GRU4Rec

    monkeypatch.chdir(tmp_path)
    with refused(RuntimeError, NO_WEIGHTS):
        CALLS_OF_KERAS[call](GRU4Rec())
    assert list(tmp_path.iterdir()) == []


def test_no_data(engine, own):
    """Neither a model that was only built nor one from a file has data."""
    gru = engine.new()
    gru.build(8)
    for model in (gru, own):
        with refused(RuntimeError, NO_DATA):
            list(model.batches())


def test_no_data_of_a_new_model(engine):
    with pytest.raises(RuntimeError) as caught:
        list(engine.new().batches())
    assert str(caught.value) in (NO_DATA, NO_WEIGHTS)


def test_an_unbuilt_model_is_not_diverged(engine):
    assert engine.new().error_during_train is False or not engine.new().error_during_train


@pytest.mark.parametrize("n_items", [0, -1, 1.5, True, None, "8", math.nan, []])
def test_build_refuses(engine, n_items):
    with pytest.raises(ValueError, match=r"^n_items="):
        engine.new().build(n_items)


@pytest.mark.parametrize("n_items", [5, 5.0, np.int64(5)])
def test_build(engine, n_items):
    gru = engine.new()
    gru.build(n_items)
    assert gru.n_items == 5 and gru.get_weights()["Wy"].shape == (5, 4)


def test_retrain_and_resume(engine, own):
    words = "retrain=True with resume=True: one of the two is accepted"
    for gru in (engine.new(), own):
        with refused(ValueError, words):
            gru.fit(plain(), retrain=True, resume=True)


def test_no_epochs(engine):
    """n_epochs=0 builds what prepare builds, trains nothing, and the model evaluates and predicts."""
    ended, frame = [], plain()
    gru = engine.new(n_epochs=0)
    with unchanged(frame):
        gru.fit(frame, 0, on_epoch_end=lambda *given: ended.append(given))
    assert ended == [] and not gru.error_during_train
    same_arrays(gru.get_weights(), engine.prepared().get_weights())
    assert len(engine.evaluation.ranks(gru, plain())) == len(plain()) - plain()["SessionId"].nunique()
    assert gru.predict_next_batch([1], [100], batch=1).shape == (8, 1)


def test_one_epoch_after_none(engine, fitted):
    """A model of no epochs is resumed to what one epoch at once gives."""
    gru = engine.new(n_epochs=0)
    gru.fit(plain(), 40)
    gru.n_epochs = 1
    gru.fit(plain(), 40, resume=True)
    same_arrays(gru.get_weights(), fitted.get_weights())


@pytest.mark.parametrize("value", [-1, -1.0, 1.5, True, np.True_, "10", None, math.nan, math.inf, [], np.int64(-1), {}])
def test_sample_store_refused(engine, value):
    words = f"sample_store={value!r}: a whole number of at least 0 is accepted"
    with refused(ValueError, words):
        engine.new().fit(plain(), value)
    with refused(ValueError, words):
        engine.new().prepare(plain(), sample_store=value)


def test_sample_store_forms(engine):
    """A store is a whole number of any type."""
    first = epoch(engine.prepared(sample_store=40))
    for value in (40.0, np.int64(40), np.uint8(40)):
        assert epoch(engine.prepared(sample_store=value)) == first
    assert epoch(engine.prepared(sample_store=np.int32(0))) == epoch(engine.prepared(sample_store=0))


@pytest.mark.parametrize("alpha", [1000.0, -1000.0, 1e300, 0])
def test_extreme_sample_alpha(engine, alpha):
    """Negatives are items whatever the exponent, drawn ahead or step by step, or sample_alpha is refused by name."""
    for store in (0, 40):
        gru = engine.new(sample_alpha=alpha)
        try:
            gru.prepare(plain(), store)
        except ValueError as refusal:
            assert str(refusal).startswith(f"sample_alpha={gru.sample_alpha!r}: ")
        else:
            drawn = np.concatenate([Y[len(X) :] for X, Y, *_ in epoch(gru)])
            assert drawn.min() >= 0 and drawn.max() < 8 and len(drawn) >= 40


def sessions_of(n, length=2):
    """``n`` sessions of ``length`` events."""
    events = range(n * length)
    return pd.DataFrame(
        {"SessionId": [e // length for e in events], "ItemId": [e % 5 for e in events], "Time": list(events)}
    )


def test_too_few_sessions(engine):
    with refused(ValueError, "batch_size=4: at most 3, the sessions of data, is accepted"):
        engine.new(batch_size=4).fit(sessions_of(3))
    with refused(ValueError, "batch_size=4: at most 3, the sessions of data, is accepted"):
        engine.new(batch_size=4).prepare(sessions_of(3))
    assert epoch(engine.prepared(sessions_of(3), batch_size=3))


def test_categories_left_over_are_no_sessions(engine):
    frame = sessions_of(9)
    frame["SessionId"] = frame["SessionId"].astype("category")
    few = frame[frame["SessionId"].isin([0, 4, 7])]
    assert len(few["SessionId"].cat.categories) == 9
    with refused(ValueError, "batch_size=4: at most 3, the sessions of data, is accepted"):
        engine.new(batch_size=4).fit(few)
    assert len(epoch(engine.prepared(few, batch_size=3))) == 1


def test_categories_left_over_are_no_items(engine):
    frame = plain()
    frame["ItemId"] = frame["ItemId"].astype(pd.CategoricalDtype([*range(50, 200)]))
    gru = engine.prepared(frame)
    assert gru.n_items == 8 and list(gru.itemidmap.index) == list(engine.prepared().itemidmap.index)


def test_only_sessions_of_one_event(engine):
    with refused(ValueError, "data: a session of at least two events is needed, all 5 sessions have one"):
        engine.new().fit(sessions_of(5, 1))


def test_categories_left_over_make_no_second_event(engine):
    frame = sessions_of(5, 1)
    frame["SessionId"] = frame["SessionId"].astype(pd.CategoricalDtype(range(20)))
    with refused(ValueError, "data: a session of at least two events is needed, all 5 sessions have one"):
        engine.new().fit(frame)


def test_a_refused_fit_leaves_a_fitted_model(engine, own):
    """Data that are refused take nothing from a model that has weights."""
    before, params = own.get_weights(), own.get_params()
    items = own.itemidmap.copy()
    for bad in (plain().iloc[:0], sessions_of(2), plain().drop(columns="Time"), {"a": 1}):
        for options in ({}, {"retrain": True}, {"resume": True}):
            with pytest.raises((ValueError, TypeError)):
                own.fit(copy.deepcopy(bad), 40, **options)
    same_arrays(own.get_weights(), before)
    pd.testing.assert_series_equal(own.itemidmap, items)
    assert own.get_params() == params


def test_fit_again_starts_afresh(engine, own, fitted):
    """fit without retrain or resume forgets the earlier training."""
    own.fit(plain(), 40)
    same_arrays(own.get_weights(), fitted.get_weights())
