"""Dwell time as an input of the network and as a weight in the loss."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_port import GRU4Rec, dwell, evaluation, events
from keras_port.batches import Batch, SessionParallel
from keras_port.dropout import DropoutMasks
from keras_port.events import Columns
from keras_port.sampling import NegativeSampler

COLUMNS = Columns("SessionId", "ItemId", "Time")
OPTIONS = {
    "layers": [5],
    "batch_size": 4,
    "n_sample": 6,
    "n_epochs": 2,
    "learning_rate": 0.05,
    "dtype": "float64",
    "jit_compile": False,
}
ON = {"dwell_time": 5, "dwell_weight": 0.5}
EMBEDDINGS = [{}, {"embedding": 3}, {"constrained_embedding": True}]


def frame_of(seed, n_sessions=30, n_items=12):
    rng = np.random.RandomState(seed)
    lengths = rng.randint(2, 6, n_sessions)
    time = np.concatenate([rng.randint(500) + np.cumsum(rng.choice([0, 0.5, 1, 3, 9, 40, 900], k)) for k in lengths])
    items = np.concatenate([np.arange(n_items), rng.randint(0, n_items, lengths.sum() - n_items)])
    return pd.DataFrame({"SessionId": np.repeat(np.arange(n_sessions), lengths), "ItemId": items, "Time": time})


@pytest.fixture(scope="module")
def train():
    return frame_of(0)


def prepared(train, **options):
    gru = GRU4Rec(**{**OPTIONS, **options})
    gru.prepare(train, sample_store=0)
    gru.set_hidden([np.zeros((gru.batch_size, units)) for units in gru.layers])
    return gru


@pytest.fixture(scope="module")
def fitted(train):
    gru = GRU4Rec(**{**OPTIONS, "layers": [5, 4]}, **ON)
    gru.fit(train, sample_store=0)
    assert gru.get_weights()["D"].any(axis=1).all()  # every bucket has been learned
    return gru


def assert_equal(found, wanted):
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


# The dwell of an event.


def test_buckets_at_their_bounds():
    passed = [np.nan, 0, 0.999, 1, 2.999, 3, 6.999, 7, 14.999, 15, 1e9]
    np.testing.assert_array_equal(dwell.buckets(np.array(passed), 5), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    np.testing.assert_array_equal(dwell.buckets(np.array(passed), 2), [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(dwell.buckets(np.array(passed), 1), [0] + [1] * 10)


@given(st.floats(0, 1e9), st.integers(1, dwell.MOST_BUCKETS))
def test_buckets_are_those_of_the_formula(seconds, n_buckets):
    whole = int(seconds) + 1  # its bit length is 1 + floor(log2(1 + seconds)), without rounding
    assert dwell.buckets(np.array([seconds]), n_buckets)[0] == min(whole.bit_length(), n_buckets)


rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=8, max_size=40)


@given(rows, st.booleans())
def test_lanes_see_the_dwell_of_a_plain_loop(rows, time_sort):
    """Every event has an item of its own, so that the items of a batch say which events its lanes read."""
    rows = [*rows, (7, 5), (7, 9), (8, 1), (8, 3)]
    frame = pd.DataFrame(rows, columns=["SessionId", "Time"]).assign(ItemId=range(len(rows)))
    since, until = {}, {}
    for _, session in sorted(frame.groupby("SessionId")):
        order = sorted(session.itertuples(), key=lambda event: event.Time)
        for before, event in zip(order, order[1:]):
            since[event.ItemId] = until[before.ItemId] = event.Time - before.Time
    known = [1 + 0.5 * math.log2(1 + until[item]) for item in since if item in until]
    mean = sum(known) / len(known) if known else 1.0

    options = {"layers": [2], "batch_size": 2, "n_sample": 1, "dtype": "float64", "steps_per_call": 3, **ON}
    settings, found = GRU4Rec(time_sort=time_sort, **options).settings(), events.read(frame, COLUMNS)
    rng = np.random.RandomState(0)
    source = SessionParallel(
        found, settings, rng, NegativeSampler(found.support, 1, 0.0, 0, rng), DropoutMasks(1, [], "float64")
    )
    source.start_epoch()
    chunks, read = [source.chunk(number) for number in range(source.chunks)], set()
    for k, batch in enumerate(source.batches()):
        lanes, M = batch.lanes, len(batch.lanes)
        np.testing.assert_array_equal(batch.dwell, [since.get(item, np.nan) for item in batch.X])
        weights = [(1 + 0.5 * math.log2(1 + until[item])) / mean if item in until else 1 for item in batch.Y[:M]]
        np.testing.assert_allclose(batch.weights, weights, rtol=1e-12)
        chunk = {name: values[k % 3][lanes] for name, values in chunks[k // 3].items() if name in ("dwell", "weights")}
        buckets = [0 if item not in since else 1 + min(int(math.log2(1 + since[item])), 4) for item in batch.X]
        np.testing.assert_array_equal(chunk["dwell"], buckets)
        np.testing.assert_array_equal(chunk["weights"], batch.weights)
        read.update(batch.Y[:M])
    assert read == set(since)


def test_loss_weights_have_mean_one_and_grow_with_the_dwell(train):
    found = events.read(train, COLUMNS)
    passed = dwell.since_previous(found.times, found.offsets)
    weights = dwell.loss_weights(passed, 0.5)
    is_target, is_last = np.ones(len(weights), bool), np.zeros(len(weights), bool)
    is_target[found.offsets[:-1]] = False
    is_last[found.offsets[1:] - 1] = True
    assert weights[is_target].mean() == pytest.approx(1, rel=1e-12)
    assert (weights[is_last] == 1).all()
    own = np.append(passed[1:], np.nan)
    order = np.argsort(own[~is_last], kind="stable")
    assert (np.diff(weights[~is_last][order]) >= 0).all()
    assert len(set(weights)) > 4


def test_sessions_of_two_events_all_weigh_one():
    np.testing.assert_array_equal(dwell.loss_weights(np.array([np.nan, 3.0, np.nan, 50.0]), 2.0)[[1, 3]], [1, 1])


# Off, it changes nothing; on, nothing but what it should.


def test_off_nothing_is_read_or_kept(train):
    gru = prepared(train)
    assert type(next(gru.batches())) is Batch
    assert not set(gru.trainer.batches.chunk(0)) & {"dwell", "weights"}
    assert not any("D" in name.split("/") for name in gru.trainer.state.variables())
    gru.prepare(train.assign(Time=pd.to_datetime(train["Time"], unit="s")), sample_store=0)  # an order is enough


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_the_table_begins_with_zeros_and_changes_no_random_draw(train, embedding):
    plain, on = (
        prepared(train, **embedding, dropout_p_hidden=0.5),
        prepared(train, **embedding, dropout_p_hidden=0.5, dwell_time=5),
    )
    weights = on.get_weights()
    assert weights["D"].shape == (6, 15) and not weights.pop("D").any()
    assert_equal(weights, plain.get_weights())
    for batch, other in zip(plain.batches(), on.batches(), strict=True):
        for found, wanted in zip(other, batch):
            np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(on.draw_masks(len(batch.X)), plain.draw_masks(len(batch.X)))


def test_a_table_of_zeros_changes_no_weight_in_the_first_step(train):
    plain, on = prepared(train, momentum=0.1), prepared(train, momentum=0.1, dwell_time=5)
    batch, other = next(plain.batches()), next(on.batches())
    assert on.train_step(*other[:3], dwell=np.full(4, 9)).cost == plain.train_step(*batch[:3]).cost
    weights = on.get_weights()
    assert weights.pop("D").any()
    assert_equal(weights, plain.get_weights())


# The training step.


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_gradient_of_D(train, embedding):
    gru, rng = prepared(train, dwell_time=4, **embedding), np.random.RandomState(3)
    batch, hidden = next(gru.batches()), [rng.rand(4, units) for units in gru.layers]
    passed = np.array([np.nan, 0.5, 2.0, 0.9])
    weights = {**gru.get_weights(), "D": rng.rand(5, 15) - 0.5}

    def step(D):
        gru.set_weights({**weights, "D": D})
        gru.set_hidden(hidden)
        return gru.train_step(*batch[:3], dwell=passed, gradients=True)

    gradients = step(weights["D"]).gradients
    direction = rng.randn(5, 15)
    slope = (step(weights["D"] + 1e-6 * direction).cost - step(weights["D"] - 1e-6 * direction).cost) / 2e-6
    assert (gradients["D"] * direction).sum() == pytest.approx(slope, rel=1e-6)
    assert not gradients["D"][3:].any()  # no lane is in these buckets
    if not embedding:  # the gradient of a row of Wx0 is that of v
        dv = gradients["Wx0"]
        wanted = np.stack([dv[0], dv[1] + dv[3], dv[2]])
        np.testing.assert_allclose(gradients["D"][:3], wanted, rtol=1e-12, atol=1e-18)


def test_the_cost_is_the_weighted_mean_of_the_lanes_losses(train):
    gru = prepared(train, dwell_weight=0.5)
    batch, weights = next(gru.batches()), gru.get_weights()

    def cost(lane_weights):
        gru.set_weights(weights)
        gru.set_hidden([np.zeros((4, units)) for units in gru.layers])
        return gru.train_step(*batch[:3], weights=lane_weights).cost

    single = [cost(row) for row in np.eye(4)]
    assert cost(None) == pytest.approx(sum(single), rel=1e-12)
    assert cost([0.5, 2, 1, 3]) == pytest.approx(np.dot(single, [0.5, 2, 1, 3]), rel=1e-12)


def test_fit_reads_dwell_as_step_by_step(train):
    options = {**ON, "momentum": 0.1, "n_epochs": 1, "lmbd": 0.01}
    by_hand = prepared(train, **options)
    lanes = np.arange(by_hand.batch_size)
    for batch in by_hand.batches():
        by_hand.set_hidden([H[np.isin(lanes, batch.lanes)] for H in by_hand.get_hidden()])
        by_hand.train_step(*batch[:3], dwell=batch.dwell, weights=batch.weights)
        lanes = batch.lanes
    gru = GRU4Rec(**{**OPTIONS, **options, "jit_compile": True}, steps_per_call=7)
    gru.fit(train, sample_store=0)
    for name, values in by_hand.get_weights().items():
        np.testing.assert_allclose(gru.get_weights()[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def sequences(seed, n_sessions):
    """Sessions in which the next item is one or three further, by whether the last dwell was short or long."""
    rng = np.random.RandomState(seed)
    rows = []
    for session in range(n_sessions):
        item, time = rng.randint(7), 0.0
        for _ in range(6):
            rows.append((session, item, time))
            passed = (2.0, 300.0)[rng.randint(2)]
            step = 1 if len(rows) < 2 or time - rows[-2][2] < 100 else 3
            item, time = (item + step) % 7, time + passed
    return pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])


def test_what_depends_on_the_dwell_is_learned_with_it_and_not_without():
    hits = {}
    for dwell_time in (0, 8):
        gru = GRU4Rec(
            loss="cross-entropy",
            final_act="softmax",
            layers=[16],
            batch_size=16,
            n_sample=8,
            n_epochs=4,
            jit_compile=False,
            dwell_time=dwell_time,
        )
        gru.fit(sequences(0, 200))
        ranks = evaluation.ranks(gru, sequences(1, 80))
        hits[dwell_time] = (ranks["rank"][ranks["position"] > 1] == 1).mean()
    assert hits[0] < 0.65
    assert hits[8] > 0.95


def test_retraining_goes_on_with_the_table(train):
    gru, D = prepared(train, dwell_time=5, n_epochs=0), np.random.RandomState(4).rand(6, 15)
    gru.set_weights({"D": D})
    gru.fit(frame_of(5, n_items=15), 0, retrain=True)
    np.testing.assert_array_equal(gru.get_weights()["D"], D)


# Prediction.


def by_single_steps(gru, items, times):
    """Scores after the last of a session's items, one call an item."""
    hidden, before = [np.zeros((1, units)) for units in gru.layers], np.nan
    for item, time in zip(items, times):
        X = np.array([gru.itemidmap[item]])
        scores, hidden = gru.scores(X, hidden, dwell=[time - before])
        before = time
    return scores[0]


