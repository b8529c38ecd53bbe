"""Scores, running sessions and recommendations."""

import numpy as np
import pandas as pd
import pytest
from engine_tools import ENGINES, plain

SESSIONS = [[100, 101, 102], [103, 104, 105], [100, 100, 100]]


def zeros(gru, M):
    return [np.zeros((M, units), gru.dtype) for units in gru.layers]


def indices(gru, ids):
    return gru.itemidmap[ids].to_numpy()


def test_running_sessions_are_scores_in_a_row(own):
    """predict_next_batch against scores, fed its own hidden states."""
    hidden = zeros(own, 3)
    for step in range(3):
        ids = [items[step] for items in SESSIONS]
        table = own.predict_next_batch(["a", "b", "c"], ids, batch=3)
        scores, hidden = own.scores(indices(own, ids), hidden)
        assert table.shape == (8, 3) and list(table.columns) == [0, 1, 2]
        assert table.index.tolist() == own.itemidmap.index.tolist()
        np.testing.assert_allclose(table.to_numpy().T, scores, rtol=1e-6)


def test_some_items(own):
    """Scores of some items are the rows of the table of all; their order is that asked for."""
    everything = own.predict_next_batch([1, 2], [100, 101], batch=2)
    own.reset_sessions()
    some = own.predict_next_batch([1, 2], [100, 101], [107, 100, 103], batch=2)
    assert some.index.tolist() == [107, 100, 103]
    np.testing.assert_allclose(some, everything.loc[[107, 100, 103]], rtol=1e-6)
    X = indices(own, [100, 101])
    listed, _ = own.scores(X, zeros(own, 2), indices(own, [107, 100, 103]))
    np.testing.assert_allclose(listed, some.to_numpy().T, rtol=1e-6)


def test_another_session_starts_afresh(own):
    """A lane whose session changes starts from zeros, the others go on."""
    first = own.predict_next_batch([1, 2], [100, 100], batch=2)
    second = own.predict_next_batch([1, 3], [100, 100], batch=2)
    np.testing.assert_array_equal(second[1], first[1])
    assert not np.allclose(second[0], first[0], rtol=1e-6, atol=0)
    own.reset_sessions()
    pd.testing.assert_frame_equal(own.predict_next_batch([1, 2], [100, 100], batch=2), first)


def test_another_batch_starts_afresh(own):
    own.predict_next_batch([1, 2], [100, 101], batch=2)
    after = own.predict_next_batch([1, 2, 3], [102, 102, 102], batch=3)
    own.reset_sessions()
    pd.testing.assert_frame_equal(own.predict_next_batch([1, 2, 3], [102, 102, 102], batch=3), after)


def test_default_batch(own):
    assert own.predict_next_batch(np.arange(100), np.full(100, 100)).shape == (8, 100)


@pytest.mark.parametrize("arrays", [list, tuple, np.array, pd.Series, pd.Index])
def test_forms_of_ids(own, arrays):
    wanted = own.predict_next_batch([1, 2], [100, 101], [103, 104], batch=2)
    own.reset_sessions()
    found = own.predict_next_batch(arrays([1, 2]), arrays([100, 101]), arrays([103, 104]), batch=2)
    assert found.index.tolist() == [103, 104]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "given",
    [
        {"session_ids": [1]},
        {"input_item_ids": [100]},
        {"batch": 3},
        {"batch": 100},
        {"input_item_ids": [100, 99]},
        {"input_item_ids": ["100", "101"]},
        {"input_item_ids": [100, None]},
        {"predict_for_item_ids": [99]},
        {"predict_for_item_ids": []},
        {"input_item_ids": [[100, 101]]},
    ],
    ids=str,
)
def test_bad_calls_change_nothing(own, given):
    """A call that is refused leaves the running sessions as they were."""
    own.predict_next_batch([1, 2], [100, 101], batch=2)
    with pytest.raises(ValueError):
        own.predict_next_batch(**{"session_ids": [1, 2], "input_item_ids": [100, 101], "batch": 2, **given})
    after = own.predict_next_batch([1, 2], [102, 103], batch=2)
    own.reset_sessions()
    own.predict_next_batch([1, 2], [100, 101], batch=2)
    pd.testing.assert_frame_equal(own.predict_next_batch([1, 2], [102, 103], batch=2), after)


@pytest.mark.parametrize(
    "X, rows, items",
    [([8], 1, None), ([-1], 1, None), ([0], 2, None), ([], 0, None), ([0], 1, []), ([0], 1, [8]), ([0], 1, [-1])],
)
def test_bad_scores(own, X, rows, items):
    with pytest.raises(ValueError):
        own.scores(X, zeros(own, rows), items)


@pytest.mark.parametrize("final_act", ["softmax", "softmax_logit"])
def test_softmax_gives_probabilities(engine, final_act):
    gru = engine.prepared(final_act=final_act, loss="cross-entropy" if final_act == "softmax" else "xe_logit")
    scores, _ = gru.scores([0, 1], zeros(gru, 2))
    np.testing.assert_allclose(np.sum(scores, axis=1), 1, rtol=1e-5)


# recommend of keras_port.


@pytest.fixture(scope="module")
def keras_model():
    return ENGINES["keras_port"].prepared()


def test_keras_port_recommends(keras_model):
    """The first k of the scores; many sessions in every form of list."""
    table = keras_model.predict_next_batch([1], [100], batch=1)[0]
    keras_model.reset_sessions()
    found = keras_model.recommend([100], k=3)
    assert list(found.items) == table.sort_values(ascending=False).index[:3].tolist()
    np.testing.assert_allclose(found.scores, table.sort_values(ascending=False).iloc[:3], rtol=1e-5)
    many = keras_model.recommend([[100], [101, 102]], k=3)
    assert many.items.shape == (2, 3) and many.items[0].tolist() == list(found.items)
    for form in (pd.Series, np.array, tuple, pd.Index):
        assert keras_model.recommend([form([100]), form([101, 102])], k=3).items.tolist() == many.items.tolist()
        assert keras_model.recommend(form([100]), k=3).items.tolist() == list(found.items)


@pytest.mark.parametrize("k", [0, -1, 9, 1.5, True, None, "3"])
def test_keras_port_refuses_bad_k(keras_model, k):
    with pytest.raises(ValueError, match="^k="):
        keras_model.recommend([100], k=k)


@pytest.mark.parametrize("session", [[], [99], ["100"], [[]], [[100], []], None, 100, "100", [None]], ids=repr)
def test_keras_port_refuses_bad_session(keras_model, session):
    with pytest.raises((ValueError, TypeError), match="session_items"):
        keras_model.recommend(session, k=3)


def test_keras_port_and_learning_rate_callbacks():
    """The updater is no Keras optimizer: a scheduler works, or is refused in words that say so."""
    import keras

    gru = ENGINES["keras_port"].new()
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate=None: 0.05)
    try:
        gru.fit(plain(), 0, callbacks=[schedule])
    except (ValueError, TypeError, RuntimeError) as refusal:
        assert "learning_rate" in str(refusal) or "optimizer" in str(refusal)
