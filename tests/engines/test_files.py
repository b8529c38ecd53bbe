"""Model files: written whole, with the mode of a plain file, and read back to the bit."""

import os
import stat

import numpy as np
import pytest
from engine_tools import mode, plain, same_model, umask


def test_round_trip(engine, fitted, saved, tmp_path):
    """All that a model says comes back, and its file is the same to the byte."""
    loaded = engine.GRU4Rec.load(saved)
    same_model(loaded, fitted)
    assert list(loaded.get_weights()) == list(fitted.get_weights())
    assert list(loaded.get_optimizer_state()) == list(fitted.get_optimizer_state())
    loaded.save(tmp_path / "again")
    fitted.save(tmp_path / "first")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "first").read_bytes() == saved.read_bytes()
    for name in ("evaluate_gpu", "evaluate_sessions_batch"):
        evaluate = getattr(engine.evaluation, name)
        assert evaluate(loaded, plain(), cut_off=[1, 3]) == evaluate(fitted, plain(), cut_off=[1, 3])


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "float64", "layers": [3, 2], "embedding": "layersize", "adapt": "adam", "adapt_params": [0.9, 0.99]},
        {"constrained_embedding": True, "momentum": 0.5, "adapt": "rmsprop", "adapt_params": [0.9], "n_sample": 0},
        {"adapt": None, "item_key": "Ware ä", "dropout_p_hidden": 0.5, "n_epochs": 7, "seed": 4294967295},
        {"layers": np.array([3]), "learning_rate": np.float32(0.1), "time_sort": np.False_, "seed": np.int64(3)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_round_trip_of_options(engine, options, tmp_path):
    gru = engine.new(**options)
    gru.prepare(plain().rename(columns={"ItemId": gru.item_key}), 40)
    gru.save(tmp_path / "model")
    loaded = engine.GRU4Rec.load(tmp_path / "model")
    same_model(loaded, gru)
    assert loaded.itemidmap.index.name == gru.item_key
    X, hidden = [0, 1], [np.ones((2, units), gru.dtype) for units in gru.layers]
    (scores, states), (again, after) = gru.scores(X, hidden), loaded.scores(X, hidden)
    for a, b in zip([scores, *states], [again, *after], strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    for a, b in zip(gru.draw_masks(2), loaded.draw_masks(2), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_was_only_built(engine, tmp_path):
    gru = engine.new()
    gru.build(5)
    gru.save(tmp_path / "model")
    loaded = engine.GRU4Rec.load(tmp_path / "model")
    assert loaded.n_items == 5
    for name, value in gru.get_weights().items():
        np.testing.assert_array_equal(loaded.get_weights()[name], value)


@pytest.mark.parametrize("mask, wanted", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640), (0, 0o666)])
def test_mode_of_a_new_file(own, mask, wanted, tmp_path):
    with umask(mask):
        own.save(tmp_path / "model")
        assert mode(tmp_path / "model") == wanted
        assert os.umask(mask) == mask, "the process keeps its umask"


@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("wanted", [0o664, 0o600, 0o640, 0o444, 0o755])
def test_mode_of_an_existing_file(engine, own, mask, wanted, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(wanted)
    with umask(mask):
        own.save(path)
        own.save(path)
    assert mode(path) == wanted
    assert engine.GRU4Rec.load(path).n_items == 8


def test_nothing_else_is_left(own, tmp_path):
    for _ in range(2):
        own.save(tmp_path / "model")
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_missing_folder(own, tmp_path):
    """Named, before any work: nothing is written anywhere, no folder is made."""
    folder = tmp_path / "no" / "folder"
    with pytest.raises(FileNotFoundError) as caught:
        own.save(folder / "model")
    assert str(folder) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file(own, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(OSError):
        own.save(tmp_path / "model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"] and (tmp_path / "model").is_dir()


def test_a_file_in_place_of_the_folder(own, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError):
        own.save(tmp_path / "file" / "model")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(
    "fault", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()], ids=repr
)
def test_a_save_that_fails(own, call, fault, tmp_path, monkeypatch):
    """The fault is passed on, the earlier file stays, and no temporary file is left."""
    path = tmp_path / "model"
    path.write_bytes(b"the earlier file")

    def fails(*args, **options):
        raise fault

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(type(fault)):
        own.save(path)
    assert path.read_bytes() == b"the earlier file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_disk_full_while_writing(engine, own, tmp_path):
    """A file-size limit: OSError, the earlier file stays, nothing else is left."""
    import resource
    import signal

    path = tmp_path / "model"
    path.write_bytes(b"the earlier file")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
        with pytest.raises(OSError):
            own.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"the earlier file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_flushed_before_the_rename(own, tmp_path, monkeypatch):
    """The file is fsynced before it gets its name, its folder after that; the temporary file stood in that folder."""
    done, fsync, replace = [], os.fsync, os.replace

    def flush(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def rename(old, new, **options):
        done.append("rename")
        assert os.path.dirname(os.path.abspath(old)) == str(tmp_path)
        replace(old, new, **options)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    own.save(tmp_path / "model")
    assert done == ["file", "rename", "folder"]


def test_temporary_names_are_not_shared(own, tmp_path, monkeypatch):
    """Two saves to one path at one time, of one process id even, do not meet in one temporary file."""
    names, replace = [], os.replace

    def rename(old, new, **options):
        names.append(os.fspath(old))
        replace(old, new, **options)

    monkeypatch.setattr(os, "replace", rename)
    own.save(tmp_path / "model")
    own.save(tmp_path / "model")
    assert len(set(names)) == 2


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 200, ".hidden", "-l", "[1]*?"])
def test_names(engine, own, name, tmp_path, monkeypatch):
    """Any name that the file system takes, as text or path, relative too."""
    monkeypatch.chdir(tmp_path)
    own.save(name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert engine.GRU4Rec.load(name).n_items == engine.GRU4Rec.load(tmp_path / name).n_items == 8


def test_missing_file(engine, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        engine.GRU4Rec.load(tmp_path / "nothing-here")


def test_keras_format_keeps_ids(tmp_path):
    """A .keras file keeps large numbers, and tells a number from a text."""
    import keras
    from engine_tools import ENGINES
    from test_ids import with_ids

    engine = ENGINES["keras_port"]
    for ids in (np.arange(8).astype("uint64") + np.uint64(2**63), ["1", "01", "", "é", "a\0", "a", "NA", "🦊"]):
        gru = engine.prepared(with_ids(ids))
        gru.model.save(tmp_path / "model.keras")
        again = engine.GRU4Rec.from_model(keras.models.load_model(tmp_path / "model.keras"), jit_compile=False)
        assert again.itemidmap.index.tolist() == gru.itemidmap.index.tolist()
        for name, value in gru.get_weights().items():
            np.testing.assert_array_equal(again.get_weights()[name], value)
