"""Recall, MRR and ranks: the arguments, the tables, ties, and agreement of the ways to the same figures."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engine_tools import MODES, peak_memory, plain, refused, same_arrays

FUNCTIONS = ("evaluate_gpu", "ranks", "evaluate_sessions_batch")
N_PREDICTED = len(plain()) - plain()["SessionId"].nunique()


def flat(own):
    """A model all of whose scores are equal."""
    weights = own.get_weights()
    own.set_weights({name: np.zeros_like(weights[name]) for name in ("Wy", "By")})
    return own


# Arguments.

GOOD_CUT_OFFS = [[1, 5], (1, 5), {1, 5}, np.array([1, 5]), [np.int64(1), 5], np.array([5, 1], np.uint8)]


@pytest.mark.parametrize("name", ["evaluate_gpu", "evaluate_sessions_batch"])
def test_cut_offs(engine, fitted, name):
    """One N gives a pair, any collection of them a dict by N of the same pairs."""
    evaluate = getattr(engine.evaluation, name)
    one, five = (evaluate(fitted, plain(), cut_off=N) for N in (1, 5))
    assert all(type(value) is float for value in one + five) and 0 <= one[0] <= five[0] <= 1
    assert evaluate(fitted, plain(), cut_off=np.int64(5)) == five
    for cut_off in GOOD_CUT_OFFS:
        found = evaluate(fitted, plain(), cut_off=cut_off)
        assert found == {1: one, 5: five} and all(type(N) is int for N in found)
    assert evaluate(fitted, plain(), cut_off=[5]) == {5: five}
    assert evaluate(fitted, plain(), cut_off=10**9)[0] == 1.0


BAD_CUT_OFFS = [0, -1, True, np.True_, [], (), set(), np.array([]), 1.5, "20", "", None, math.nan, [0], [1, 0], [True]]
BAD_CUT_OFFS += [[1, None], ["1"], [[1, 2]], np.array([[1, 2]]), np.array([1.5]), np.array([True]), {}, {"a"}, object]


@pytest.mark.parametrize("name", ["evaluate_gpu", "evaluate_sessions_batch"])
@pytest.mark.parametrize("cut_off", BAD_CUT_OFFS, ids=repr)
def test_bad_cut_off(engine, fitted, name, cut_off):
    with pytest.raises(ValueError, match=r"^cut_off=.*is accepted$") as caught:
        getattr(engine.evaluation, name)(fitted, plain(), cut_off=cut_off)
    assert f"cut_off={cut_off!r}: " in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("mode", [None, "", "Standard", "standard ", 1, ["standard"], np.nan, True])
def test_bad_mode(engine, fitted, name, mode):
    with refused(ValueError, f"mode={mode!r}: standard, conservative, median or tiebreaking is accepted"):
        getattr(engine.evaluation, name)(fitted, plain(), mode=mode)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, np.True_, None, "10", math.nan, math.inf, []])
def test_bad_batch_size(engine, fitted, name, batch_size):
    with refused(ValueError, f"batch_size={batch_size!r}: a whole number of at least 1 is accepted"):
        getattr(engine.evaluation, name)(fitted, plain(), batch_size=batch_size)


def test_batch_size_changes_no_rank(engine, fitted):
    wanted = engine.evaluation.ranks(fitted, plain())
    for batch_size in (1, 2.0, np.int64(5), 1000):
        pd.testing.assert_frame_equal(engine.evaluation.ranks(fitted, plain(), batch_size=batch_size), wanted)


@pytest.mark.parametrize("items", [None, [100, 103]])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_huge_batch_size_costs_nothing(engine, fitted, name, items):
    """More lanes than there are sessions are as many lanes as there are sessions."""
    evaluate, memory = getattr(engine.evaluation, name), peak_memory()
    found = evaluate(fitted, plain(), items, batch_size=10**8)
    assert memory() < 300 * 2**20
    wanted = evaluate(fitted, plain(), items, batch_size=100)
    assert found.equals(wanted) if name == "ranks" else found == wanted


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "items", [[], (), np.array([]), pd.Series([], dtype="int64"), pd.Index([])], ids=lambda i: type(i).__name__
)
def test_no_items(engine, fitted, name, items):
    with pytest.raises(ValueError, match="^items"):
        getattr(engine.evaluation, name)(fitted, plain(), items)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("items", [20, 1.5, "100", [99], [100, 999], [math.nan], [None], True, [[100, 101]]], ids=repr)
def test_bad_items(engine, fitted, name, items):
    """``evaluate_gpu(gru, test, 20)`` means a cut-off and says items; unknown items are named."""
    with pytest.raises(ValueError, match="items") as caught:
        getattr(engine.evaluation, name)(fitted, plain(), items)
    if items in ([99], [100, 999]):
        assert str(items[-1]) in str(caught.value)


def test_forms_of_items(engine, fitted):
    wanted = engine.evaluation.ranks(fitted, plain(), [100, 103, 104])
    forms = [(100, 103, 104), np.array([100, 103, 104]), pd.Series([100, 103, 104], index=[5, 5, 5])]
    forms += [pd.Index([104, 100, 103]), [100, 100, 103, 104, 104], pl.Series([100, 103, 104])]
    for items in forms:
        assert engine.evaluation.ranks(fitted, plain(), items)["rank"].tolist() == wanted["rank"].tolist()
        assert engine.evaluation.evaluate_gpu(fitted, plain(), items) == (
            engine.evaluation.evaluate_gpu(fitted, plain(), [100, 103, 104])
        )


def test_all_items_listed(engine, fitted):
    for mode in MODES[:3]:
        every = fitted.itemidmap.index.to_numpy()[::-1]
        assert engine.evaluation.ranks(fitted, plain(), every, mode=mode)["rank"].tolist() == (
            engine.evaluation.ranks(fitted, plain(), mode=mode)["rank"].tolist()
        )


def test_nothing_to_predict(engine, fitted):
    frames = [plain().assign(ItemId=plain()["ItemId"] + 1000), plain().drop_duplicates("SessionId")]
    for frame in frames:
        for name in FUNCTIONS:
            with pytest.raises(ValueError, match="^test_data: "):
                getattr(engine.evaluation, name)(fitted, frame)


def test_unknown_items_are_dropped_first(engine, fitted):
    """Events of items that the model does not know are as if they were not there."""
    frame = pd.concat([plain(), plain().assign(ItemId=7, Time=plain()["Time"] + 0.5)])
    for name in ("evaluate_gpu", "evaluate_sessions_batch"):
        evaluate = getattr(engine.evaluation, name)
        assert evaluate(fitted, frame) == evaluate(fitted, plain())


# Ranks.


def by_hand(fitted, items=None):
    """(session, item, scores of all items, index of the target) of each predicted event, one event at a time."""
    frame = plain().sort_values(["SessionId", "Time", "ItemId"])
    for session, events in frame.groupby("SessionId"):
        hidden = [np.zeros((1, units), fitted.dtype) for units in fitted.layers]
        X = fitted.itemidmap[events["ItemId"]].to_numpy()
        for position in range(1, len(X)):
            scores, hidden = fitted.scores(X[position - 1 : position], hidden)
            yield session, int(events["ItemId"].iloc[position]), np.asarray(scores)[0], X[position]


def rank_by_hand(scores, target, own, mode):
    above, equal = (scores > own).sum(), (scores == own).sum()
    return {
        "standard": above + 1,
        "conservative": above + equal,
        "median": above + 0.5 * (equal - 1) + 1,
        "tiebreaking": above + 1,
    }[mode]


@pytest.mark.parametrize("mode", MODES)
def test_ranks_by_hand(engine, fitted, mode):
    """The table of ranks against a plain loop over the events; the figures against the table."""
    table = engine.evaluation.ranks(fitted, plain(), mode=mode)
    assert isinstance(table, pd.DataFrame) and len(table) == N_PREDICTED
    assert table.index.tolist() == list(range(N_PREDICTED))
    wanted = [
        (session, item, rank_by_hand(scores, target, scores[target], mode))
        for session, item, scores, target in by_hand(fitted)
    ]
    assert table["rank"].tolist() == [rank for _, _, rank in wanted]
    assert table.iloc[:, 0].tolist() == [session for session, _, _ in wanted]
    assert table.iloc[:, 1].tolist() == [item for _, item, _ in wanted]
    hit = table["rank"] <= 3
    recall, mrr = engine.evaluation.evaluate_gpu(fitted, plain(), mode=mode, cut_off=3)
    assert recall == pytest.approx(hit.mean()) and mrr == pytest.approx((hit / table["rank"]).mean())


def test_columns_of_ranks(engine, fitted):
    """session, item, position, rank: the names are the engine's, whatever the frame calls its columns."""
    table = engine.evaluation.ranks(fitted, plain())
    assert list(table.columns) == ["session", "item", "position", "rank"]
    wanted = [i for _, events in plain().groupby("SessionId") for i in range(1, len(events))]
    assert table["position"].tolist() == wanted


