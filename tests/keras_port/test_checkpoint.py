"""Files of a model: those of earlier releases, and Keras' own."""

import json
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from keras_port import GRU4Rec

SMALL = {"layers": [3], "batch_size": 2, "n_sample": 2, "n_epochs": 1, "jit_compile": False, "dropout_p_hidden": 0.5}
HUGE = 2**63
IDS = {
    "int64": [5, -6, 7],
    "uint64 that are one float": [HUGE + 1, HUGE + 2, HUGE + 3],
    "texts": ["1", "01", "é\0"],
    "floats": [1.0, 2.0, 3.0],
}


def frame_of(ids):
    a, b, c = ids
    dtype = "uint64" if ids[0] == HUGE + 1 else None
    items = pd.Series([a, b, a, c, c, b], dtype=dtype)
    return pd.DataFrame({"SessionId": [1, 1, 2, 2, 3, 3], "ItemId": items, "Time": range(6)})


def fitted(ids=(5, 6, 7), **options):
    gru = GRU4Rec(**{**SMALL, **options})
    gru.fit(frame_of(list(ids)), 0)
    return gru


@pytest.mark.parametrize("kind", IDS)
def test_keras_files_keep_ids_and_training(kind, tmp_path):
    gru = fitted(IDS[kind])
    gru.model.save(tmp_path / "model.keras")
    loaded = GRU4Rec.from_model(keras.saving.load_model(tmp_path / "model.keras"), jit_compile=False)
    pd.testing.assert_series_equal(loaded.itemidmap, gru.itemidmap)
    for model in (gru, loaded):
        model.n_epochs = 2
        model.fit(frame_of(IDS[kind]), 0, resume=True)
    for name, values in gru.get_weights().items():
        np.testing.assert_array_equal(loaded.get_weights()[name], values)


def edit_ids(path, change):
    """A .keras file whose item ids are what ``change(ids)`` makes of them."""
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    (name,) = (name for name in parts if name.endswith("item_ids.json"))
    parts[name] = json.dumps(change(json.loads(parts[name]))).encode()
    with zipfile.ZipFile(path, "w") as changed:
        for name, data in parts.items():
            changed.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found | {"ids": found["ids"][:2]}, "2 item ids for 3 items"),
        (lambda found: found | {"ids": [*found["ids"], 9]}, "4 item ids for 3 items"),
        (lambda found: found | {"ids": [5, 6, 5]}, "5 stands for more than one item"),
        (lambda found: found | {"ids": [1, "1", 2]}, "of one type"),
        (lambda found: found | {"ids": [5, 6, 2**63]}, "item_ids.json"),
        (lambda found: [1, "1", 2], "of one type"),
        (lambda found: 5, "item_ids.json"),
    ],
)
def test_keras_files_with_other_ids_are_refused(change, message, tmp_path):
    fitted().model.save(tmp_path / "model.keras")
    edit_ids(tmp_path / "model.keras", change)
    with pytest.raises(ValueError, match=message):
        keras.saving.load_model(tmp_path / "model.keras")


def test_keras_files_with_another_stream_are_refused(tmp_path):
    gru = fitted()
    arrays = gru.trainer.state.to_arrays()
    for name, value in (("rng/position", [625, 0]), ("rng/position", [-5, 0]), ("masks/0", arrays["masks/0"] * 0 - 1)):
        with pytest.raises(ValueError, match=name.split("/")[0]):
            gru.trainer.state.from_arrays({**arrays, name: np.asarray(value)})


def test_divergence_is_kept_in_keras_files(tmp_path):
    gru = fitted(learning_rate=1e39)
    assert gru.error_during_train
    gru.model.save(tmp_path / "model.keras")
    assert GRU4Rec.from_model(keras.saving.load_model(tmp_path / "model.keras")).error_during_train


@pytest.mark.parametrize("ids", [(5, 6, 7), ("a", "b", "ü")])
def test_a_file_of_the_first_format_loads_and_goes_on(ids, tmp_path):
    """It has no checksum and no fingerprint, its texts stand in the header, and later options may be missing."""
    gru = fitted(ids)
    gru.save(tmp_path / "new")
    with safe_open(tmp_path / "new", "numpy") as file:
        header = file.metadata()
    tensors = load_file(tmp_path / "new")
    settings = json.loads(header["settings"])
    for name in ("logq", "dwell_time", "dwell_weight", "steps_per_call", "jit_compile"):
        settings.pop(name)
    header = {"format": "keras_port.GRU4Rec 1", "n_items": "3", "item_type": "integer"}
    header["settings"] = json.dumps(settings)
    for name in ("state/fingerprint", "state/diverged"):
        tensors.pop(name)
    if ids[0] == "a":
        header |= {"item_type": "string", "item_ids": json.dumps(ids)}
        tensors = {name: values for name, values in tensors.items() if not name.startswith("item_ids")}
    save_file(tensors, tmp_path / "old", header)
    loaded = GRU4Rec.load(tmp_path / "old", jit_compile=False)
    assert loaded.settings() == gru.settings()
    pd.testing.assert_series_equal(loaded.itemidmap, gru.itemidmap)
    for model in (gru, loaded):
        model.n_epochs = 2
        model.fit(frame_of(list(ids)), 0, resume=True)
    for name, values in gru.get_weights().items():
        np.testing.assert_array_equal(loaded.get_weights()[name], values)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    gru, path = fitted(), tmp_path / "model"
    path.write_text("old")

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        gru.save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