@pytest.fixture(scope="module")
def test_frame():
    return frame_of(1, n_items=14)  # two items are unknown


def test_evaluation_sees_the_dwell_between_known_events(fitted, test_frame):
    known = test_frame[test_frame["ItemId"].isin(fitted.itemidmap.index)].sort_values(["SessionId", "Time", "ItemId"])
    wanted = []
    for _, session in known.groupby("SessionId"):
        items, times = session["ItemId"].tolist(), session["Time"].tolist()
        for k in range(1, len(items)):
            scores = by_single_steps(fitted, items[:k], times[:k])
            wanted.append((scores >= scores[fitted.itemidmap[items[k]]]).sum())
    found = evaluation.ranks(fitted, test_frame, batch_size=7)
    assert found["rank"].tolist() == wanted
    blind = evaluation.ranks(fitted, test_frame.assign(Time=test_frame.groupby("SessionId").cumcount()))
    assert blind["rank"].tolist() != wanted
    metrics = evaluation.evaluate_gpu(fitted, test_frame, cut_off=[1, 3])
    assert evaluation.evaluate_sessions_batch(fitted, test_frame, cut_off=[1, 3], batch_size=5) == metrics


def test_evaluation_sees_no_dwell_of_the_future(fitted, test_frame):
    frame = test_frame.sort_values(["SessionId", "Time"], kind="stable").reset_index(drop=True)
    frame["Time"] += frame.groupby("SessionId").cumcount()  # no ties, whose order would be that of the items
    before = evaluation.ranks(fitted, frame)
    last = frame.groupby("SessionId").tail(1).index
    later = frame.assign(Time=frame["Time"].where(~frame.index.isin(last), frame["Time"] + 5000))
    assert evaluation.ranks(fitted, later).equals(before)
    middle = frame.groupby("SessionId").nth(1).index
    moved = frame.assign(Time=frame["Time"] + 5000 * (frame.groupby("SessionId").cumcount() >= 1))
    after = evaluation.ranks(fitted, moved)
    first = before["position"] == 1
    assert len(middle) and after[first].equals(before[first])
    assert not after[~first].equals(before[~first])


