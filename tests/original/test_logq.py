"""The additions of 2020: ``logq``, against plain NumPy, and ``embedding='layersize'``."""

import importlib.util

import numpy as np
import pytest
from recordings import epoch_steps, relative_error
from scipy.special import expit, log_softmax
from toys import random_frame

from original.graphs.library import graph_inputs
from original.gru4rec import GRU4Rec
from original.network import training_graph
from original.settings import Settings
from original.state import of_size

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
BACKENDS = ["c", pytest.param("jax", marks=NO_JAX)]
SMALL = dict(layers=[4], batch_size=4, n_sample=6, n_epochs=1, dtype="float64", learning_rate=0.05, sigma=0.8)
LOSSES = {
    "top1": dict(final_act="tanh", sample_alpha=0.6),
    "bpr": dict(final_act="linear", sample_alpha=0.0),
    "cross-entropy": dict(final_act="softmax", smoothing=0.1, sample_alpha=0.6),
    "xe_logit": dict(final_act="softmax_logit", sample_alpha=0.0),
    "top1-max": dict(final_act="relu", n_sample=0),
    "bpr-max": dict(final_act="elu-0.5", bpreg=0.7, sample_alpha=0.6),
}


# The formula in NumPy.


def activated(o, final_act):
    if final_act == "softmax":
        return np.exp(log_softmax(o, axis=1))
    if final_act == "softmax_logit":
        return -log_softmax(o, axis=1)
    return {"tanh": np.tanh, "linear": np.asarray, "relu": lambda x: np.maximum(x, 0)}.get(
        final_act, lambda x: np.where(x >= 0, x, 0.5 * np.expm1(x))
    )(o)


def numpy_cost(gru, weights, H, X, Y):
    """The cost of a step of one GRU layer without dropout, as the definitions have it."""
    L, M, N = gru.layers[0], len(X), len(Y)
    v = weights["Wx0"][X] + weights["Bh0"]
    r, z = np.split(expit(v[:, L:] + H @ weights["Wrz0"]), 2, axis=1)
    h = (1 - z) * H + z * np.tanh((H * r) @ weights["Wh0"] + v[:, :L])
    P = gru.support[Y].astype(float)
    P[M:] **= gru.sample_alpha
    o = h @ weights["Wy"][Y].T + weights["By"][Y].T - gru.logq * np.log(P)
    yhat = activated(o, gru.final_act)
    t, negative = np.diag(yhat)[:, None], ~np.eye(M, N, dtype=bool)
    w = np.exp(yhat - yhat.max(axis=1, keepdims=True)) * negative
    w /= w.sum(axis=1, keepdims=True)
    s, rest = gru.smoothing, expit(yhat - t) + expit(yhat**2)
    if gru.loss == "cross-entropy":
        loss = (1 - s * N / (N - 1)) * -np.log(t[:, 0]) + s / (N - 1) * -np.log(yhat).sum(axis=1)
    else:
        loss = {
            "xe_logit": t[:, 0],
            "bpr": -np.log(expit(t - yhat)).mean(axis=1),
            "top1": rest.mean(axis=1) - expit(t[:, 0] ** 2) / N,
            "top1-max": (w * rest).sum(axis=1),
            "bpr-max": -np.log((w * expit(t - yhat)).sum(axis=1)) + gru.bpreg * (w * yhat**2).sum(axis=1),
        }[gru.loss]
    return loss.sum() / gru.batch_size


def numpy_gradients(gru, weights, *step, eps=1e-6):
    """Central differences of the cost by every weight."""
    found = {name: np.empty_like(w) for name, w in weights.items()}
    for name, w in weights.items():
        for at in np.ndindex(w.shape):
            shifted = {sign: weights | {name: w.copy()} for sign in (1, -1)}
            for sign, changed in shifted.items():
                changed[name][at] += sign * eps
            up, down = (numpy_cost(gru, shifted[sign], *step) for sign in (1, -1))
            found[name][at] = (up - down) / (2 * eps)
    return found


def prepared(**options):
    gru = GRU4Rec(**SMALL | options)
    gru.prepare(random_frame(), 100)
    return gru


@pytest.mark.parametrize("loss", LOSSES)
def test_cost_and_gradients_are_those_of_the_formula(python_mode, loss):
    gru = prepared(loss=loss, **LOSSES[loss], logq=0.8)
    batch, weights = next(gru.batches()), gru.get_weights()
    H = np.random.RandomState(1).uniform(-0.5, 0.5, (4, 4))
    gru.set_hidden([H])
    cost, gradients = gru.train_step(batch.X, batch.Y, batch.R, gradients=True)
    assert cost == pytest.approx(numpy_cost(gru, weights, H, batch.X, batch.Y), rel=1e-12)
    wanted = numpy_gradients(gru, weights, H, batch.X, batch.Y)
    for name, index in {"Wx0": batch.X, "Wy": batch.Y, "By": batch.Y}.items():
        rows = np.zeros_like(weights[name])
        np.add.at(rows, index, gradients[name])
        gradients[name] = rows
    for name, gradient in wanted.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-6, atol=1e-9, err_msg=name)


@NO_JAX
def test_jax_steps_to_the_last_lanes_are_those_of_the_formula():
    """Also where lanes have ended, and their columns are padding."""
    gru, fewest = prepared(loss="bpr-max", sample_alpha=0.6, logq=1.0, backend="jax"), 4
    weights = gru.get_weights()
    for batch, _, (H,), step in epoch_steps(gru):
        assert step.cost == pytest.approx(numpy_cost(gru, weights, H, batch.X, batch.Y), rel=1e-11)
        weights, fewest = gru.get_weights(), min(fewest, len(batch.X))
    assert fewest <= 2


