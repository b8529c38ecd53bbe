"""A model in ONNX: one step of many sessions, and their best items."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from keras_port.model import SessionModel

_ITEM = "item"


class Step(keras.Model):
    """Reads [items (M,), states ...]; gives the best k scores (M, k), their items (M, k), and the next states."""

    def __init__(self, model: SessionModel, k: int):
        super().__init__()
        self.model, self.k = model, k

    def build(self, shapes: Any) -> None:
        self.built = True

    def call(self, inputs: list[Any]) -> list[Any]:
        hidden = self.model.step_hidden(inputs[0], list(inputs[1:]), None)
        scores, items = ops.top_k(self.model.scorer(hidden[-1]), self.k)
        return [scores, items, *hidden]


def write(model: SessionModel, known: pd.Index, path: Path, k: int) -> None:
    """Write ``path``, an ONNX file, whole or not at all.

    Its inputs: ``item`` (M,) int32, the *index* of each session's newest item; ``hidden_0`` (M, L_0), ..., its state,
    zeros for a new session. Its outputs: ``scores`` (M, k), best first, ``items`` (M, k), their indices, and
    ``next_hidden_0``, ... The item ids in index order stand in its metadata as JSON, under ``item_ids``.

    Args:
        model: the network.
        known: its item ids, in index order.
        path: of the file.
        k: how many items are given.

    Raises:
        ImportError: tf2onnx or onnx is not installed.
        ValueError: the model has ``dwell_time``.
    """
    settings = model.settings
    if settings.dwell_time:
        raise ValueError(f"form='onnx' with dwell_time={settings.dwell_time}: a model without dwell time is accepted")
    try:
        import onnx
        import tf2onnx  # noqa: F401  # Keras converts by it
    except ImportError as problem:
        raise ImportError(f"form='onnx': {problem}; install gru4rec-parity[onnx]") from None
    states = [f"hidden_{j}" for j in range(len(settings.layers))]
    specs = [keras.InputSpec(shape=(None,), dtype="int32", name=_ITEM)]
    specs += [keras.InputSpec(shape=(None, units), dtype=settings.dtype, name=name)
              for name, units in zip(states, settings.layers)]  # fmt: skip
    step = Step(model, k)
    step([np.zeros(1, np.int32), *(np.zeros((1, units), settings.dtype) for units in settings.layers)])
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        file = f"{folder}/model.onnx"
        step.export(file, format="onnx", input_signature=[specs], verbose=False)
        found = onnx.load(file)
        names = ["scores", "items", *(f"next_{name}" for name in states)]
        for output, name in zip(found.graph.output, names, strict=True):
            found.graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
            output.name = name
        found.metadata_props.add(key="item_ids", value=json.dumps(known.tolist()))
        onnx.checker.check_model(found)
        onnx.save(found, file)
        os.replace(file, path)
