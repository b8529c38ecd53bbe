"""pickle and deepcopy: whole, independent copies of a model."""

import copy
import pickle

import numpy as np
import pytest
from engine_tools import NO_WEIGHTS, epoch, plain, refused, same_arrays, same_model

COPIES = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": (lambda gru, n=n: pickle.loads(pickle.dumps(gru, n))) for n in (2, pickle.HIGHEST_PROTOCOL)},
}


@pytest.mark.parametrize("way", COPIES)
def test_copy(engine, fitted, way):
    other = COPIES[way](fitted)
    assert type(other) is type(fitted) and other is not fitted
    same_model(other, fitted)
    assert engine.evaluation.evaluate_gpu(other, plain()) == engine.evaluation.evaluate_gpu(fitted, plain())
    for a, b in zip(other.get_hidden(), fitted.get_hidden(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_independent(own, way):
    before = own.get_weights()
    other = COPIES[way](own)
    other.set_weights({name: value + 1 for name, value in before.items()})
    other.n_epochs = 9
    same_arrays(own.get_weights(), before)
    assert own.n_epochs == 1


def test_copies_train_on(own, two_epochs):
    """Copies of one model, one after the other, go on with its training as without a break: no stream is shared."""
    for other in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        other.n_epochs = 2
        other.fit(plain(), 40, resume=True)
        same_model(other, two_epochs)


@pytest.mark.parametrize("way", COPIES)
def test_copy_of_a_new_model(engine, way):
    gru = engine.new(layers=[3, 2], dtype="float64")
    other = COPIES[way](gru)
    assert other.get_params() == gru.get_params()
    with refused(RuntimeError, NO_WEIGHTS):
        other.get_weights()
    other.learning_rate = 0.2
    assert gru.learning_rate == 0.1
    with refused(ValueError, "learning_rate=0: a finite number above 0 is accepted"):
        other.learning_rate = 0


@pytest.mark.parametrize("way", COPIES)
def test_copy_of_a_prepared_model(engine, way):
    gru = engine.prepared(sample_store=40, dropout_p_hidden=0.5, train_random_order=True)
    other = COPIES[way](gru)
    for a, b in zip(other.draw_masks(3), gru.draw_masks(3), strict=True):
        np.testing.assert_array_equal(a, b)
    try:
        batches = epoch(other)
    except RuntimeError as refusal:  # a copy may hold no data, as a loaded model does
        assert "no data yet" in str(refusal)
    else:
        assert batches == epoch(gru)


@pytest.mark.parametrize("way", COPIES)
def test_running_sessions(own, way):
    """A copy's sessions do not run in the model's."""
    own.predict_next_batch([1], [100], batch=1)
    other = COPIES[way](own)
    other.predict_next_batch([1], [101], batch=1)
    after = own.predict_next_batch([1], [102], batch=1)
    own.reset_sessions()
    own.predict_next_batch([1], [100], batch=1)
    np.testing.assert_array_equal(own.predict_next_batch([1], [102], batch=1), after)
