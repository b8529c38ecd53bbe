"""The values that stand under the same names in both engines: Settings, Events, Checkpoint."""

import dataclasses
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engine_tools import plain, refused, same_arrays


def test_settings(engine):
    """Frozen, validated and normalised where it is made; lists again as a dict of JSON values."""
    Settings = engine.module("settings").Settings
    settings = Settings(layers=np.array([3, 4]), n_epochs=np.int64(2), time_sort=np.False_, dtype=np.dtype("float64"))
    assert (settings.layers, settings.n_epochs, settings.time_sort, settings.dtype) == ((3, 4), 2, False, "float64")
    assert Settings(adapt="").adapt is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.n_epochs = 3
    assert settings.as_dict()["layers"] == [3, 4] and settings.as_dict()["adapt_params"] == []
    assert Settings(**settings.as_dict()) == settings and hash(Settings(**settings.as_dict())) == hash(settings)
    with refused(ValueError, "n_sample=-1: a whole number of at least 0 is accepted"):
        Settings(n_sample=-1)
    with pytest.raises(TypeError):
        Settings(n_layers=3)


def test_replaced(engine):
    Settings = engine.module("settings").Settings
    settings = Settings()
    other = settings.replaced(n_epochs=3, layers=[7])
    assert (other.n_epochs, other.layers, settings.n_epochs, settings.layers) == (3, (7,), 10, (100,))
    assert other.replaced(n_epochs=10, layers=[100]) == settings
    with refused(ValueError, "n_epochs=-1: a whole number of at least 0 is accepted"):
        settings.replaced(n_epochs=-1)


def test_parse(engine):
    parse = engine.module("settings").Settings.parse
    assert list(parse("layers", "100/50")) == [100, 50]
    assert parse("time_sort", "0") is False and parse("adapt", "None") is None and parse("n_epochs", "3") == 3
    with refused(ValueError, "n_epochs='x': a whole number of at least 0 is accepted"):
        parse("n_epochs", "x")


@pytest.mark.parametrize(
    "options, mode, width",
    [
        ({"layers": [4, 3]}, "none", None),
        ({"layers": [4, 3], "embedding": 5}, "separate", 5),
        ({"layers": [4, 3], "embedding": "layersize"}, "separate", 4),
        ({"layers": [4, 3], "embedding": 5, "constrained_embedding": True}, "constrained", 3),
    ],
)
def test_inputs(engine, options, mode, width):
    settings = engine.module("settings").Settings(**options)
    assert settings.input_mode == mode
    if width is not None:
        assert settings.input_width == width


@pytest.fixture(scope="module")
def reader(engine):
    events = engine.module("events")
    columns = events.Columns("SessionId", "ItemId", "Time")
    return lambda frame, *more, **options: events.read(frame, columns, *more, **options)


def test_events(engine, reader):
    """A frame as arrays: by session, then time; frozen."""
    frame = plain()
    events = reader(frame)
    sorted_frame = frame.sort_values(["SessionId", "Time"])
    ids = frame["ItemId"].unique()
    assert events.items.dtype == np.int32
    assert ids[events.items].tolist() == sorted_frame["ItemId"].tolist()
    lengths = sorted_frame.groupby("SessionId").size()
    assert np.diff(events.offsets).tolist() == lengths.tolist() and events.offsets[0] == 0
    assert np.asarray(events.times).tolist() == sorted_frame["Time"].tolist()
    assert np.asarray(events.session_ids).tolist() == lengths.index.tolist()
    assert events.support.tolist() == frame["ItemId"].value_counts()[ids].tolist()
    assert re.fullmatch("[0-9a-f]{64}", events.fingerprint)
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        events.items = None


def test_fingerprint(reader):
    """The same for the same events in another form; another for other events."""
    frame, mark = plain(), reader(plain()).fingerprint
    for form in (
        frame.set_index("ItemId", drop=False),
        frame.astype({"ItemId": "int16", "Time": float}),
        frame.astype("category"),
        frame.astype("Int64"),
        pl.DataFrame({name: frame[name].tolist() for name in frame}),
        frame.assign(Time=frame["Time"] * 2),
    ):
        assert reader(form).fingerprint == mark
    swapped = frame.assign(Time=-frame["Time"])
    marks = {
        mark,
        reader(swapped).fingerprint,
        reader(frame.assign(ItemId=frame["ItemId"] + 1)).fingerprint,
        reader(frame.iloc[1:]).fingerprint,
        reader(frame.assign(SessionId=1)).fingerprint,
    }
    assert len(marks) == 5


def test_read_says_which_frame(reader):
    with refused(ValueError, "valid_data: no events; a frame with at least one event is accepted"):
        reader(plain().iloc[:0], what="valid_data")


def test_item_map(engine):
    events = engine.module("events")
    found = events.item_map(plain(), events.Columns("SessionId", "ItemId", "Time"))
    pd.testing.assert_series_equal(found, engine.prepared().itemidmap)


def test_checkpoint(engine, saved, tmp_path):
    """A file is a Checkpoint value, which is written back to the same file."""
    checkpoint = engine.module("checkpoint")
    value = checkpoint.read(saved)
    assert isinstance(value, checkpoint.Checkpoint)
    checkpoint.write(value, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(value, dataclasses.fields(value)[0].name, None)
    same_arrays(engine.GRU4Rec.load(tmp_path / "again").get_weights(), engine.GRU4Rec.load(saved).get_weights())


@pytest.mark.parametrize(
    "module, names",
    [
        ("batches", ["Batch"]),
        ("sampling", ["NegativeSampler"]),
        ("dropout", ["DropoutMasks"]),
        ("initial_weights", ["draw", "extended"]),
        ("training", ["Step", "Progress", "Trainer"]),
        ("prediction", ["KnownSessions"]),
    ],
)
def test_names(engine, module, names):
    for name in names:
        assert callable(getattr(engine.module(module), name))


def test_progress_and_batches(engine):
    """The fields that a user's callback and his own loop see."""
    gru = engine.prepared(n_sample=2)
    batch = next(iter(gru.batches()))
    assert (
        batch.X.shape == (3,) and batch.Y.shape == (5,) and batch.R.dtype == bool and batch.lanes.tolist() == [0, 1, 2]
    )


def test_the_engines_stand_alone(engine):
    """Each imports without the other, and without the other's library."""
    import subprocess
    import sys

    other = {"original": ("keras_port", "tensorflow", "keras"), "keras_port": ("original", "aesara")}[engine.name]
    code = f"import sys, {engine.name}.gru4rec, {engine.name}.evaluation; " + "; ".join(
        f"assert {name!r} not in sys.modules" for name in (*other, "gru4rec", "parity")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
