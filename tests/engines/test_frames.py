"""A frame of events is read whatever its form, or refused by name before any work, and never changed."""

import math
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engine_tools import KEYS, epoch, plain, refused, unchanged

try:  # Arrow's columns are read where it is installed; the project itself needs none
    import pyarrow as pa
except ImportError:
    pa = None
START = pd.Timestamp("2014-04-07T10:51:09")


def reindexed(index):
    return plain().set_axis(index, axis=0)


def reversed_categories(column):
    """A categorical column whose categories stand in falling order, some of them left over."""
    values = sorted(column.unique(), reverse=True)
    return column.astype(pd.CategoricalDtype([*values, values[-1] - 1000], ordered=True))


FORMS = {  # form -> a frame of the same events
    "plain": plain,
    "labels of rows": lambda: reindexed([f"row {i % 7}" for i in range(len(plain()))]),
    "falling labels": lambda: reindexed(np.arange(len(plain()))[::-1]),
    "dates as labels": lambda: reindexed(pd.date_range("2020", periods=len(plain()))),
    "labels with NaN": lambda: reindexed([math.nan] * len(plain())),
    "MultiIndex": lambda: reindexed(pd.MultiIndex.from_arrays([np.arange(len(plain())) % 3, np.arange(len(plain()))])),
    "set_index(item, drop=False)": lambda: plain().set_index("ItemId", drop=False),
    "set_index(session, drop=False)": lambda: plain().set_index("SessionId", drop=False),
    "set_index(time, drop=False)": lambda: plain().set_index("Time", drop=False),
    "set_index(all, drop=False)": lambda: plain().set_index(list(KEYS), drop=False),
    "extra columns": lambda: plain().assign(Price=math.nan, Name="x", _index=3, Column=None).iloc[:, ::-1],
    "duplicate extra columns": lambda: pd.concat([plain(), plain()[[]].assign(A=1), plain()[[]].assign(A=2)], axis=1),
    "columns that are no texts": lambda: plain().assign(x=1).rename(columns={"x": 0}),
    "columns with a name": lambda: plain().rename_axis(columns="names"),
    "small integers": lambda: plain().astype({"SessionId": "uint16", "ItemId": "int8", "Time": "uint8"}),
    "big-endian": lambda: plain().astype({"SessionId": ">i8", "ItemId": ">i4", "Time": ">f8"}),
    "times as floats": lambda: plain().astype({"Time": "float32"}),
    "times as objects": lambda: plain().astype({"Time": object}),
    "nullable": lambda: plain().astype({"SessionId": "Int64", "ItemId": "Int32", "Time": "Float64"}),
    "nullable unsigned": lambda: plain().astype({"SessionId": "UInt64", "ItemId": "UInt16", "Time": "Int64"}),
    "objects": lambda: plain().astype(object),
    "categories": lambda: plain().astype("category"),
    "categories in falling order": lambda: plain().apply(reversed_categories),
    "datetimes": lambda: plain().assign(Time=START + pd.to_timedelta(plain()["Time"], "s")),
    "datetimes of days": lambda: plain().assign(Time=START + pd.to_timedelta(plain()["Time"], "D")),
    "datetimes with a zone": lambda: plain().assign(
        Time=(START + pd.to_timedelta(plain()["Time"], "h")).dt.tz_localize("Europe/Budapest")
    ),
    "datetimes of seconds": lambda: plain().assign(
        Time=(START + pd.to_timedelta(plain()["Time"], "s")).astype("datetime64[s]")
    ),
    "datetimes as objects": lambda: plain().assign(
        Time=pd.Series([datetime(2014, 4, 7) + timedelta(hours=int(t)) for t in plain()["Time"]], dtype=object)
    ),
    "times of nanoseconds": lambda: plain().assign(Time=2**60 + plain()["Time"]),
    "times above 2**63": lambda: plain().assign(Time=np.uint64(2**63) + plain()["Time"].astype("uint64")),
    "nullable times of nanoseconds": lambda: plain().assign(Time=(2**60 + plain()["Time"]).astype("Int64")),
    "negative times": lambda: plain().assign(Time=plain()["Time"] - 1000),
    "a slice": lambda: pd.concat([plain(), plain()]).iloc[: len(plain())],
    "read-only": lambda: read_only(plain()),
    "Polars": lambda: polars(),
    "Polars, small integers": lambda: polars().cast({"SessionId": pl.UInt16, "ItemId": pl.Int8, "Time": pl.Float32}),
    "Polars, datetimes": lambda: polars().with_columns(
        (pl.lit(START.to_pydatetime()) + pl.duration(seconds=pl.col("Time"))).alias("Time")
    ),
    "Polars, datetimes with a zone": lambda: polars().with_columns(
        (pl.lit(START.to_pydatetime()) + pl.duration(hours=pl.col("Time"))).dt.replace_time_zone("UTC").alias("Time")
    ),
    "Polars, chunks": lambda: pl.concat([polars()[:10], polars()[10:]], rechunk=False),
    "Polars, extra columns": lambda: polars().with_columns(A=pl.lit(None), B=pl.lit("x"), C=pl.lit([1, 2])),
}
if pa:
    FORMS |= {
        "Arrow": lambda: plain().astype(dict.fromkeys(KEYS, "int64[pyarrow]")),
        "Arrow, small": lambda: plain().astype({"ItemId": "uint8[pyarrow]", "Time": "double[pyarrow]"}),
        "Arrow dictionaries": lambda: arrow_dictionaries(plain()),
        "Arrow timestamps": lambda: FORMS["datetimes"]().astype({"Time": "timestamp[us][pyarrow]"}),
    }


