"""Compiled programs: one for all models alike, few in all, and nothing of a model in them."""

import gc
import weakref

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
    """Seeds and epochs make no other program, nor do they share a result; another learning rate does."""
    weights = []
    for seed in (1, 2, 1):
        gru = GRU4Rec(**OPTIONS, seed=seed)
        gru.fit(train, 0)
        weights.append(gru.get_weights()["Wy"])
    assert len(compiled) == 1
    assert not np.array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    GRU4Rec(**OPTIONS, learning_rate=0.2).fit(train, 0)
    assert len(compiled) == 2


def test_a_program_keeps_no_model(train):
    gru = GRU4Rec(**OPTIONS)
    gru.fit(train, 0, validation_data=train)
    gru.recommend([1], k=2)
    model = weakref.ref(gru.model)
    del gru
    gc.collect()
    assert model() is None


def test_sizes_that_vary_make_few_programs(train, compiled):
    gru = GRU4Rec(**OPTIONS)
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