def test_prediction_by_batches(fitted):
    ids = fitted.itemidmap.index.tolist()
    fitted.forget_predictions()
    fitted.predict_next_batch([1, 2], [ids[0], ids[1]], batch=2, dwell=[77.0, 5.0])  # none of them has an event before
    found = fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2, dwell=[40.0, 9.0])
    np.testing.assert_allclose(found[0], by_single_steps(fitted, [ids[0], ids[2]], [0.0, 40.0]), rtol=1e-12)
    np.testing.assert_allclose(found[1], by_single_steps(fitted, [ids[3]], [0.0]), rtol=1e-12)
    unknown = fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2)
    fitted.forget_predictions()
    fitted.predict_next_batch([1, 2], [ids[0], ids[1]], batch=2)
    fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2, dwell=[40.0, np.nan])
    again = fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2, dwell=[np.nan, np.nan])
    fitted.forget_predictions()
    fitted.predict_next_batch([1, 2], [ids[0], ids[1]], batch=2)
    fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2, dwell=[40.0, np.nan])
    np.testing.assert_array_equal(unknown, fitted.predict_next_batch([1, 3], [ids[2], ids[3]], batch=2))
    assert np.isfinite(again).all(axis=None)


def test_recommend_with_the_times_of_the_events(fitted):
    ids = fitted.itemidmap.index.tolist()
    histories, times = [[ids[0], 99, ids[2]], [ids[3], ids[3], ids[4], ids[1]]], [[10, 12, 60], [0, 1, 1, 900.5]]
    many = fitted.recommend(histories, k=5, times=times)
    known = [([ids[0], ids[2]], [10, 60]), (histories[1], times[1])]
    for row, (items, when) in enumerate(known):
        wanted = np.sort(by_single_steps(fitted, items, when))[::-1][:5]
        np.testing.assert_allclose(many.scores[row], wanted, rtol=1e-12)
        one = fitted.recommend(histories[row], k=5, times=times[row])
        np.testing.assert_allclose(one.scores, wanted, rtol=1e-12)
    none_known = fitted.recommend(histories[1], k=5)
    wanted = np.sort(by_single_steps(fitted, histories[1], [np.nan] * 4))[::-1][:5]
    np.testing.assert_allclose(none_known.scores, wanted, rtol=1e-12)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is written from TensorFlow")