def read_only(frame):
    return pd.DataFrame({name: locked(frame[name].to_numpy()) for name in frame}, copy=False)


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def polars(frame=None):
    frame = plain() if frame is None else frame
    return pl.DataFrame({name: frame[name].tolist() for name in frame})


def arrow_dictionaries(frame):
    return pd.DataFrame(
        {
            name: pd.Series(
                pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(frame[name]).dictionary_encode()]))
            )
            for name in frame
        }
    )


@pytest.fixture(scope="module")
def expected(engine):
    """(item ids, support, batches) of the plain frame, sessions by time and by id."""
    read = {}
    for time_sort in (True, False):
        gru = engine.prepared(n_sample=0, time_sort=time_sort)
        read[time_sort] = [int(i) for i in gru.itemidmap.index], gru.support.tolist(), epoch(gru)
    return read


@pytest.mark.parametrize("form", FORMS)
def test_form(engine, form, expected, fitted):
    """The same events in another form are the same training and the same evaluation, and the frame stays as it is."""
    frame = FORMS[form]()
    for time_sort in (True, False):
        gru = engine.new(n_sample=0, time_sort=time_sort)
        with unchanged(frame):
            gru.prepare(frame, 0)
        assert ([int(i) for i in gru.itemidmap.index], gru.support.tolist(), epoch(gru)) == expected[time_sort]
    with unchanged(frame):
        found = engine.evaluation.ranks(fitted, frame)
    wanted = engine.evaluation.ranks(fitted, plain())
    assert found["rank"].tolist() == wanted["rank"].tolist()
    with unchanged(frame):
        other = engine.evaluation.evaluate_sessions_batch(fitted, frame)
    assert other == pytest.approx(engine.evaluation.evaluate_gpu(fitted, plain()))


TEXT_FORMS = {
    "str": lambda f: f.astype({"SessionId": "str", "ItemId": "str"}),
    "object": lambda f: f.assign(SessionId=f["SessionId"].astype(str).astype(object), ItemId=as_text(f).astype(object)),
    "string": lambda f: f.astype({"SessionId": "string", "ItemId": "string"}),
    "string[python]": lambda f: f.astype({"SessionId": "string[python]", "ItemId": "string[python]"}),
    "category": lambda f: f.astype({"SessionId": str, "ItemId": str}).astype(
        {"SessionId": "category", "ItemId": "category"}
    ),
    "Polars": lambda f: polars(f.astype({"SessionId": str, "ItemId": str})),
    "Polars categories": lambda f: polars(f.astype({"SessionId": str, "ItemId": str})).cast(
        {"SessionId": pl.Categorical, "ItemId": pl.Enum(sorted(set(map(str, f["ItemId"])), reverse=True))}
    ),
}
if pa:
    TEXT_FORMS |= {
        "Arrow": lambda f: f.astype(
            {"SessionId": pd.StringDtype("pyarrow"), "ItemId": pd.StringDtype("pyarrow", na_value=np.nan)}
        ),
        "Arrow large": lambda f: f.astype({"SessionId": "string[pyarrow]", "ItemId": "large_string[pyarrow]"}),
        "Arrow dictionaries": lambda f: arrow_dictionaries(
            f.assign(SessionId=f["SessionId"].astype(str).astype(object), ItemId=as_text(f).astype(object))
        ),
    }


