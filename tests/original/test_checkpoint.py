"""Model files: training goes on from one to the bit, and what is no whole file is refused."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
from recordings import assert_same_state
from safetensors import safe_open
from safetensors.numpy import save_file
from toys import random_frame

from original import checkpoint
from original.gru4rec import GRU4Rec

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
BACKENDS = ["c", pytest.param("jax", marks=NO_JAX)]
SMALL = dict(loss="bpr-max", layers=[4], batch_size=4, n_sample=6, n_epochs=2, dtype="float64")

EXACT = dict(dropout_p_hidden=0.2, momentum=0.2, train_random_order=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "options, sample_store",
    [(EXACT, 6 * 60), pytest.param(dict(constrained_embedding=True, dropout_p_embed=0.3), 0, marks=pytest.mark.slow)],
)
def test_training_goes_on_from_a_file_to_the_bit(tmp_path, backend, options, sample_store):
    """Two epochs, saved amid a store that was drawn before the permutations, and two more are four epochs."""
    data, losses = random_frame(), {"once": [], "twice": []}
    whole = GRU4Rec(**SMALL | options | dict(n_epochs=4), backend=backend)
    whole.fit(data, sample_store, on_epoch_end=lambda *epoch: losses["once"].append(epoch))

    first = GRU4Rec(**SMALL | options, backend=backend)
    first.fit(data, sample_store, on_epoch_end=lambda *epoch: losses["twice"].append(epoch))
    first.save(tmp_path / "model")
    second = GRU4Rec.load(tmp_path / "model")
    assert second.epochs_done == 2
    assert_same_state(second, first)
    second.set_params(n_epochs=4)
    second.fit(data, sample_store, resume=True, on_epoch_end=lambda *epoch: losses["twice"].append(epoch))

    assert losses["once"] == losses["twice"]
    assert_same_state(second, whole)
    after = [next(gru.batches()).Y.tolist() for gru in (whole, second)]
    assert after[0] == after[1]


@pytest.fixture
def trained(python_mode):
    gru = GRU4Rec(**SMALL | dict(n_epochs=1), dropout_p_hidden=0.1)
    gru.fit(random_frame(), sample_store=100)
    return gru


def test_a_loaded_model_is_the_saved_one(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model")
    assert loaded.get_params() == trained.get_params()
    assert_same_state(loaded, trained)
    pd.testing.assert_series_equal(loaded.itemidmap, trained.itemidmap)
    np.testing.assert_array_equal(loaded.support, trained.support)
    pd.testing.assert_frame_equal(*(gru.predict_next_batch([1, 2], [101, 102], batch=2) for gru in (loaded, trained)))
    for mask, wanted in zip(loaded.draw_masks(4), trained.draw_masks(4), strict=True):
        np.testing.assert_array_equal(mask, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@NO_JAX
def test_a_model_is_loaded_to_compute_elsewhere(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model", backend="jax", device="cpu")
    assert (loaded.backend, loaded.device) == ("jax", "cpu") and "JAX" in loaded.computed_on
    assert_same_state(loaded, trained)
    with pytest.raises(ValueError, match="backend='theano': c or jax is accepted"):
        GRU4Rec.load(tmp_path / "model", backend="theano")


def test_a_loaded_model_can_be_saved_again(trained, tmp_path):
    trained.save(tmp_path / "model")
    GRU4Rec.load(tmp_path / "model").save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "model").read_bytes()
    again = GRU4Rec.load(tmp_path / "copy")
    again.set_params(n_epochs=2)
    again.fit(random_frame(), 100, resume=True)
    assert again.epochs_done == 2


def test_a_retrained_model_goes_on_from_its_file(python_mode, tmp_path):
    old, new = random_frame(), random_frame(n_items=10, seed=1)
    gru = GRU4Rec(**SMALL | dict(n_epochs=1))
    gru.fit(old, 100)
    gru.fit(new, 100, retrain=True)
    assert not gru.support.all()  # some of the items occur in the old data only
    gru.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model").set_params(n_epochs=2)
    loaded.fit(new, 100, resume=True)
    assert loaded.epochs_done == 2


IDS = {
    "text": lambda i: f"é {i}",
    "object": lambda i: f"item {i}",
    "whole numbers in an object column": lambda i: i,
    "float": lambda i: i + 0.0,
}


@pytest.mark.parametrize("kind", IDS)
def test_item_ids_of_any_kind(python_mode, tmp_path, kind):
    """Ids stay what they are, through training, files and prediction."""
    plain = random_frame()
    ids = [IDS[kind](i) for i in plain["ItemId"].unique()]
    renamed = plain.assign(ItemId=plain["ItemId"].map(dict(zip(plain["ItemId"].unique(), ids))))
    if "object" in kind:
        renamed["ItemId"] = renamed["ItemId"].astype(object)
    models = [GRU4Rec(**SMALL | dict(n_epochs=1)) for _ in range(2)]
    for gru, data in zip(models, (plain, renamed)):
        gru.fit(data, 100)
    expected = models[0].predict_next_batch([1], [models[0].itemidmap.index[3]], batch=1)
    models[1].save(tmp_path / "model")
    for gru in (models[1], GRU4Rec.load(tmp_path / "model")):
        scores = gru.predict_next_batch([1], [ids[3]], batch=1)
        assert scores.index.tolist() == ids
        np.testing.assert_array_equal(scores, expected)


# What is no whole file.


@pytest.fixture
def model_file(trained, tmp_path):
    trained.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("size", [-1, -100, 200, 8, 5, 0])
def test_a_truncated_file(model_file, size):
    model_file.write_bytes(model_file.read_bytes()[:size])
    with pytest.raises(ValueError, match=f"{model_file}: no model file, or damaged"):
        GRU4Rec.load(model_file)


def test_files_that_are_no_model_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no model file {tmp_path / 'none'}"):
        GRU4Rec.load(tmp_path / "none")
    (tmp_path / "pickle").write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.")
    with pytest.raises(ValueError, match="no model file, or damaged"):
        GRU4Rec.load(tmp_path / "pickle")
    save_file({"weight/Wy": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(ValueError, match="no model file of this engine"):
        GRU4Rec.load(tmp_path / "other")


def test_any_flipped_byte_is_noticed(model_file):
    whole, random = model_file.read_bytes(), np.random.RandomState(0)
    for position in random.randint(len(whole), size=60):
        changed = bytearray(whole)
        changed[position] ^= 1 << random.randint(8)
        model_file.write_bytes(changed)
        with pytest.raises(ValueError, match=f"^{model_file}: "):
            checkpoint.read(model_file)


def edited(path, change, monkeypatch):
    """Change tensors and header of a file, whose checksum fits afterwards."""
    monkeypatch.setattr("original.checkpoint._checksum", lambda tensors, header: header.get("sha256", "0"))
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["gru4rec"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    change(tensors, header)
    save_file(tensors, path, {"gru4rec": json.dumps(header)})
    return path


def position(stream, *values):
    return lambda t, h: t.update({f"{stream}/position": np.array(values)})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, h: t.update({"weight/Wh0": np.zeros((2, 3))}), r"weight/Wh0 has shape \(2, 3\).*\(4, 4\)"),
        (lambda t, h: t.update({"state/acc/By": np.zeros(3)}), r"state/acc/By has shape \(3,\).*\(15, 1\)"),
        (lambda t, h: t.update({"hidden/0": np.zeros((1, 4))}), "hidden/0 has shape"),
        (lambda t, h: t.update({"weight/Wh0": np.zeros((4, 4), "f")}), "weight/Wh0 holds float32"),
        (lambda t, h: t.pop("weight/By"), "weight/By has shape None"),
        (lambda t, h: t.update(items=np.arange(2)), "items has shape"),
        (lambda t, h: t.update(items=np.zeros(15, np.int64)), "two of its items have the same id"),
        (lambda t, h: t.update(items=np.arange(15.0)), "items holds float64"),
        (lambda t, h: h["params"].update(layers=[5]), "has shape .*the file's settings make it"),
        (lambda t, h: h["params"].update(layers=[10**12]), "has shape"),
        (lambda t, h: h["params"].update(batch_size=10**12), "hidden/0 has shape"),
        (lambda t, h: h["params"].update(loss="hinge"), "loss='hinge': top1, bpr"),
        (lambda t, h: h["params"].update(n_layers=1), "n_layers"),
        (lambda t, h: h.update(format="another"), "format='another': 'gru4rec-original-2' is accepted"),
        (lambda t, h: h.pop("params"), "params is missing"),
        (lambda t, h: h.pop("n_items"), "n_items is missing"),
        (lambda t, h: h.update(n_items=-1), "n_items=-1 in its header"),
        (lambda t, h: h.update(lanes=5), "its header does not fit its tensors"),
        (lambda t, h: h.update(epochs_done="1"), "epochs_done='1' in its header"),
        (lambda t, h: h.update(store_pointer=17), "store_pointer=17 in its header is beyond the store"),
        (lambda t, h: t.pop("stream/position"), "stream/position has shape None"),
        (position("stream", 625, 0), "stream: no state of a random stream"),
        (position("stream", -5, 0), "stream: no state of a random stream"),
        (position("stream", 7, 2), "stream: no state of a random stream"),
        (position("store", 10**8, 0), "store: no state of a random stream"),
        (lambda t, h: t.pop("dropout/0"), "0 dropout streams; 1 are accepted"),
        (lambda t, h: t.update({"dropout/0": t["dropout/0"][:5]}), "a dropout stream of shape"),
        (lambda t, h: t.update({"dropout/0": -t["dropout/0"]}), "numbers that MRG31k3p never has"),
        (lambda t, h: t.update(support=np.arange(7)), "support has shape"),
    ],
)
def test_files_that_do_not_fit_themselves(model_file, monkeypatch, change, message):
    with pytest.raises(ValueError, match=f"^{model_file}: .*{message}"):
        GRU4Rec.load(edited(model_file, change, monkeypatch))


def test_a_link_stays_a_link(trained, tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "model"
    (tmp_path / "link").symlink_to(target)
    trained.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and GRU4Rec.load(target).epochs_done == 1


def test_a_device_is_not_replaced(trained):
    with pytest.raises(OSError, match="/dev/null: no file"):
        trained.save("/dev/null")
