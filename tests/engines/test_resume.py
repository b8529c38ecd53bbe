"""Going on with a training: to the same bits as without a break, and only with the same data, order and store."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engine_tools import both_types, plain, refused, same_arrays, same_model

CONFIGS = {
    "float32": {
        "loss": "bpr-max",
        "final_act": "elu-0.5",
        "adapt": "adagrad",
        "momentum": 0.3,
        "dropout_p_hidden": 0.3,
        "constrained_embedding": True,
        "n_sample": 4,
    },
    "float64": {
        "loss": "cross-entropy",
        "final_act": "softmax",
        "layers": [4, 3],
        "adapt": "adam",
        "adapt_params": [0.9, 0.999],
        "dropout_p_embed": 0.2,
        "embedding": 3,
        "train_random_order": True,
        "n_sample": 3,
        "logq": 0.5,
        "dtype": "float64",
    },
}


@pytest.mark.parametrize("config", CONFIGS)
def test_one_and_one_epoch_are_two(engine, config, tmp_path):
    """Saved after the first epoch, loaded, and gone on with: bit-equal, the file too; so does the model in memory."""
    options, frame = CONFIGS[config], plain()

    def look(gru):  # what is looked at between two epochs changes nothing of the training
        engine.evaluation.evaluate_gpu(gru, frame, mode="tiebreaking")
        gru.predict_next_batch([1], [100], batch=1)

    whole, losses = engine.new(n_epochs=2, **options), []

    def ended(number, loss):
        losses.append((number, loss))
        look(whole)

    whole.fit(frame, 40, on_epoch_end=ended)
    assert [number for number, _ in losses] == [0, 1] and np.isfinite([loss for _, loss in losses]).all()
    whole.save(tmp_path / "whole")

    first = engine.new(n_epochs=1, **options)
    first.fit(frame, 40)
    assert first.get_weights()["Wy"].tolist() != whole.get_weights()["Wy"].tolist()
    first.save(tmp_path / "first")

    second, again = engine.GRU4Rec.load(tmp_path / "first"), []
    look(second)
    second.n_epochs = 2
    second.fit(
        pl.DataFrame({name: frame[name].tolist() for name in frame}),
        40,
        resume=True,
        on_epoch_end=(lambda *given: again.append(given)),
    )
    same_model(second, whole)
    assert again == losses[1:]
    second.save(tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == (tmp_path / "whole").read_bytes()

    first.set_params(n_epochs="2").fit(frame, 40, resume=True)
    same_model(first, whole)


def test_resuming_a_whole_training_does_nothing(engine, own, fitted):
    own.fit(plain(), 40, resume=True)
    same_model(own, fitted)


@pytest.mark.parametrize("how", ["built", "prepared"])
def test_never_fitted(engine, how):
    gru = engine.new()
    if how == "built":
        gru.build(8)
    else:
        gru = engine.prepared()
    if how == "built":
        with refused(ValueError, "resume=True: this model has never been fitted"):
            gru.fit(plain(), 0, resume=True)


def test_never_built(engine):
    """A new model has neither weights nor a training: it says one of the two."""
    with pytest.raises((ValueError, RuntimeError)) as caught:
        engine.new().fit(plain(), 0, resume=True)
    assert str(caught.value) in (
        "resume=True: this model has never been fitted",
        "the model has no weights yet: call fit, prepare, build or load first",
    )


def more_items():
    return pd.concat([plain(), pd.DataFrame({"SessionId": [1, 1], "ItemId": [7, 5], "Time": [0, 1]})])


def other_support():
    frame = plain()
    frame.loc[frame.index[-1], "ItemId"] = 100 + (frame["ItemId"].iloc[-1] - 99) % 8
    return frame


def moved_event():
    """The last event in time goes over to another session: items and supports stay."""
    frame = plain()
    last = frame["Time"].idxmax()
    frame.loc[last, "SessionId"] = next(i for i in frame["SessionId"] if i != frame.loc[last, "SessionId"])
    return frame


def merged_sessions():
    frame = plain()
    first, second = sorted(frame["SessionId"].unique())[:2]
    return frame.assign(SessionId=frame["SessionId"].replace(second, first))


def swapped_times():
    """Two events of one session, of different items, change places in time; rows, items and sessions stay."""
    frame = plain()
    for _, rows in frame.groupby("SessionId"):
        a, b = rows.index[0], rows.index[-1]
        if rows.loc[a, "ItemId"] != rows.loc[b, "ItemId"]:
            frame.loc[[a, b], "Time"] = frame.loc[[b, a], "Time"].to_numpy()
            return frame
    raise AssertionError


def later_session():
    """The first session comes last: all that changes is the order of the sessions by their first time."""
    frame = plain()
    first = frame.loc[frame["Time"].idxmin(), "SessionId"]
    frame.loc[frame["SessionId"] == first, "Time"] += 10_000
    return frame


def renamed_items():
    return plain().replace({"ItemId": {100: 999}})


OTHER_DATA = {
    "more items": (more_items, "the items"),
    "renamed items": (renamed_items, "the items"),
    "fewer items": (lambda: plain()[lambda f: f["ItemId"] != f["ItemId"].iloc[0]], "the items"),
    "other supports": (other_support, None),
    "an event moved": (moved_event, "the sessions"),
    "sessions merged": (merged_sessions, "the sessions"),
    "times swapped": (swapped_times, "the order of the events"),
    "a session later": (later_session, "the order of the events"),
}


@pytest.mark.parametrize("kind", OTHER_DATA)
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "in memory"])
def test_other_data(engine, saved, kind, loaded, fitted):
    """Other data are refused by what differs, before any work, and the model stays."""
    make, what = OTHER_DATA[kind]
    gru = engine.GRU4Rec.load(saved) if loaded else fitted
    before = gru.get_weights()
    with pytest.raises(
        ValueError, match=r"^resume=True: the (items|sessions|order of the events) of the data "
    ) as caught:
        gru.fit(make(), 40, resume=True)
    if what:
        assert str(caught.value) == f"resume=True: {what} of the data is not that of the training"
    same_arrays(gru.get_weights(), before)


def test_shuffled_rows(own, two_epochs):
    """Rows in another order are the same sessions: gone on with to the same bits, or refused by the order."""
    own.n_epochs = 2
    try:
        own.fit(plain().sample(frac=1, random_state=3), 40, resume=True)
    except ValueError as refusal:
        assert str(refusal) == "resume=True: the order of the events of the data is not that of the training"
    else:
        same_arrays(own.get_weights(), two_epochs.get_weights())


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.set_axis(range(500, 500 + len(f)), axis=0),
        lambda f: f.set_index("ItemId", drop=False),
        lambda f: f.assign(Extra=1)[["Extra", "Time", "ItemId", "SessionId"]],
        lambda f: f.astype({"ItemId": "int32", "Time": "float64", "SessionId": "category"}),
        lambda f: f.assign(Time=f["Time"] * 3 + 1),
    ],
    ids=["labels", "set_index", "columns", "types", "times of the same order"],
)
def test_the_same_data_in_another_form(own, fitted, change):
    """What makes no difference to the training is no other data."""
    own.fit(change(plain()), 40, resume=True)
    same_arrays(own.get_weights(), fitted.get_weights())


@pytest.mark.parametrize("store", [0, 41, 10_000_000])
def test_other_store(engine, saved, own, store):
    words = f"resume=True: sample_store={store}, but the training began with 40"
    with refused(ValueError, words):
        own.fit(plain(), store, resume=True)
    own.fit(plain(), 40, resume=True)


def test_other_store_in_memory(fitted):
    with refused(ValueError, "resume=True: sample_store=7, but the training began with 40"):
        fitted.fit(plain(), 7, resume=True)


def test_text_ids_on_resume(own):
    """Ids of another type are other items, or the types are said."""
    with pytest.raises(ValueError) as caught:
        own.fit(plain().astype({"ItemId": "str"}), 40, resume=True)
    text = str(caught.value)
    assert text == "resume=True: the items of the data is not that of the training" or both_types(text)


def test_too_few_sessions_on_resume(own):
    few = plain()[lambda f: f["SessionId"].isin(sorted(f["SessionId"].unique())[:2])]
    with pytest.raises(ValueError, match="^(batch_size=3: at most 2, the sessions of data|resume=True: )"):
        own.fit(few, 40, resume=True)


def test_dwell_needs_the_same_times(tmp_path):
    """Where the network reads times, other times of the same order are other data."""
    from engine_tools import ENGINES

    engine = ENGINES["keras_port"]
    gru = engine.new(dwell_time=3, n_epochs=0)
    gru.fit(plain(), 0)
    gru.save(tmp_path / "model")
    loaded = engine.GRU4Rec.load(tmp_path / "model")
    with refused(ValueError, "resume=True: the times of the data is not that of the training"):
        loaded.fit(plain().assign(Time=plain()["Time"] * 3 + 1), 0, resume=True)
    loaded.fit(plain(), 0, resume=True)


def test_retrained_model_is_resumed_on_its_new_data(engine, own, tmp_path):
    """After retraining, the training that goes on is that on the new data."""
    own.n_epochs = 0
    own.fit(more_items(), 40, retrain=True)
    own.save(tmp_path / "model")
    loaded = engine.GRU4Rec.load(tmp_path / "model")
    with pytest.raises(ValueError, match="^resume=True: "):
        loaded.fit(plain(), 40, resume=True)
    loaded.fit(more_items(), 40, resume=True)
    same_model(loaded, own)