@pytest.mark.parametrize("mode", MODES[:3])
@pytest.mark.parametrize("items", [None, [100, 103, 107]])
def test_the_two_evaluations_agree(engine, fitted, mode, items):
    found = engine.evaluation.evaluate_gpu(fitted, plain(), items, cut_off=[1, 2, 5], mode=mode)
    other = engine.evaluation.evaluate_sessions_batch(fitted, plain(), items, cut_off=[1, 2, 5], mode=mode)
    assert list(found) == list(other)
    for N in found:
        assert other[N] == pytest.approx(found[N])


# Ties.


def test_all_scores_equal(engine, own):
    """Eight items with one score: first, last, in the middle, anywhere."""
    gru = flat(own)
    found = {mode: engine.evaluation.ranks(gru, plain(), mode=mode)["rank"].to_numpy() for mode in MODES}
    assert set(found["standard"]) == {1} and set(found["conservative"]) == {8} and set(found["median"]) == {4.5}
    noisy = found["tiebreaking"]
    assert noisy.min() >= 1 and noisy.max() <= 8 and (noisy == noisy.astype(int)).all()
    assert len(set(noisy)) >= 4, "noise spreads over the tie"
    for mode, recall in (("standard", 1.0), ("conservative", 0.0)):
        for name in ("evaluate_gpu", "evaluate_sessions_batch"):
            assert getattr(engine.evaluation, name)(gru, plain(), cut_off=7, mode=mode)[0] == recall