def test_the_exported_model_takes_the_dwell(fitted, tmp_path):
    import tensorflow as tf

    fitted.export(tmp_path / "served", k=4)
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    ids = fitted.itemidmap.index.tolist()
    times = [0.0, 0.5, 1.5, 4.5, 11.5, 900.0]
    state = {f"hidden_{j}": tf.zeros((1, units), tf.float64) for j, units in enumerate(fitted.layers)}
    for k, passed in enumerate([np.nan, *np.diff(times)]):
        out = serve(item_id=tf.constant([ids[k]], tf.int64), dwell=tf.constant([passed], tf.float64), **state)
        state = {f"hidden_{j}": out[f"next_hidden_{j}"] for j in range(2)}
        wanted = fitted.recommend(ids[: k + 1], k=4, times=times[: k + 1])
        assert out["item_ids"].numpy()[0].tolist() == list(wanted.items)
        np.testing.assert_allclose(out["scores"].numpy()[0], wanted.scores, rtol=1e-12)


def test_files_carry_the_table(train, fitted, test_frame, tmp_path):
    fitted.save(tmp_path / "model")
    fitted.model.save(tmp_path / "model.keras")
    wanted = {**fitted.get_weights(), **fitted.get_optimizer_state()}
    assert {"D", "acc/D"} <= set(wanted)
    going_on = GRU4Rec(**{**OPTIONS, "layers": [5, 4], "n_epochs": 3}, **ON)
    going_on.fit(train, sample_store=0)
    for copy in (
        GRU4Rec.load(tmp_path / "model", jit_compile=False),
        GRU4Rec.from_model(keras.saving.load_model(tmp_path / "model.keras"), jit_compile=False),
    ):
        assert (copy.dwell_time, copy.dwell_weight) == (5, 0.5)
        assert_equal({**copy.get_weights(), **copy.get_optimizer_state()}, wanted)
        assert evaluation.ranks(copy, test_frame).equals(evaluation.ranks(fitted, test_frame))
    copy.set_params(n_epochs="3")
    copy.fit(train, sample_store=0, resume=True)
    assert_equal(copy.get_weights(), going_on.get_weights())


