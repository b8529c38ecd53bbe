"""``GRU4Rec.load`` of a ``.keras`` file: whole or refused, and no memory for what a file only declares."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec

FRAME = pd.DataFrame({"SessionId": np.repeat(range(6), 3), "ItemId": list("abcabdacdbcdabcdab"), "Time": range(18)})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A fitted model, and its .keras file."""
    gru = GRU4Rec(layers=[4], batch_size=3, n_sample=4, n_epochs=1, dropout_p_hidden=0.3, jit_compile=False)
    gru.fit(FRAME, 40)
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    gru.model.save(path)
    return gru, path


def rewritten(path, target, changes, **options):
    """The archive with parts changed: ``changes`` is {name: function of bytes, None to leave it out}."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w", **options) as made:
        for name in archive.namelist():
            change = changes.get(name, bytes)
            if change is not None:
                made.writestr(name, change(archive.read(name)))


def of_config(change):
    """A change of the configuration as bytes."""

    def changed(data):
        config = json.loads(data)
        change(config)
        return json.dumps(config).encode()

    return changed


def of_weights(change):
    """A change of the HDF5 file as bytes."""

    def changed(data):
        file = io.BytesIO(data)
        with h5py.File(file, "r+") as weights:
            change(weights)
        return file.getvalue()

    return changed


def first_dataset(weights):
    """The name of some weight in the file."""
    names = []

    def look(name, part):
        if isinstance(part, h5py.Dataset) and part.ndim == 2:
            names.append(name)

    weights.visititems(look)
    return names[0]


def replaced(weights, **options):
    """Some weight is made anew with these options."""
    name = first_dataset(weights)
    value = weights[name][()]
    del weights[name]
    weights.create_dataset(name, **{"data": value} | options)


def linked(weights):
    """Some weight is in another file."""
    name = first_dataset(weights)
    del weights[name]
    weights[name] = h5py.ExternalLink("/etc/passwd", "/x")


def changed_by_one(weights):
    """Some weight is another one."""
    name = first_dataset(weights)
    weights[name][0, 0] += 1


def test_it_goes_on_as_the_model_does(saved):
    gru, path = saved
    loaded = GRU4Rec.load(path, jit_compile=False)
    pd.testing.assert_series_equal(loaded.itemidmap, gru.itemidmap)
    for name, values in gru.get_weights().items():
        np.testing.assert_array_equal(loaded.get_weights()[name], values)
    for name, values in gru.get_optimizer_state().items():
        np.testing.assert_array_equal(loaded.get_optimizer_state()[name], values)
    assert loaded.trainer.state.epochs_done == 1


CONFIG, WEIGHTS, IDS = "config.json", "model.weights.h5", "assets/item_ids.json"
CHANGES = {
    "items beyond the file": {CONFIG: of_config(lambda c: c["config"].__setitem__("n_items", 10**12))},
    "no items": {CONFIG: of_config(lambda c: c["config"].__setitem__("n_items", -1))},
    "units beyond the file": {CONFIG: of_config(lambda c: c["config"]["settings"].__setitem__("layers", [10**7]))},
    "a bad option": {CONFIG: of_config(lambda c: c["config"]["settings"].__setitem__("loss", "none"))},
    "another class": {CONFIG: of_config(lambda c: c.__setitem__("registered_name", "keras>Dense"))},
    "another configuration": {CONFIG: lambda data: b"[]"},
    "no configuration": {CONFIG: None},
    "no weights": {WEIGHTS: None},
    "no ids": {IDS: None},
    "other ids": {IDS: lambda data: data.replace(b'"a"', b'"z"')},
    "another weight": {WEIGHTS: of_weights(changed_by_one)},
    "a declared size": {WEIGHTS: of_weights(lambda w: replaced(w, data=None, shape=(10**6, 10**6), dtype="f4"))},
    "compressed weights": {WEIGHTS: of_weights(lambda w: replaced(w, compression="gzip", chunks=True))},
    "weights elsewhere": {WEIGHTS: of_weights(linked)},
    "a head of zeros": {WEIGHTS: lambda data: bytes(600) + data[600:]},
    "cut weights": {WEIGHTS: lambda data: data[: len(data) // 2]},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_changed_files_are_refused(changes, saved, tmp_path):
    """Every checksum of the archive fits."""
    path = tmp_path / "changed.keras"
    rewritten(saved[1], path, changes)
    with pytest.raises(ValueError) as caught:
        GRU4Rec.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_compressed_archive_is_refused(saved, tmp_path):
    rewritten(saved[1], tmp_path / "bomb.keras", {}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        GRU4Rec.load(tmp_path / "bomb.keras")


def test_the_archive_rewritten_loads(saved, tmp_path):
    """The tests' own way of writing it is no fault."""
    rewritten(saved[1], tmp_path / "same.keras", {})
    assert GRU4Rec.load(tmp_path / "same.keras", jit_compile=False).n_items == 4


def test_another_model_of_keras_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="none of this package"):
        GRU4Rec.load(tmp_path / "other.keras")
