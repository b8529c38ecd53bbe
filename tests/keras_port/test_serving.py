"""Recommendations, and the exported model served without this package."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec

SERVE = """
import sys, json, numpy as np, tensorflow as tf
assert not any(name.startswith(("keras_port", "original", "parity")) for name in sys.modules)
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
items, widths, integer = json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4] == "integer"
state = {f"hidden_{j}": tf.zeros((1, width)) for j, width in enumerate(widths)}
for item in items:
    out = serve(item_id=tf.constant([item], tf.int64 if integer else tf.string), **state)
    state = {f"hidden_{j}": out[f"next_hidden_{j}"] for j in range(len(widths))}
ids = out["item_ids"].numpy()[0].tolist()
print(json.dumps([[i if integer else i.decode() for i in ids], out["scores"].numpy()[0].tolist()]))
"""


@pytest.fixture(scope="module", params=["integer", "string"])
def gru(request):
    rng = np.random.RandomState(0)
    items = rng.randint(0, 15, 90)
    ids = items * 10 if request.param == "integer" else np.array([f"item {i}" for i in items], dtype=object)
    frame = pd.DataFrame({"SessionId": np.repeat(np.arange(30), 3), "ItemId": ids, "Time": np.arange(90)})
    model = GRU4Rec(
        layers=[5, 4],
        batch_size=4,
        n_sample=3,
        n_epochs=1,
        final_act="softmax",
        loss="cross-entropy",
        jit_compile=False,
    )
    model.fit(frame)
    return model


def scores_after(gru, items):
    hidden = [np.zeros((1, units)) for units in gru.layers]
    for item in items:
        scores, hidden = gru.scores(np.array([gru.itemidmap[item]]), hidden)
    return pd.Series(scores[0], index=gru.itemidmap.index).sort_values(ascending=False, kind="stable")


def test_recommend_one_and_many(gru):
    ids = list(gru.itemidmap.index)
    sessions = [ids[:1], ids[2:7], ids[4:6]]
    many = gru.recommend(sessions, k=6)
    assert many.items.shape == many.scores.shape == (3, 6)
    for row, session in enumerate(sessions):
        wanted = scores_after(gru, session)[:6]
        assert list(many.items[row]) == list(wanted.index)
        np.testing.assert_allclose(many.scores[row], wanted, rtol=1e-5)
        one = gru.recommend(session, k=6)
        assert list(one.items) == list(wanted.index)
        np.testing.assert_allclose(one.scores, wanted, rtol=1e-5)


def test_unknown_items_are_passed_over(gru):
    ids = list(gru.itemidmap.index)
    unknown = -1 if isinstance(ids[0], int) else "nowhere"
    with_unknown = gru.recommend([unknown, ids[0], unknown, ids[3]], k=3)
    assert list(with_unknown.items) == list(gru.recommend([ids[0], ids[3]], k=3).items)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is written from TensorFlow")
def test_the_exported_model_serves_without_this_package(gru, tmp_path):
    gru.export(tmp_path / "served", k=4)
    assert [path.name for path in tmp_path.iterdir()] == ["served"]
    with pytest.raises(ValueError, match="exists already"):
        gru.export(tmp_path / "served", k=4)
    ids = [i if isinstance(i, str) else int(i) for i in gru.itemidmap.index]
    kind, unknown = ("string", "nowhere") if isinstance(ids[0], str) else ("integer", -1)
    session = [ids[2], unknown, ids[7]]
    arguments = [str(tmp_path / "served"), json.dumps(session), json.dumps(gru.layers), kind]
    command = [sys.executable, "-I", "-c", SERVE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    items, scores = json.loads(done.stdout.splitlines()[-1])
    wanted = gru.recommend(session, k=4)
    assert items == list(wanted.items)
    np.testing.assert_allclose(scores, wanted.scores, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow can export")
def test_export_elsewhere_says_how(gru, tmp_path):
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        gru.export(tmp_path / "served")