# Errors.


@pytest.mark.parametrize("options", [{"dwell_time": 4}, {"dwell_weight": 1.0}])
@pytest.mark.parametrize(
    "time, message",
    [
        (lambda t: pd.to_datetime(t, unit="s"), "data: column 'Time' holds datetime64.*numbers of seconds"),
        (lambda t: t.astype(str), "data: column 'Time' holds texts"),
        (lambda t: t.where(t.index != 3, np.inf), "data: column 'Time' is infinite in 1 rows"),
    ],
)
def test_times_must_be_seconds(train, options, time, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**OPTIONS, **options).fit(train.assign(Time=time(train["Time"])))


def test_times_of_an_evaluation_must_be_seconds(train, fitted, test_frame):
    strings = test_frame.assign(Time=test_frame["Time"].astype(str))
    with pytest.raises(ValueError, match="test_data: column 'Time' holds texts"):
        evaluation.ranks(fitted, strings)
    with pytest.raises(ValueError, match="test_data: column 'Time' holds texts"):
        GRU4Rec(**OPTIONS, **ON).fit(train, validation_data=strings)


@pytest.mark.parametrize(
    "given, message",
    [
        ([1.0], r"dwell has shape \(1,\): one value a lane, \(2,\)"),
        ([1.0, -2.0], "dwell has the value -2.0: seconds of at least 0"),
        ([np.inf, 1.0], "dwell has the value inf"),
    ],
)
def test_dwell_of_a_call(fitted, given, message):
    hidden = [np.zeros((2, units)) for units in fitted.layers]
    with pytest.raises(ValueError, match=message):
        fitted.scores(np.array([0, 1]), hidden, dwell=given)
    fitted.forget_predictions()
    with pytest.raises(ValueError, match=message):
        fitted.predict_next_batch([1, 2], fitted.itemidmap.index[:2], batch=2, dwell=given)


def test_a_dwell_that_nobody_reads(train):
    gru = prepared(train)
    batch = next(gru.batches())
    with pytest.raises(ValueError, match="dwell is given with dwell_time=0"):
        gru.train_step(*batch[:3], dwell=np.zeros(4))
    with pytest.raises(ValueError, match="weights are given with dwell_weight=0"):
        gru.train_step(*batch[:3], weights=np.ones(4))
    with pytest.raises(ValueError, match="dwell is given with dwell_time=0"):
        gru.recommend(list(gru.itemidmap.index[:2]), k=2, times=[0, 1])
    with pytest.raises(ValueError, match=r"weights has shape \(3,\)"):
        prepared(train, dwell_weight=1.0).train_step(*batch[:3], weights=np.ones(3))


@pytest.mark.parametrize(
    "times, message",
    [
        ([[0, 1]], "times has 1 sessions: as many as session_items, 2"),
        ([[0, 1], [0]], r"times of session 1 have shape \(1,\): one an item, \(2,\)"),
        ([[0, 1], [3, 2]], "times of session 1: finite seconds that do not fall"),
        ([[0, np.nan], [2, 3]], "times of session 0: finite seconds"),
    ],
)
def test_times_of_recommend(fitted, times, message):
    ids = fitted.itemidmap.index.tolist()
    with pytest.raises(ValueError, match=message):
        fitted.recommend([ids[:2], ids[2:4]], k=2, times=times)
