"""Item ids: what can be saved is kept without loss, what cannot is refused in the first second; types that differ."""

import math
import uuid
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engine_tools import both_types, plain, same_arrays, split_file

HUGE = 2**63
LOSSLESS = {  # eight ids each, one for each item of the plain frame
    "int64": np.arange(8) - 4,
    "int8": np.arange(-128, -120).astype("int8"),
    "uint8": np.arange(248, 256).astype("uint8"),
    "int32": np.arange(8).astype("int32") + 2**30,
    "uint64": np.arange(8).astype("uint64") + np.uint64(2**64 - 8),
    "uint64 that are one float": np.arange(8).astype("uint64") + np.uint64(HUGE),
    "int64 that are one float": np.arange(8) + 2**62,
    "whole floats": np.arange(8) * 1.0,
    "large whole floats": np.arange(8) * 1e300,
    "negative whole floats": np.arange(8) - 4.0,
    "float32": np.arange(8).astype("float32"),
    "texts": [f"item {i}" for i in range(8)],
    "numbers as texts": ["7", "07", "007", "7.0", "1e1", "10", "+7", " 7"],
    "names of nothing": ["", " ", "NA", "null", "None", "nan", "NaN", "0"],
    "control characters": ["a", "a ", "a\x1f", "\x01", "a\n", "a\r\n", "\t", "\x7f"],
    "not ASCII": ["é", "e\u0301", "ß", "Ω", "日本", "🦊", "\ufeff", "\u202e"],
    "quotation marks and JSON": ['"', "\\", "[1, 2]", '{"a": 1}', "'", "\\u0041", "A", "null\\"],
    "long": [f"{i}" * 5000 for i in range(8)],
}
AS_TYPE = {  # type of the column -> ids
    "Int64": pd.array(np.arange(8), "Int64"),
    "UInt64": pd.array(np.arange(8).astype("uint64") + np.uint64(HUGE), "UInt64"),
    "Int64 that are one float": pd.array(np.arange(8) + 2**62, "Int64"),
    "object int": pd.Series(list(range(8)), dtype=object),
    "object uint64": pd.Series([HUGE + i for i in range(8)], dtype=object),
    "object NumPy int": pd.Series([np.int64(i) for i in range(8)], dtype=object),
    "object str": pd.Series([f"i{i}" for i in range(8)], dtype=object),
    "object np.str_": pd.Series([np.str_(f"i{i}") for i in range(8)], dtype=object),
    "string": pd.array([f"i{i}" for i in range(8)], "string"),
    "category of int": pd.Series(range(8)).astype("category"),
    "category of str": pd.Series([f"i{i}" for i in range(8)]).astype("category"),
}


def with_ids(ids, frame=None):
    """The plain frame with the eight ``ids`` for items 100 to 107."""
    frame = plain() if frame is None else frame
    return frame.assign(ItemId=pd.Series(ids)[frame["ItemId"].to_numpy() - 100].set_axis(frame.index))


@pytest.mark.parametrize("kind", [*LOSSLESS, *AS_TYPE])
def test_kept_without_loss(engine, kind, tmp_path):
    """n different ids are n items; after save and load they are the same ids of the same type, and found again."""
    ids = pd.Series({**LOSSLESS, **AS_TYPE}[kind])
    frame = with_ids(ids)
    gru = engine.new(n_epochs=0)
    gru.fit(frame, 0)
    assert gru.n_items == 8
    path = tmp_path / "model"
    gru.save(path)
    loaded = engine.GRU4Rec.load(path)
    assert set(loaded.itemidmap.index.tolist()) == set(ids.tolist())
    assert [repr(i) for i in loaded.itemidmap.index.tolist()] == [repr(i) for i in gru.itemidmap.index.tolist()]
    assert loaded.itemidmap.index.dtype == gru.itemidmap.index.dtype
    pd.testing.assert_series_equal(loaded.itemidmap, gru.itemidmap)
    wanted = gru.itemidmap.index[[3, 0]]
    for given in (wanted, wanted.tolist(), wanted.to_numpy()):
        table = loaded.predict_next_batch([1, 2], given, batch=2)
        pd.testing.assert_frame_equal(table, gru.predict_next_batch([1, 2], given, batch=2))
        gru.reset_sessions()
        loaded.reset_sessions()
    found = engine.evaluation.ranks(loaded, frame)
    assert len(found) == len(frame) - frame["SessionId"].nunique()