def as_text(frame):
    return frame["ItemId"].astype(str)


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_text_ids(engine, form, expected):
    """Ids that are texts, in every type that holds them; here their order is that of the numbers."""
    frame = TEXT_FORMS[form](plain())
    for time_sort in (True, False):
        gru = engine.new(n_sample=0, time_sort=time_sort)
        with unchanged(frame):
            gru.prepare(frame, 0)
        ids, support, batches = expected[time_sort]
        assert list(gru.itemidmap.index) == [str(i) for i in ids]
        assert all(type(i) is str for i in gru.itemidmap.index.tolist())
        assert (gru.support.tolist(), epoch(gru)) == (support, batches)


def test_other_column_names(engine, expected):
    frame = plain().rename(columns={"SessionId": "Sitzung ä", "ItemId": "Ware", "Time": "SessionId"})
    gru = engine.new(n_sample=0, session_key="Sitzung ä", item_key="Ware", time_key="SessionId")
    gru.prepare(frame, 0)
    assert epoch(gru) == expected[True][2]


def test_equal_times_keep_the_order_of_rows(engine):
    frame = pd.DataFrame({"SessionId": [1, 1, 1, 1, 2, 2], "ItemId": [3, 1, 2, 0, 5, 4], "Time": [7, 7, 7, 3, 9, 9]})
    for given in (frame, polars(frame), frame.set_axis([5, 4, 3, 2, 1, 0], axis=0)):
        gru = engine.prepared(given, n_sample=0, batch_size=2)
        ids = gru.itemidmap.index.to_numpy()
        first = [ids[X[lanes.index(0)]] for X, _, _, lanes in epoch(gru)]
        assert first == [0]  # two lanes; the shorter session ends the epoch, so one step
        assert [ids[i] for i in epoch(gru)[0][1]] == [3, 4]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64", "UInt64"])
def test_large_session_ids_do_not_collide(engine, dtype):
    """Neighbours above 2**53, which are one float, are two sessions."""
    frame = plain()
    frame["SessionId"] = (frame["SessionId"] + 2**62).astype(dtype)
    assert epoch(engine.prepared(frame, n_sample=0)) == epoch(engine.prepared(n_sample=0))


# Refused.


def holed(column, rows, hole=None, frame=None):
    frame = (plain() if frame is None else frame).astype({column: object})
    frame.iloc[rows, frame.columns.get_loc(column)] = hole
    return frame


def twice(column):
    return pd.concat([plain(), plain()[[column]]], axis=1)


MISSING = {
    "None": lambda c: holed(c, [3, 5]),
    "NaN": lambda c: plain().assign(**{c: plain()[c].where(~plain().index.isin([3, 5])).to_numpy()}),
    "pd.NA": lambda c: holed(c, [3, 5], pd.NA),
    "nullable": lambda c: holed(c, [3, 5], pd.NA).astype({c: "Int64"}),
    "category": lambda c: holed(c, [3, 5]).astype({c: "category"}),
    "NaT": lambda c: holed(c, [3, 5], pd.NaT),
    "other labels": lambda c: holed(c, [3, 5]).set_axis(range(100, 100 + len(plain())), axis=0),
    "same labels": lambda c: holed(c, [3, 5]).set_axis(["a"] * len(plain()), axis=0),
    "set_index(drop=False)": lambda c: holed(c, [3, 5]).set_index(c, drop=False),
    "Polars null": lambda c: polars(holed(c, [3, 5])),
    "Polars NaN": lambda c: polars(plain().astype({c: float})).with_columns(
        pl.when(pl.int_range(pl.len()).is_in([3, 5])).then(math.nan).otherwise(pl.col(c)).alias(c)
    ),
}


@pytest.mark.parametrize("column", KEYS)
@pytest.mark.parametrize("form", MISSING)
def test_missing_values(engine, form, column, fitted):
    frame = MISSING[form](column)
    with (
        unchanged(frame),
        refused(ValueError, f"data: column {column!r} has no value in 2 rows, the first is row 3 (from 0)"),
    ):
        engine.new().fit(frame)
    words = f"test_data: column {column!r} has no value in 2 rows, the first is row 3 (from 0)"
    for evaluate in (
        engine.evaluation.evaluate_gpu,
        engine.evaluation.ranks,
        engine.evaluation.evaluate_sessions_batch,
    ):
        with refused(ValueError, words):
            evaluate(fitted, frame)