@NO_JAX
@pytest.mark.slow
def test_both_backends_train_alike(python_mode):
    options = SMALL | dict(loss="top1", n_sample=0, layers=[5, 4], embedding="layersize", logq=0.7)
    models = [GRU4Rec(**options, backend=backend) for backend in ("c", "jax")]
    for gru in models:
        gru.fit(random_frame(), 100)
    for name, weight in models[0].get_weights().items():
        assert relative_error(models[1].get_weights()[name], weight) < 1e-11, name


@pytest.mark.slow
def test_compiled_c_computes_it_in_float32():
    """C fuses the correction into its neighbours."""
    options = SMALL | dict(dtype="float32", loss="cross-entropy", final_act="softmax", sample_alpha=0.5, logq=1.0)
    gru = GRU4Rec(**options)
    gru.prepare(random_frame(), 100)
    batch, weights = next(gru.batches()), gru.get_weights()
    gru.set_hidden([np.zeros((4, 4))])
    wanted = numpy_cost(gru, weights, np.zeros((4, 4)), batch.X, batch.Y)
    assert gru.train_step(batch.X, batch.Y, batch.R).cost == pytest.approx(wanted, rel=1e-5)


# Where it does not act.


def test_nothing_is_drawn_for_it_and_no_weight_is_another(python_mode):
    plain, corrected = prepared(train_random_order=True), prepared(train_random_order=True, logq=1.0)
    for name, weight in plain.get_weights().items():
        np.testing.assert_array_equal(corrected.get_weights()[name], weight)
    for a, b in zip(plain.batches(), corrected.batches(), strict=True):
        np.testing.assert_array_equal(a.Y, b.Y)


def test_prediction_subtracts_nothing(python_mode):
    plain, corrected = (prepared(loss="cross-entropy", final_act="softmax", logq=logq) for logq in (0.0, 1.0))
    X, hidden = np.arange(3), [np.full((3, 4), 0.2)]
    np.testing.assert_array_equal(corrected.scores(X, hidden)[0], plain.scores(X, hidden)[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_it_the_graph_has_no_trace_of_it(python_mode, backend):
    names = {}
    for logq in (0.0, 0.5):
        network = of_size(Settings(**SMALL, logq=logq, backend=backend), 9).built.trainer.network
        names[logq] = {variable.name for variable in graph_inputs([training_graph(network, np.ones(9)).cost])}
    assert {"logq", "log_support"} <= names[0.5]
    assert not names[0.0] & {"logq", "log_support", "sample_alpha"}


# Support: of the present data, and none.


def test_it_needs_the_support(python_mode):
    gru = GRU4Rec(**SMALL | dict(logq=0.5))
    gru.build(9)
    gru.set_hidden([np.zeros((1, 4))])
    step = [0], np.arange(7), [False]
    for _ in range(2):  # also not of the data of before, which has other items
        with pytest.raises(RuntimeError, match="^logq=0.5 needs the items' support, and the model has no data yet:"):
            gru.train_step(*step)
        gru.prepare(random_frame(), 100)
        gru.build(9)
        gru.set_hidden([np.zeros((1, 4))])


def test_retraining_takes_the_support_of_the_new_data(python_mode):
    """Uniform samples hold items that the new data lacks: their support is 0, and 0 * log 0 is to be 0."""
    gru = prepared(logq=1.0, sample_alpha=0.0)
    new = random_frame(n_items=20, seed=1)
    gru.prepare(new[new["ItemId"] > 107], 100, retrain=True)
    assert (gru.support == 0).any() and gru.support.sum() == (new["ItemId"] > 107).sum()
    weights, lacking = gru.get_weights(), False
    for batch, _, (H,), step in epoch_steps(gru):
        M = len(batch.X)
        lacking |= (gru.support[batch.Y[M:]] == 0).any()
        assert step.cost == pytest.approx(numpy_cost(gru, weights, H, batch.X, batch.Y), rel=1e-11)
        weights = gru.get_weights()
    assert lacking and all(np.isfinite(weight).all() for weight in weights.values())


def test_a_loaded_model_has_the_support_of_its_training(python_mode, tmp_path):
    gru = prepared(logq=0.5, sample_alpha=0.5, embedding="layersize", constrained_embedding=True)
    gru.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model")
    assert (loaded.logq, loaded.embedding) == (0.5, "layersize")
    batch = next(gru.batches())
    costs = []
    for model in (gru, loaded):
        model.set_hidden([np.zeros((4, 4))])
        costs.append(model.train_step(batch.X, batch.Y, batch.R).cost)
    assert costs[0] == costs[1]


# embedding='layersize'.


@pytest.mark.parametrize("options", [dict(layers=[5, 4]), dict(layers=[5, 4], constrained_embedding=True)])
def test_layersize_is_the_width_of_the_first_layer(python_mode, options):
    named, given = (prepared(**options, dropout_p_embed=0.1, embedding=embedding) for embedding in ("layersize", 5))
    assert named.get_params()["embedding"] == "layersize"
    assert named.dropout_sites() == given.dropout_sites()
    for name, weight in given.get_weights().items():
        np.testing.assert_array_equal(named.get_weights()[name], weight, err_msg=name)
    assert ("E" in given.get_weights()) == ("constrained_embedding" not in options)


def test_the_published_order_of_the_options_stays():
    with pytest.raises(TypeError, match="positional"):
        GRU4Rec(*GRU4Rec().get_params().values())
    published = list(GRU4Rec().get_params().values())[:27]
    assert GRU4Rec(*published).get_params() == GRU4Rec().get_params()
    assert list(GRU4Rec().get_params())[27] == "logq"