def test_some_scores_equal(engine, own):
    """Noise moves a target within its tie and never out of it."""
    weights = own.get_weights()
    By = np.repeat([[0.0], [1.0]], 4, axis=0).astype(weights["By"].dtype)
    own.set_weights({"Wy": np.zeros_like(weights["Wy"]), "By": By[[0, 4, 1, 5, 2, 6, 3, 7]]})
    low = engine.evaluation.ranks(own, plain(), mode="standard")["rank"].to_numpy()
    high = engine.evaluation.ranks(own, plain(), mode="conservative")["rank"].to_numpy()
    noisy = engine.evaluation.ranks(own, plain(), mode="tiebreaking")["rank"].to_numpy()
    assert set(low) == {1, 5} and set(high) == {4, 8}
    assert (low <= noisy).all() and (noisy <= high).all()
    assert len(set(noisy[low == 5])) > 1


@pytest.mark.parametrize("items", [None, [100, 103, 107]])
def test_noise_breaks_no_order(engine, fitted, items):
    """Where no two scores are equal, noise changes nothing."""
    for name in ("evaluate_gpu", "evaluate_sessions_batch"):
        evaluate = getattr(engine.evaluation, name)
        assert evaluate(fitted, plain(), items, cut_off=3, mode="tiebreaking") == pytest.approx(
            evaluate(fitted, plain(), items, cut_off=3, mode="standard")
        )


def test_noise_is_the_same_every_time(engine, own):
    gru = flat(own)
    first = engine.evaluation.ranks(gru, plain(), mode="tiebreaking")
    pd.testing.assert_frame_equal(engine.evaluation.ranks(gru, plain(), mode="tiebreaking"), first)


