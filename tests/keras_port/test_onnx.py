"""Models in ONNX, as onnxruntime computes them."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec


def trained(**options):
    random = np.random.RandomState(0)
    items = [f"item {item}" for item in random.randint(0, 15, 90)]
    frame = pd.DataFrame({"SessionId": np.repeat(np.arange(30), 3), "ItemId": items, "Time": np.arange(90)})
    gru = GRU4Rec(batch_size=4, n_sample=3, n_epochs=1, jit_compile=False, **options)
    gru.fit(frame)
    return gru


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras writes ONNX from TensorFlow")
@pytest.mark.slow  # tf2onnx
@pytest.mark.parametrize(
    "options",
    [
        {"layers": [5, 4], "final_act": "softmax", "loss": "cross-entropy"},
        {"layers": [6], "constrained_embedding": True, "final_act": "elu-0.5"},
    ],
)
def test_onnxruntime_gives_the_models_scores(tmp_path, options):
    import onnxruntime

    gru, path = trained(**options), tmp_path / "model.onnx"
    gru.export(path, k=6, form="onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path)
    assert json.loads(session.get_modelmeta().custom_metadata_map["item_ids"]) == gru.itemidmap.index.tolist()
    widths = gru.layers
    hidden = [np.zeros((3, width), np.float32) for width in widths]
    for X in ([0, 4, 7], [2, 2, 9]):
        X = np.array(X, np.int32)
        named = {f"hidden_{j}": H for j, H in enumerate(hidden)}
        outputs = ["scores", "items", *(f"next_{name}" for name in named)]
        scores, items, *following = session.run(outputs, {"item": X, **named})
        expected, hidden = gru.scores(X, hidden)
        order = np.argsort(-expected, axis=1, kind="stable")[:, :6]
        np.testing.assert_allclose(scores, np.take_along_axis(expected, order, axis=1), rtol=1e-4, atol=1e-6)
        of_items = np.take_along_axis(expected, items.astype(int), axis=1)
        np.testing.assert_allclose(of_items, scores, rtol=1e-4, atol=1e-6)
        for H, other in zip(hidden, following):
            np.testing.assert_allclose(H, other, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras writes ONNX from TensorFlow")
def test_what_is_refused(tmp_path):
    gru = trained(layers=[4], dwell_time=3)
    with pytest.raises(ValueError, match="form='onnx' with dwell_time=3"):
        gru.export(tmp_path / "model.onnx", k=3, form="onnx")
    with pytest.raises(ValueError, match="form='torch': savedmodel or onnx is accepted"):
        gru.export(tmp_path / "model", k=3, form="torch")
    assert not list(tmp_path.iterdir())
