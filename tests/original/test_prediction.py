"""Scores, and the running sessions of ``predict_next_batch``."""

import importlib.util

import numpy as np
import pytest
from remembering import TABLE, Remembering, next_state
from toys import random_frame

from original.gru4rec import GRU4Rec
from original.prediction import MOST_COMPILED, Scorer
from original.settings import Settings
from original.state import of_size

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
SMALL = dict(layers=[4], batch_size=4, n_sample=6, n_epochs=1, dtype="float64")


@NO_JAX
def test_predictions_of_some_items_are_those_of_all(python_mode):
    """And a graph made for many lanes serves few."""
    for backend in ("c", "jax"):
        gru = GRU4Rec(**SMALL | dict(final_act="softmax", loss="cross-entropy"), backend=backend)
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


@NO_JAX
def test_graphs_of_other_shapes_are_kept_in_bounds():
    """A study of many lists of items does not fill the memory with graphs."""
    network = of_size(Settings(**SMALL, backend="jax"), 30).built.trainer.network
    made, backend = [], network.backend
    compile_one = backend.function
    backend.function = lambda *graph: made.append(graph) or compile_one(*graph)
    scorer, hidden = Scorer(network), [np.zeros((1, 4))]
    for n in range(1, MOST_COMPILED + 3):
        scorer.scores([0], hidden, np.arange(n))
    assert len(made) == MOST_COMPILED + 2
    scorer.scores([0], hidden, np.arange(MOST_COMPILED + 2))
    assert len(made) == MOST_COMPILED + 2
    scorer.scores([0], hidden, [0])
    assert len(made) == MOST_COMPILED + 3


def test_a_lane_starts_from_zeros_when_its_session_changes():
    model = Remembering()

    def predicted(sessions, items, **options):
        return model.predict_next_batch(sessions, items, batch=len(sessions), **options)

    predicted([1, 2], [10, 11])
    scores = predicted([1, 3], [12, 12])
    assert scores[0].tolist() == TABLE[next_state(next_state(0, 0), 2)].tolist()
    assert scores[1].tolist() == TABLE[next_state(0, 2)].tolist()
    assert scores.index.tolist() == list(range(10, 17))


def test_another_batch_starts_every_lane_afresh():
    model = Remembering()
    model.predict_next_batch([1, 2], [10, 11], batch=2)
    for batch in (3, 1, 2):
        scores = model.predict_next_batch([1, 2, 3][:batch], [12] * batch, batch=batch)
        assert scores.to_numpy().T.tolist() == [TABLE[next_state(0, 2)].tolist()] * batch


def test_the_session_ids_of_the_caller_may_change_between_calls():
    model, sessions = Remembering(), np.array([1, 2])
    model.predict_next_batch(sessions, [10, 11], batch=2)
    sessions[1] = 3
    scores = model.predict_next_batch(sessions, [12, 12], batch=2)
    assert scores[1].tolist() == TABLE[next_state(0, 2)].tolist()


def test_scores_of_some_items_in_the_order_asked_for():
    wanted = [15, 10, 12]
    scores = Remembering().predict_next_batch([1], [11], wanted, batch=1)
    assert scores.index.tolist() == wanted
    assert scores[0].tolist() == TABLE[next_state(0, 1), [5, 0, 2]].tolist()