def test_ties_within_a_list(engine, own):
    gru = flat(own)
    items = [100, 101, 102]
    noisy = engine.evaluation.ranks(gru, plain(), items, mode="tiebreaking")["rank"]
    assert noisy.between(1, 4).all() and noisy.nunique() > 1
    listed = plain().sort_values(["SessionId", "Time"]).groupby("SessionId").tail(-1)["ItemId"].isin(items).to_numpy()
    standard = engine.evaluation.ranks(gru, plain(), items, mode="standard")["rank"]
    conservative = engine.evaluation.ranks(gru, plain(), items, mode="conservative")["rank"]
    assert set(standard) == {1} and set(conservative[listed]) == {3} and set(conservative[~listed]) <= {3, 4}


# State.


def test_evaluation_changes_no_model(engine, own):
    """Neither weights nor the streams of training, nor what predict_next_batch runs."""
    own.predict_next_batch([1], [100], batch=1)
    before, slots, hidden = own.get_weights(), own.get_optimizer_state(), own.get_hidden()
    for mode in MODES:
        for name in ("evaluate_gpu", "evaluate_sessions_batch"):
            getattr(engine.evaluation, name)(own, plain(), mode=mode)
    same_arrays(own.get_weights(), before)
    same_arrays(own.get_optimizer_state(), slots)
    for H, old in zip(own.get_hidden(), hidden, strict=True):
        np.testing.assert_array_equal(H, old)


def test_evaluation_starts_from_nothing(engine, own):
    """Sessions that ran before an evaluation, of the same ids, leave no trace in it."""
    wanted = engine.evaluation.evaluate_sessions_batch(own, plain())
    session = plain()["SessionId"].to_numpy()[:12]
    own.predict_next_batch(session, plain()["ItemId"].to_numpy()[:12], batch=12)
    assert engine.evaluation.evaluate_sessions_batch(own, plain()) == wanted


class Loop:
    """A predictor of one event at a time, for the evaluation of baselines."""

    def predict_next(self, session_id, input_item_id, predict_for_item_ids):
        return np.asarray(predict_for_item_ids) % 7


def test_baselines_of_original_take_every_frame():
    from original import evaluation

    frame = plain()
    wanted = evaluation.evaluate_sessions(Loop(), frame, frame, cut_off=[1, 3])
    forms = [frame.set_index("ItemId", drop=False), pl.DataFrame({name: frame[name].tolist() for name in frame})]
    forms += [frame.astype("category"), frame.astype("Int64")]
    for form in forms:
        assert evaluation.evaluate_sessions(Loop(), form, form, cut_off=(1, 3)) == wanted
    with refused(ValueError, "train_data: no events; a frame with at least one event is accepted"):
        evaluation.evaluate_sessions(Loop(), frame, frame.iloc[:0])
    with pytest.raises(ValueError, match="^items"):
        evaluation.evaluate_sessions(Loop(), frame, frame, [])
    with pytest.raises(ValueError, match="^cut_off="):
        evaluation.evaluate_sessions(Loop(), frame, frame, cut_off=None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("listed", [False, True], ids=["all items", "some items"])
def test_noise_breaks_ties_of_large_scores(engine, dtype, listed):
    """1e-10 is below float32's resolution of a score of 0.1: level items are put in a random order all the same."""
    data = plain(n_sessions=60, n_items=30)
    model = engine.prepared(data, layers=[4], batch_size=2, dtype=dtype)
    weights = model.get_weights()
    model.set_weights({"Wy": np.zeros_like(weights["Wy"]), "By": np.full_like(weights["By"], 0.3)})
    items = sorted(set(data["ItemId"])) if listed else None
    rank = engine.evaluation.ranks(model, data, items=items, mode="tiebreaking")["rank"]
    n = model.n_items
    assert abs(rank.mean() - (n + 1) / 2) < 5 * n / np.sqrt(12 * len(rank))
    assert rank.nunique() > n / 2
