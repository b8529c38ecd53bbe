"""Memory-mapped sessions: the arrays, batches and models of the file that they came from, bit for bit."""

import json

import numpy as np
import pandas as pd
import pytest

from gru4rec import cli, engines, frames, models
from gru4rec.datasets import mapped

ENGINES = ("original", "keras")


@pytest.fixture(params=["numbers", "texts"])
def source(request, tmp_path, dataset):
    """A training file with rows in no order, ties of times, and fractions in some of them."""
    train = dataset[0].copy()
    train["Time"] = train["Time"].astype(float) + (train["SessionId"] % 2) / 4
    if request.param == "texts":
        train["ItemId"] = "item " + train["ItemId"].astype(str)
        train["SessionId"] = "s" + train["SessionId"].astype(str)
    path = tmp_path / "train.tsv"
    train.to_csv(path, sep="\t", index=False)
    return path


def both(source, tmp_path, name):
    """(the engine's Events of the file's frame, those of the mapped folder)"""
    spec = engines.named(name)
    folder = tmp_path / "mapped"
    folder.mkdir(exist_ok=True)
    made = mapped.write(source, folder, frames.Columns())
    kind = spec.events_type()
    module = __import__(kind.__module__, fromlist=["read"])
    return module.read(frames.read(source).frame, module.Columns(*frames.Columns())), made.data_for(spec), made


@pytest.mark.parametrize("name", ENGINES)
def test_the_arrays_are_those_of_the_frame(source, tmp_path, name):
    read, found, made = both(source, tmp_path, name)
    assert type(read) is type(found)
    for field in ("items", "offsets", "times", "session_ids", "item_ids", "support"):
        one, other = (np.asarray(getattr(each, field)) for each in (read, found))
        assert one.tolist() == other.tolist(), field
    assert found.items.dtype == np.int32 and found.offsets.dtype == np.int64
    assert read.fingerprint == found.fingerprint
    assert np.shares_memory(found.items, made.arrays.items) and isinstance(made.arrays.items.base, np.memmap)
    assert made.counts == frames.read(source).counts


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("time_sort", [True, False])
def test_the_batches_are_those_of_the_frame(source, tmp_path, name, time_sort):
    _, found, _ = both(source, tmp_path, name)
    options = {"layers": [4], "batch_size": 8, "n_sample": 5, "time_sort": time_sort}
    batches = []
    for data in (frames.read(source).frame, found):
        gru = engines.named(name).create(options)
        gru.prepare(data, sample_store=50)
        batches.append(list(gru.batches()))
    assert len(batches[0]) == len(batches[1]) > 20
    for one, other in zip(*batches):
        for array, same in zip(one, other):
            np.testing.assert_array_equal(array, same)


def test_a_training_on_either_gives_the_same_model(tmp_path, capsys, files):
    train = [str(files["train"]), "-ps", "layers=4,batch_size=8,n_sample=5,n_epochs=2", "-t", str(files["test"])]
    assert cli.main(["map", train[0], "--out", str(tmp_path / "train.mapped")]) == 0
    assert "memory-mapped" in capsys.readouterr().out
    assert cli.main([*train, "-s", str(tmp_path / "one")]) == 0
    assert cli.main([str(tmp_path / "train.mapped"), *train[1:], "-s", str(tmp_path / "two")]) == 0
    spec = engines.named("keras")
    one, two = (models.load(spec, tmp_path / name) for name in ("one", "two"))
    for name, value in one.get_weights().items():
        np.testing.assert_array_equal(value, two.get_weights()[name])
    assert one.itemidmap.equals(two.itemidmap)
    # begun on the file, it goes on from the folder
    more = ["-ps", "layers=4,batch_size=8,n_sample=5,n_epochs=3", "-t", str(files["test"]), "--resume"]
    assert cli.main([str(tmp_path / "train.mapped"), *more, "-s", str(tmp_path / "one")]) == 0
    assert "epoch 3/3" in capsys.readouterr().out


def test_an_engine_without_such_events_gets_a_frame(source, tmp_path, fake_engines):
    (tmp_path / "mapped").mkdir()
    made = mapped.write(source, tmp_path / "mapped", frames.Columns())
    frame = made.data_for(engines.named("keras"))
    assert isinstance(frame, pd.DataFrame)
    expected = frames.read(source).frame.sort_values(["SessionId", "Time"], kind="stable").reset_index(drop=True)
    assert frame.equals(expected.astype(frame.dtypes.to_dict()))


@pytest.mark.parametrize("name", mapped.NAMES)
def test_a_damaged_folder_is_a_message_and_status_2(tmp_path, capsys, files, name):
    folder = tmp_path / "train.mapped"
    assert cli.main(["map", str(files["train"]), "--out", str(folder)]) == 0
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1 if name != mapped.ABOUT else 255
    (folder / name).write_bytes(content)
    assert cli.main([str(folder), "-t", str(files["test"])]) == 2
    said = capsys.readouterr().err
    assert str(folder)[:20] in said and "Traceback" not in said


def test_another_format_is_said(tmp_path, capsys, files):
    folder = tmp_path / "train.mapped"
    assert cli.main(["map", str(files["train"]), "--out", str(folder)]) == 0
    about = json.loads((folder / mapped.ABOUT).read_text())
    (folder / mapped.ABOUT).write_text(json.dumps(about | {"format": "other"}))
    assert cli.main([str(folder), "-t", str(files["test"])]) == 2
    assert "gru4rec.mapped/1 is accepted" in capsys.readouterr().err.replace("\n", " ")


def test_the_file_is_not_written_over_and_none_is_no_file(tmp_path, capsys, files):
    assert cli.main(["map", str(tmp_path / "none.tsv")]) == 2
    assert "none.tsv" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
