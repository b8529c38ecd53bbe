"""Ranks against a plain loop over events, in every way of ranking ties."""

import numpy as np
import pandas as pd
import pytest

from keras_port import GRU4Rec, evaluation


def random_frame(rng, n_items, n_sessions):
    lengths = rng.randint(1, 6, n_sessions)
    total = lengths.sum()
    return pd.DataFrame(
        {
            "SessionId": np.repeat(np.arange(n_sessions), lengths),
            "ItemId": rng.randint(0, n_items, total),
            "Time": np.arange(total),
        }
    )


@pytest.fixture(scope="module")
def model():
    gru = GRU4Rec(
        layers=[4, 3], batch_size=4, n_sample=3, final_act="relu", n_epochs=1, dtype="float64"
    )  # relu: many ties
    gru.fit(random_frame(np.random.RandomState(0), 20, 40))
    return gru


@pytest.fixture(scope="module")
def test_frame():
    return random_frame(np.random.RandomState(1), 25, 30)  # five items are unknown


def plain_ranks(gru, frame, items, mode):
    known = frame[frame["ItemId"].isin(gru.itemidmap.index)].sort_values(["SessionId", "Time", "ItemId"])
    ranked = gru.itemidmap.index if items is None else pd.Index(np.unique(items))
    found = []
    for session, events in known.groupby("SessionId"):
        hidden = [np.zeros((1, units)) for units in gru.layers]
        for position, (item, target) in enumerate(zip(events["ItemId"], events["ItemId"][1:]), start=1):
            scores, hidden = gru.scores(np.array([gru.itemidmap[item]]), hidden)
            score = pd.Series(scores[0], index=gru.itemidmap.index)
            above, level = (score[ranked] > score[target]).sum(), (score[ranked] == score[target]).sum()
            rank = {"standard": above + 1, "conservative": above + level, "median": above + 0.5 * (level - 1) + 1}[mode]
            found.append((session, target, position, max(rank, 1)))
    return pd.DataFrame(found, columns=["session", "item", "position", "rank"])


@pytest.mark.parametrize("items", [None, [3, 5, 5, 8, 13]])
@pytest.mark.parametrize("mode", ["standard", "conservative", "median"])
@pytest.mark.parametrize("batch_size", [7, 1000])
def test_ranks_and_metrics(model, test_frame, mode, items, batch_size):
    wanted = plain_ranks(model, test_frame, items, mode)
    found = evaluation.ranks(model, test_frame, items, mode=mode, batch_size=batch_size)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    metrics = evaluation.evaluate_gpu(model, test_frame, items, mode=mode, cut_off=[1, 4], batch_size=batch_size)
    for N in (1, 4):
        hit = wanted["rank"] <= N
        assert metrics[N] == pytest.approx((hit.mean(), (hit / wanted["rank"]).mean()))
        assert evaluation.evaluate_gpu(model, test_frame, items, mode=mode, cut_off=N) == metrics[N]
    batch = evaluation.evaluate_sessions_batch(
        model, test_frame, items, cut_off=[1, 4], mode=mode, batch_size=batch_size
    )
    assert batch == {N: pytest.approx(metrics[N]) for N in metrics}


def test_tiebreaking_lies_between_standard_and_conservative(model, test_frame):
    ranks = {mode: evaluation.ranks(model, test_frame, mode=mode)["rank"] for mode in evaluation.MODES}
    assert (ranks["standard"] <= ranks["tiebreaking"]).all() and (ranks["tiebreaking"] <= ranks["conservative"]).all()
    assert (ranks["standard"] < ranks["tiebreaking"]).any() and (ranks["tiebreaking"] < ranks["conservative"]).any()


def test_tiebreaking_moves_a_target_that_is_not_listed_too(model, test_frame):
    """All scores are 0: without noise of its own it would stand behind every listed item, at each event."""
    before = model.get_weights()
    model.set_weights({**before, "Wy": np.zeros_like(before["Wy"]), "By": np.zeros_like(before["By"])})
    found = evaluation.ranks(model, test_frame, [3, 5, 8, 13], mode="tiebreaking")
    model.set_weights(before)
    ranks = found.loc[~found["item"].isin([3, 5, 8, 13]), "rank"]
    assert len(ranks) > 15 and ranks.nunique() > 2 and 1.2 < ranks.mean() < 3.4


def test_every_evaluation_starts_from_zero_states(model, test_frame):
    first = evaluation.evaluate_sessions_batch(model, test_frame, batch_size=5)
    assert evaluation.evaluate_sessions_batch(model, test_frame, batch_size=5) == first


def test_a_tie_of_event_times_is_ordered_by_item(model):
    frame = pd.DataFrame({"SessionId": [1, 1, 1], "ItemId": [9, 4, 2], "Time": [0, 0, 0]})
    assert list(evaluation.ranks(model, frame)["item"]) == [4, 9]


def test_prediction_zeroes_a_lane_whose_session_changes(model):
    model.forget_predictions()
    ids = model.itemidmap.index
    model.predict_next_batch([1, 2], ids[:2], batch=2)
    kept = model.predict_next_batch([1, 3], ids[2:4], batch=2)
    model.forget_predictions()
    fresh = model.predict_next_batch([8, 9], ids[2:4], batch=2)
    np.testing.assert_array_equal(kept[1], fresh[1])
    assert not np.array_equal(kept[0], fresh[0])


def test_another_batch_starts_all_lanes_afresh(model):
    model.forget_predictions()
    ids = model.itemidmap.index
    fresh = model.predict_next_batch([1, 2, 3], ids[:3], batch=3)
    model.predict_next_batch([1, 2], ids[3:5], batch=2)
    np.testing.assert_array_equal(model.predict_next_batch([1, 2, 3], ids[:3], batch=3), fresh)


def test_prediction_for_listed_items(model):
    model.forget_predictions()
    ids = model.itemidmap.index
    everything = model.predict_next_batch([1, 2], ids[:2], batch=2)
    model.forget_predictions()
    some = model.predict_next_batch([1, 2], ids[:2], predict_for_item_ids=[ids[5], ids[1]], batch=2)
    pd.testing.assert_frame_equal(some, everything.loc[[ids[5], ids[1]]], rtol=1e-13)
