"""Compiled programs: one for all models alike, few in all, and nothing of a model in them."""

import gc
import weakref

import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, backend, evaluation, programs

OPTIONS = {"layers": [4], "batch_size": 3, "n_sample": 4, "n_epochs": 1}


@pytest.fixture(scope="module")
def train():
    rng = np.random.RandomState(0)
    return pd.DataFrame({"SessionId": np.repeat(np.arange(20), 4), "ItemId": rng.randint(0, 15, 80), "Time": range(80)})


@pytest.fixture
def compiled(monkeypatch):
    """The programs that are compiled from here on."""
    programs.forget()
    made, compile_program = [], backend.compile_program

    def counted(*arguments):
        made.append(arguments)
        return compile_program(*arguments)

    monkeypatch.setattr(backend, "compile_program", counted)
    return made


def test_models_alike_share_their_programs(train, compiled):
    """Seeds and epochs make no other program, nor do they share a result; more units do."""
    weights = []
    for seed in (1, 2, 1):
        gru = GRU4Rec(**OPTIONS, seed=seed)
        gru.fit(train, 0)
        weights.append(gru.get_weights()["Wy"])
    assert len(compiled) == 1
    assert not np.array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    GRU4Rec(**OPTIONS | {"layers": [5]}).fit(train, 0)
    assert len(compiled) == 2


NUMBERS = [
    {"momentum": (0.1, 0.6), "lmbd": (0.01, 0.2), "grad_cap": (0.5, 0.1), "bpreg": (0.3, 2.0)},
    {"loss": "xe_logit", "final_act": "softmax_logit", "smoothing": (0.1, 0.3), "dropout_p_hidden": (0.5, 0.2)},
    {"adapt": "adam", "adapt_params": ([0.9, 0.999], [0.5, 0.7]), "dropout_p_embed": (0.1, 0.4), "embedding": 3},
    {"adapt": "rmsprop", "adapt_params": ([0.9], [0.5]), "sample_alpha": (0.5, 0.0), "dtype": "float64"},
    {"adapt": "adadelta", "adapt_params": ([0.9], [0.5]), "learning_rate": 1.0},
    {"adapt": None, "constrained_embedding": True, "momentum": (0.2, 0.9)},
]


@pytest.mark.parametrize("options", NUMBERS)
def test_models_that_differ_by_numbers_share_their_programs(options, train, compiled):
    """Each is trained, and predicts, as if the program had been compiled for it alone."""
    first, second = (
        {name: value[place] if isinstance(value, tuple) else value for name, value in options.items()}
        for place in (0, 1)
    )
    options = [{"learning_rate": 0.1, **first}, {"learning_rate": 0.3, **second}]
    found = []
    for each in options:
        gru = GRU4Rec(**OPTIONS, **each)
        gru.fit(train, 0)
        found.append((gru.get_weights(), evaluation.ranks(gru, train)["rank"]))
    assert len(compiled) == 3  # steps, states, ranks
    for (weights, ranks), each in zip(found, options, strict=True):
        programs.forget()
        alone = GRU4Rec(**OPTIONS, **each)
        alone.fit(train, 0)
        for name, values in alone.get_weights().items():
            np.testing.assert_array_equal(weights[name], values, err_msg=name)
        np.testing.assert_array_equal(ranks, evaluation.ranks(alone, train)["rank"])
    assert not np.array_equal(found[0][0]["Wy"], found[1][0]["Wy"])


def test_a_training_without_its_numbers_takes_those_of_the_settings(train, compiled):
    """Such as a caller of the program makes: it is no other model's."""
    from keras_port import step

    costs = []
    for rate in (0.1, 0.3):
        gru = GRU4Rec(**OPTIONS, learning_rate=rate)
        gru.prepare(train, 0)
        gru.trainer.batches.start_epoch()
        programs.run(step.run_steps, gru.model, gru.trainer.state.variables(), gru.trainer.batches.chunk(0))
        costs.append(gru.get_weights()["Wy"])
        again = GRU4Rec(**OPTIONS, learning_rate=rate)
        again.prepare(train, 0)
        again.trainer.epoch(0, keras.callbacks.CallbackList(), most_steps=32)
        # a number that the compiler knows may be rounded in another place
        np.testing.assert_allclose(costs[-1], again.get_weights()["Wy"], rtol=1e-4, atol=1e-6)
    assert np.abs(costs[0] - costs[1]).max() > 1e-3


def test_a_program_keeps_no_model(train):
    gru = GRU4Rec(**OPTIONS)
    gru.fit(train, 0, validation_data=train)
    gru.recommend([1], k=2)
    model = weakref.ref(gru.model)
    del gru
    gc.collect()
    assert model() is None


def test_sizes_that_vary_make_few_programs(train, compiled):
    gru = GRU4Rec(**OPTIONS, jit_compile=False)  # whether by XLA or not, sizes are rounded
    gru.prepare(train, 0)
    ids = gru.itemidmap.index
    for size in range(1, 16):
        gru.recommend([ids[0]], k=min(size, gru.n_items))
        evaluation.ranks(gru, train, items=ids[: min(size, len(ids))], batch_size=size)
    first = len(compiled)
    for size in range(1, 16):
        evaluation.ranks(gru, train, items=ids[: min(size, len(ids))], batch_size=size)
    assert len(compiled) - first <= first  # the cache is bounded, so that some may be compiled again
    assert len({programs.rounded(size) for size in range(1025, 2049)}) == 8


@pytest.mark.parametrize("size", [1, 7, 16, 17, 100, 1000, 10**6])
def test_rounded_up_by_at_most_an_eighth(size):
    assert size <= programs.rounded(size) <= size * 9 / 8