def test_floats_stay_floats(engine):
    gru = engine.prepared(with_ids(np.arange(8) * 1.0))
    assert gru.itemidmap.index.dtype.kind == "f"


def test_polars_ids(engine, tmp_path):
    frame = pl.DataFrame(
        {
            "SessionId": plain()["SessionId"].tolist(),
            "ItemId": pl.Series([HUGE + i for i in plain()["ItemId"].tolist()], dtype=pl.UInt64),
            "Time": plain()["Time"].tolist(),
        }
    )
    gru = engine.prepared(frame)
    gru.save(tmp_path / "model")
    assert set(engine.GRU4Rec.load(tmp_path / "model").itemidmap.index.tolist()) == {HUGE + i for i in range(100, 108)}


def test_many_text_ids_do_not_stand_in_the_header(engine, tmp_path):
    """The header of a file does not grow with the number of items."""
    n, path = 3000, tmp_path / "model"
    ids = [f"{uuid.UUID(int=i)}" for i in range(n)]
    frame = pd.DataFrame({"SessionId": np.arange(n) // 3, "ItemId": ids, "Time": range(n)})
    gru = engine.prepared(frame, layers=[1], constrained_embedding=True)
    gru.save(path)
    header, _ = split_file(path.read_bytes())
    assert len(str(header)) < 20_000
    assert engine.GRU4Rec.load(path).itemidmap.index.tolist() == ids


REFUSED = {
    "floats that are not whole": np.arange(8) + 0.5,
    "one float that is not whole": [*range(7), 7.25],
    "infinite": [*range(7), math.inf],
    "bool": [True, False] * 4,
    "object bool": pd.Series([True, False] * 4, dtype=object),
    "nullable bool": pd.array([True, False] * 4, "boolean"),
    "UUID": [uuid.UUID(int=i) for i in range(8)],
    "Decimal": [Decimal(i) for i in range(8)],
    "Fraction": [Fraction(i, 3) for i in range(8)],
    "datetime": pd.date_range("2020", periods=8),
    "object datetime": pd.Series([datetime(2020, 1, i + 1) for i in range(8)], dtype=object),
    "date": pd.Series([date(2020, 1, i + 1) for i in range(8)], dtype=object),
    "timedelta": pd.to_timedelta(range(8), "s"),
    "period": pd.period_range("2020-01", periods=8, freq="M"),
    "interval": pd.interval_range(0, 8),
    "complex": np.arange(8) * 1j,
    "bytes": pd.Series([b"%d" % i for i in range(8)], dtype=object),
    "tuples": pd.Series([(i,) for i in range(8)], dtype=object),
    "lists": pd.Series([[i] for i in range(8)], dtype=object),
    "dicts": pd.Series([{"a": i} for i in range(8)], dtype=object),
    "mixed int and str": pd.Series([*range(7), "7"], dtype=object),
    "mixed str and int": pd.Series(["0", *range(1, 8)], dtype=object),
    "mixed str and float": pd.Series([*"abcdefg", 1.5], dtype=object),
    "1 and '1'": pd.Series([1, "1"] * 4, dtype=object),
    "mixed bool and int": pd.Series([True, *range(1, 8)], dtype=object),
    "category of datetimes": pd.Series(pd.date_range("2020", periods=8)).astype("category"),
    "category of mixed": pd.Series([*range(7), "7"], dtype=object).astype("category"),
    "too large": pd.Series([2**64 + i for i in range(8)], dtype=object),
    "below 0 and above 2**63": pd.Series([-1, *(HUGE + i for i in range(7))], dtype=object),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(engine, kind):
    """Refused before any work: by fit, by prepare, and with its type in the words."""
    frame = with_ids(REFUSED[kind])
    gru = engine.new()
    for call in (gru.fit, gru.prepare):
        with pytest.raises(ValueError, match=r"^data: column 'ItemId' holds .+; whole numbers or texts are accepted$"):
            call(frame)
    with pytest.raises(RuntimeError, match="^the model has no weights yet"):
        gru.get_weights()


@pytest.mark.parametrize(
    "kind, words",
    [("bool", "bool"), ("UUID", "UUID"), ("Decimal", "Decimal"), ("datetime", "datetime"), ("bytes", "bytes")],
)
def test_the_type_is_named(engine, kind, words):
    with pytest.raises(ValueError, match=f"holds .*{words}"):
        engine.new().fit(with_ids(REFUSED[kind]))


def test_polars_refused(engine):
    frame = pl.DataFrame({name: plain()[name].tolist() for name in plain()})
    for column in (
        pl.col("ItemId").cast(pl.Decimal(10, 2)),
        pl.col("ItemId").cast(pl.Datetime),
        pl.col("ItemId").cast(pl.String).cast(pl.Binary),
        pl.concat_list("ItemId"),
        pl.struct("ItemId").alias("ItemId"),
        pl.col("ItemId") % 2 == 0,
        pl.col("ItemId") + 0.5,
    ):
        with pytest.raises(ValueError, match=r"^data: column 'ItemId' holds .+; whole numbers or texts are accepted$"):
            engine.new().fit(frame.with_columns(column))


@pytest.mark.parametrize("text", ["\ud800", "a\0", "a\0b"], ids=["lone surrogate", "NUL", "NUL within"])
def test_texts_that_libraries_mangle(engine, text, tmp_path):
    """A lone surrogate has no UTF-8, and pandas compares up to a NUL: refused before any work, or kept."""
    frame = with_ids([*"abcdefg", text])
    gru = engine.new()
    try:
        gru.prepare(frame, 0)
    except ValueError as refusal:
        assert str(refusal).startswith("data: column 'ItemId'")
    else:
        assert gru.n_items == 8 and set(gru.itemidmap.index.tolist()) == {*"abcdefg", text}
        gru.save(tmp_path / "model")
        assert engine.GRU4Rec.load(tmp_path / "model").itemidmap.index.tolist() == gru.itemidmap.index.tolist()


# Other types than the model's.


@pytest.mark.parametrize("model_ids", ["numbers", "texts"])
@pytest.mark.parametrize("text", ["str", object, "category", "Polars"])
def test_types_that_differ(engine, model_ids, text):
    """Text ids against numbers: evaluation and retraining say both types, and no item is added."""
    numbers = plain()
    texts = plain().assign(ItemId=plain()["ItemId"].astype(str).astype("str" if text == "Polars" else text))
    if text == "Polars":
        texts = pl.DataFrame({name: texts[name].tolist() for name in texts})
    own, other = (numbers, texts) if model_ids == "numbers" else (texts, numbers)
    gru = engine.prepared(own)
    before = gru.get_weights()
    for call in (
        lambda: engine.evaluation.evaluate_gpu(gru, other),
        lambda: engine.evaluation.ranks(gru, other),
        lambda: engine.evaluation.evaluate_sessions_batch(gru, other),
        lambda: gru.fit(other, 0, retrain=True),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert both_types(str(caught.value)), str(caught.value)
    assert gru.n_items == 8 and len(gru.itemidmap) == 8
    same_arrays(gru.get_weights(), before)


def test_items_of_another_type(engine, fitted):
    """Ids given by hand: a text is not a number."""
    for ids in (["100"], np.array(["100"]), pd.Index(["100"])):
        with pytest.raises(ValueError):
            engine.evaluation.evaluate_gpu(fitted, plain(), ids)
        with pytest.raises(ValueError):
            fitted.predict_next_batch([1], ids, batch=1)
        with pytest.raises(ValueError):
            fitted.predict_next_batch([1], [100], ids, batch=1)
    fitted.reset_sessions()


@pytest.mark.parametrize(
    "dtype", ["int32", "uint8", "uint64", "Int64", "UInt16", "category", object, "float64", "Float64", "float32"]
)
def test_retraining_with_the_same_numbers(engine, own, dtype):
    """The same ids in another type of number are the same items, or are refused; the catalogue is never doubled."""
    frame = plain().astype({"ItemId": dtype})
    own.n_epochs = 0
    before = own.itemidmap.copy()
    try:
        own.fit(frame, 40, retrain=True)
    except ValueError as refusal:
        assert str(dtype) in ("float64", "Float64", "float32"), refusal
    assert own.n_items == 8
    assert [int(i) for i in own.itemidmap.index] == before.index.tolist()
    assert (
        engine.evaluation.ranks(own, frame)["rank"].tolist() == engine.evaluation.ranks(own, plain())["rank"].tolist()
    )


WIDE = {  # ids of the model, ids of the other frame
    "uint64 and int64": (np.arange(8).astype("uint64") + np.uint64(HUGE), np.arange(8) - 4),
    "int64 and uint64": (np.arange(8) - 4, np.arange(8).astype("uint64") + np.uint64(HUGE)),
    "large int64 and floats": (np.arange(8) + 2**62, np.arange(8) * 1.0),
    "floats and large int64": (np.arange(8) * 1.0, np.arange(8) + 2**62),
    "small and large": (np.arange(8).astype("int8"), np.arange(8) + 2**62),
}


@pytest.mark.parametrize("kind", WIDE)
def test_retraining_loses_no_id(engine, kind, tmp_path):
    """New ids that have no type in common with the known ones, in which both are exact, are refused; else all stay."""
    old, new = (ids.tolist() for ids in WIDE[kind])
    gru = engine.prepared(with_ids(WIDE[kind][0]), n_epochs=0)
    known = gru.itemidmap.index.tolist()
    try:
        gru.fit(with_ids(WIDE[kind][1]), 0, retrain=True)
    except ValueError as refusal:
        assert str(refusal).startswith("data: ")
        assert gru.itemidmap.index.tolist() == known
        return
    ids = gru.itemidmap.index.tolist()
    assert ids[:8] == known and set(map(int, ids)) == {*map(int, old), *map(int, new)}
    assert gru.n_items == len(ids) == len({*old, *new})
    gru.save(tmp_path / "model")
    assert engine.GRU4Rec.load(tmp_path / "model").itemidmap.index.tolist() == ids


@pytest.mark.parametrize(
    "ids, other", [("int64", "uint64"), ("uint64", "int64"), ("uint64", "Int64"), ("int64", object)]
)
def test_neighbours_are_told_apart_across_types(engine, ids, other):
    """Ids above 2**53, which are one float, are found exactly by a frame whose ids have another integer type."""
    values = 2**62 + np.arange(8)
    gru = engine.prepared(with_ids(values.astype(ids)))
    frame = with_ids(values.astype("int64")).astype({"ItemId": other})
    wanted = engine.evaluation.ranks(gru, with_ids(values.astype(ids)))
    assert engine.evaluation.ranks(gru, frame)["rank"].tolist() == wanted["rank"].tolist()
    one = with_ids(values.astype("int64")[[0] * 8]).assign(ItemId=int(values[3]) + 100).astype({"ItemId": other})
    with pytest.raises(ValueError, match="^test_data: "):
        engine.evaluation.ranks(gru, one)
    gru.n_epochs = 0
    gru.fit(frame, 0, retrain=True)
    assert gru.n_items == 8


def test_retraining_adds_new_items(engine, own):
    """Items not seen before come after the known ones, whose weights stay."""
    old, items = own.get_weights(), own.itemidmap.index.tolist()
    own.n_epochs = 0
    frame = pd.concat([plain(), pd.DataFrame({"SessionId": [1, 1], "ItemId": [7, 5], "Time": [0, 1]})])
    own.fit(frame, 40, retrain=True)
    assert own.itemidmap.index.tolist() == [*items, 7, 5] and own.n_items == 10
    new = own.get_weights()
    for name, value in old.items():
        assert new[name].shape == ((10, *value.shape[1:]) if value.shape[0] == 8 else value.shape)
        np.testing.assert_array_equal(new[name][: len(value)], value)