def test_missing_text_ids(engine):
    for missing in (None, math.nan):
        frame = plain().assign(ItemId=as_text(plain()).astype(object))
        frame.loc[[7], "ItemId"] = missing
        with refused(ValueError, "data: column 'ItemId' has no value in 1 rows, the first is row 7 (from 0)"):
            engine.new().fit(frame)


def test_missing_datetimes(engine):
    frame = FORMS["datetimes"]()
    frame.loc[[0], "Time"] = pd.NaT
    with refused(ValueError, "data: column 'Time' has no value in 1 rows, the first is row 0 (from 0)"):
        engine.new().fit(frame)


@pytest.mark.parametrize("column", KEYS)
def test_no_column(engine, column, fitted):
    for frame in (plain().drop(columns=column), plain().set_index(column), polars().drop(column)):
        with pytest.raises(ValueError) as caught:
            engine.new().fit(frame)
        text = str(caught.value)
        assert text.startswith(f"data: no column {column!r}; its columns are ")
        assert all(other in text.split("its columns are ")[1] for other in KEYS if other != column)
        with pytest.raises(ValueError, match=f"^test_data: no column {column!r}; its columns are "):
            engine.evaluation.evaluate_gpu(fitted, frame)


@pytest.mark.parametrize("column", KEYS)
def test_column_twice(engine, column, fitted):
    with refused(ValueError, f"data: 2 columns are named {column!r}; one is accepted"):
        engine.new().fit(twice(column))
    three = pd.concat([twice(column), plain()[[column]]], axis=1)
    with refused(ValueError, f"data: 3 columns are named {column!r}; one is accepted"):
        engine.new().prepare(three)
    with refused(ValueError, f"test_data: 2 columns are named {column!r}; one is accepted"):
        engine.evaluation.evaluate_gpu(fitted, twice(column))


def test_columns_of_two_levels(engine):
    """Neither the key alone nor the key above others is a column of that name."""
    below, above = plain(), plain()
    below.columns = pd.MultiIndex.from_product([["events"], KEYS])
    above.columns = pd.MultiIndex.from_tuples([(key, "a") for key in KEYS])
    for frame in (below, above, pd.concat([above, above.set_axis([(k, "b") for k in KEYS], axis=1)], axis=1)):
        with pytest.raises(ValueError, match="^data: "):
            engine.new().fit(frame)


OTHER_SESSIONS = {
    "floats": np.arange(6) + 0.5,
    "UUID": [uuid.UUID(int=i) for i in range(6)],
    "Decimal": [Decimal(i) for i in range(6)],
    "datetimes": pd.date_range("2020", periods=6),
    "bool and int": [True, *range(2, 7)],
    "int and str": [0, 1, 2, "0", "1", "x"],
    "int and float": [0, 1, 2.5, 3, 4, 5],
    "bytes": [b"%d" % i for i in range(6)],
    "tuples": [(i,) for i in range(6)],
    "lists": [[i] for i in range(6)],
    "None as text": ["None", "nan", "", " ", "NA", "0"],
    "too large": [2**64 + i for i in range(6)],
    "NUL": ["a", "a\0", "a\0\0", "\0", "\0\0", ""],
}


@pytest.mark.parametrize("kind", OTHER_SESSIONS)
def test_other_session_ids(engine, kind):
    """Session ids are not saved: six different ones are six sessions, or their column is refused by name."""
    ids = OTHER_SESSIONS[kind]
    column = pd.Series([ids[i] for i in range(6) for _ in range(2)], dtype=None if kind == "datetimes" else object)
    frame = pd.DataFrame({"SessionId": column, "ItemId": [1, 2] * 6, "Time": range(12)})
    gru = engine.new(batch_size=6)
    try:
        gru.prepare(frame, 0)
    except ValueError as refusal:
        assert str(refusal).startswith("data: column 'SessionId' "), refusal
    else:
        assert [lanes for *_, lanes in epoch(gru)] == [list(range(6))]


def test_empty(engine, fitted):
    for frame in (plain().iloc[:0], polars()[:0]):
        with refused(ValueError, "data: no events; a frame with at least one event is accepted"):
            engine.new().fit(frame)
        for evaluate in (engine.evaluation.evaluate_gpu, engine.evaluation.ranks):
            with refused(ValueError, "test_data: no events; a frame with at least one event is accepted"):
                evaluate(fitted, frame)


