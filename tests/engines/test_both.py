"""Both engines in one breath: what the contract leaves open has the same words in both."""

import math

import numpy as np
import pandas as pd
import pytest
from engine_tools import ENGINES, PUBLISHED, plain


@pytest.fixture(scope="module")
def models():
    return {engine.evaluation: engine.prepared() for engine in ENGINES.values()}


def words(call, given):
    """Kind and words of what ``call`` raises, or its result."""
    try:
        return "result", call(*given)
    except Exception as fault:
        return type(fault).__name__, str(fault)


CALLS = {
    "cut_off": lambda ev, gru: ev.evaluate_gpu(gru, plain(), cut_off=0),
    "cut_offs": lambda ev, gru: ev.evaluate_gpu(gru, plain(), cut_off=[1, True]),
    "no items": lambda ev, gru: ev.evaluate_gpu(gru, plain(), []),
    "one item": lambda ev, gru: ev.evaluate_gpu(gru, plain(), 20),
    "unknown item": lambda ev, gru: ev.evaluate_gpu(gru, plain(), [99]),
    "unknown items": lambda ev, gru: ev.ranks(gru, plain(), list(range(200))),
    "infinite times": lambda ev, gru: gru.fit(plain().assign(Time=math.inf)),
    "complex times": lambda ev, gru: gru.fit(plain().assign(Time=1j)),
    "floats": lambda ev, gru: gru.fit(plain().assign(ItemId=0.5 + plain()["ItemId"])),
    "bools": lambda ev, gru: gru.fit(plain().assign(ItemId=plain()["ItemId"] > 103)),
    "dates": lambda ev, gru: gru.fit(plain().assign(ItemId=pd.Timestamp("2020"))),
    "mixed": lambda ev, gru: gru.fit(plain().assign(ItemId=[1, "1"] * (len(plain()) // 2) + [1] * (len(plain()) % 2))),
    "bytes": lambda ev, gru: gru.fit(plain().assign(ItemId=b"1")),
    "text ids": lambda ev, gru: ev.evaluate_gpu(gru, plain().assign(ItemId=plain()["ItemId"].astype(str))),
    "text ids, retrained": lambda ev, gru: gru.fit(plain().assign(ItemId="1"), retrain=True),
    "only unknown items": lambda ev, gru: ev.evaluate_gpu(gru, plain().assign(ItemId=7)),
    "one event a session": lambda ev, gru: ev.evaluate_gpu(gru, plain().drop_duplicates("SessionId")),
    "no column": lambda ev, gru: gru.fit(plain().drop(columns="ItemId")),
    "weights": lambda ev, gru: gru.set_weights({"W": 1}),
    "shape of weights": lambda ev, gru: gru.set_weights({"Wy": np.zeros((3, 4))}),
    "optimizer state": lambda ev, gru: gru.set_optimizer_state({"acc/W": 1}),
    "hidden": lambda ev, gru: gru.set_hidden([np.zeros((3, 5))]),
    "too many rows": lambda ev, gru: gru.set_hidden([np.zeros((4, 4))]),
    "build": lambda ev, gru: gru.build(0),
    "unknown input": lambda ev, gru: gru.predict_next_batch([1], [99], batch=1),
    "unknown input, text": lambda ev, gru: gru.predict_next_batch([1], ["100"], batch=1),
    "lanes": lambda ev, gru: gru.predict_next_batch([1], [100], batch=2),
    "scores": lambda ev, gru: gru.scores([8], [np.zeros((1, 4))]),
    "scores, hidden": lambda ev, gru: gru.scores([0], [np.zeros((2, 4))]),
    "scores, no items": lambda ev, gru: gru.scores([0], [np.zeros((1, 4))], []),
    "train_step, lanes": lambda ev, gru: gru.train_step([0], [0, 0, 0, 0, 0], [True]),
    "train_step, items": lambda ev, gru: gru.train_step([0, 0, 9], [0] * 7, [True] * 3),
    "missing file": lambda ev, gru: type(gru).load("/no/such/file"),
    "missing folder": lambda ev, gru: gru.save("/no/such/folder/model"),
    "ranks": lambda ev, gru: list(ev.ranks(gru, plain()).columns),
    "types of ranks": lambda ev, gru: [str(t) for t in ev.ranks(gru, plain(), mode="median").dtypes],
    "item map": lambda ev, gru: (gru.itemidmap.name, gru.itemidmap.index.name, gru.itemidmap.tolist()),
    "weights' names": lambda ev, gru: list(gru.get_weights()),
    "optimizer's names": lambda ev, gru: list(gru.get_optimizer_state()),
}


@pytest.mark.parametrize("call", CALLS)
def test_same_words(models, call):
    found = [words(CALLS[call], pair) for pair in models.items()]
    assert found[0] == found[1]
    if found[0][0] != "result":
        assert found[0][0] in ("ValueError", "TypeError", "RuntimeError", "FileNotFoundError")


def test_same_options():
    """Defaults and kept values of all options that both have, in one order."""
    shown = [
        engine.GRU4Rec(adapt="adadelta", adapt_params=[0.9], learning_rate=0.5).get_params()
        for engine in ENGINES.values()
    ]
    common = [name for name in shown[0] if name in shown[1]]
    assert common == [*PUBLISHED, "logq", "dtype", "seed", "dropout_seed"]
    assert [name for name in shown[1] if name in shown[0]] == common
    assert {name: shown[0][name] for name in common} == {name: shown[1][name] for name in common}


@pytest.mark.parametrize("mode", ["standard", "conservative", "median"])
def test_same_ranks(models, mode):
    """From the same weights both engines give the same table."""
    (one, first), (two, second) = models.items()
    second.set_weights(first.get_weights())
    pd.testing.assert_frame_equal(one.ranks(first, plain(), mode=mode), two.ranks(second, plain(), mode=mode))
    assert one.evaluate_gpu(first, plain(), [100, 103], cut_off=2, mode=mode) == pytest.approx(
        two.evaluate_gpu(second, plain(), [100, 103], cut_off=2, mode=mode)
    )