NO_FRAMES = [None, {"SessionId": [1]}, [1, 2], "train.tsv", plain()["ItemId"], plain().to_numpy(), polars().lazy(), 5]


@pytest.mark.parametrize("given", NO_FRAMES, ids=[type(given).__name__ for given in NO_FRAMES])
def test_no_frame(engine, given, fitted):
    words = f"is a {type(given).__name__}; a pandas or Polars DataFrame is accepted"
    with refused(TypeError, f"data {words}"):
        engine.new().fit(given)
    with refused(TypeError, f"data {words}"):
        engine.new().prepare(given)
    with refused(TypeError, f"test_data {words}"):
        engine.evaluation.evaluate_gpu(fitted, given)


ISO = [f"2014-04-07T10:{t:02d}:09" for t in plain()["Time"]]
TEXT_TIMES = {
    "str": lambda: plain().assign(Time=ISO),
    "object": lambda: plain().assign(Time=pd.Series(ISO, dtype=object)),
    "numbers as texts": lambda: plain().astype({"Time": "str"}),
    "string": lambda: plain().assign(Time=ISO).astype({"Time": "string"}),
    "category": lambda: plain().assign(Time=ISO).astype({"Time": "category"}),
    "Polars": lambda: polars().with_columns(Time=pl.Series(ISO)),
}


@pytest.mark.parametrize("form", TEXT_TIMES)
def test_text_times(engine, form, fitted):
    frame = TEXT_TIMES[form]()
    words = "column 'Time' holds texts; numbers or datetimes are accepted"
    with unchanged(frame), refused(ValueError, f"data: {words}"):
        engine.new().fit(frame)
    with refused(ValueError, f"test_data: {words}"):
        engine.evaluation.evaluate_gpu(fitted, frame)
    with refused(ValueError, f"test_data: {words}"):
        engine.evaluation.evaluate_sessions_batch(fitted, frame)


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_infinite_times(engine, infinite, fitted):
    frames = [plain().assign(Time=plain()["Time"].where(plain().index != 6, infinite)), holed("Time", [6], infinite)]
    for frame in [*frames, polars(frames[0])]:
        with pytest.raises(ValueError, match="^data: column 'Time' .*infinite"):
            engine.new().fit(frame)
        with pytest.raises(ValueError, match="^test_data: column 'Time' .*infinite"):
            engine.evaluation.evaluate_gpu(fitted, frame)


@pytest.mark.parametrize(
    "times",
    [
        [1j] * len(plain()),
        [(1,)] * len(plain()),
        [object()] * len(plain()),
        [Decimal("NaN")] * len(plain()),
        [datetime(2014, 4, 7), 5] * (len(plain()) // 2) + [5] * (len(plain()) % 2),
        ["17", *range(1, len(plain()))],
        [*range(len(plain()) - 1), "2014-04-07"],
    ],
    ids=[
        "complex",
        "tuples",
        "objects",
        "Decimal NaN",
        "datetimes and numbers",
        "a text and numbers",
        "numbers and a text",
    ],
)
def test_other_times(engine, times):
    """Times without an order are refused by the column's name, in no other error."""
    with pytest.raises(ValueError, match="^data: column 'Time' "):
        engine.new().fit(plain().assign(Time=pd.Series(times, dtype=object)))


def test_refused_before_any_work(engine):
    """A frame that is refused leaves a new model without weights."""
    gru = engine.new()
    for frame in (plain().drop(columns="Time"), TEXT_TIMES["str"](), holed("ItemId", [1]), plain().iloc[:0]):
        with pytest.raises(ValueError):
            gru.fit(frame)
    with pytest.raises(RuntimeError, match="^the model has no weights yet"):
        gru.get_weights()


def test_evaluation_by_other_columns(engine, fitted):
    frame = plain().rename(columns={"SessionId": "S", "ItemId": "I", "Time": "T"})
    keys = {"session_key": "S", "item_key": "I", "time_key": "T"}
    for name in ("evaluate_gpu", "evaluate_sessions_batch"):
        evaluate = getattr(engine.evaluation, name)
        assert evaluate(fitted, frame, **keys) == evaluate(fitted, plain())
    assert engine.evaluation.ranks(fitted, frame, **keys)["rank"].tolist() == (
        engine.evaluation.ranks(fitted, plain())["rank"].tolist()
    )
