"""The baselines against plain loops over the formulas of their docstrings."""

import math
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from original import baselines
from original.baselines import BPR, ItemKNN, Pop, RandomPred, SessionPop

MODELS = [RandomPred, Pop, SessionPop, ItemKNN, BPR]
UNKNOWN = 999


def frame(events, session="SessionId", item="ItemId"):
    return pd.DataFrame(events, columns=[session, item]).assign(Time=0.0)


def random_events(n_events=300, n_sessions=40, n_items=15, seed=0):
    """Popular and rare items, repeats within a session, sessions of one event, unordered rows."""
    random = np.random.RandomState(seed)
    items = 100 + (n_items * random.rand(n_events) ** 2).astype(int)
    return list(zip(random.randint(n_sessions, size=n_events).tolist(), items.tolist()))


events_lists = st.lists(st.tuples(st.integers(0, 6), st.integers(100, 108)), min_size=1, max_size=60)


# The formulas, one event at a time.


def popularity(events, top_n, support_by_session=False):
    if support_by_session:
        events = list(dict.fromkeys(events))
    support = Counter(item for _, item in events)
    return {item: count / (1 + count) for item, count in support.most_common(top_n)}


def similarities(events, lmbd, alpha):
    in_session = defaultdict(list)
    for session, item in events:
        in_session[session].append(item)
    support = Counter(item for _, item in events)
    together = defaultdict(Counter)
    for session, item in events:
        together[item].update(in_session[session])
    return {
        i: {
            j: together[i][j] / ((support[i] + lmbd) ** alpha * (support[j] + lmbd) ** (1 - alpha)) if j != i else 0.0
            for j in support
        }
        for i in support
    }


def bpr_item_vectors(events, n_factors, n_iterations, lr, lambda_session, lambda_item, sigma, normal, seed):
    sessions = list(dict.fromkeys(session for session, _ in events))
    items = list(dict.fromkeys(item for _, item in events))
    random = np.random.RandomState(seed)
    draw = (lambda *shape: random.randn(*shape) * sigma) if normal else (lambda *s: random.rand(*s) * 2 * sigma - sigma)
    U, V = draw(len(sessions), n_factors), draw(len(items), n_factors)
    for _ in range(n_iterations):
        order = random.permutation(len(events))
        positions = random.randint(len(items), size=len(events))
        for event, position in zip(order, positions):
            u = sessions.index(events[event][0])
            i, j = items.index(events[event][1]), items.index(events[position][1])
            old_u, old_i, old_j = U[u].copy(), V[i].copy(), V[j].copy()
            c = 1 - 1 / (1 + math.exp(-(old_u @ (old_i - old_j))))
            U[u] += lr * (c * (old_i - old_j) - lambda_session * old_u)
            V[i] += lr * (c * old_u - lambda_item * old_i)
            V[j] += lr * (-c * old_u - lambda_item * old_j)
    return dict(zip(items, V))


# Popularity.


@given(events_lists, st.integers(1, 12), st.booleans())
def test_pop_scores_the_most_supported_items(events, top_n, by_session):
    model = Pop(top_n, support_by_key="SessionId" if by_session else None)
    model.fit(frame(events))
    wanted = [UNKNOWN, *range(100, 109)]
    expected = popularity(events, top_n, by_session)
    assert model.predict_next(1, 100, wanted).to_dict() == {item: expected.get(item, 0.0) for item in wanted}


@given(events_lists, events_lists, st.integers(1, 12))
def test_session_pop_counts_the_running_session(train, test, top_n):
    model = SessionPop(top_n)
    model.fit(frame(train))
    expected = popularity(train, top_n)
    wanted = [*range(100, 109), 105]
    session, events = None, []
    for next_session, item in test:
        session, events = next_session, [*events, item] if next_session == session else [item]
        scores = model.predict_next(session, item, wanted)
        assert scores.index.tolist() == wanted
        assert scores.tolist() == [events.count(item) + expected.get(item, 0.0) for item in wanted]


def test_session_pop_counts_items_unknown_to_training():
    model = SessionPop()
    model.fit(frame([(1, 100), (1, 101), (2, 101)]))
    model.predict_next(7, UNKNOWN, [100])
    scores = model.predict_next(7, UNKNOWN, [UNKNOWN, 100, 101])
    assert scores.tolist() == [2, 1 / 2, 2 / 3]


# ItemKNN.


@given(events_lists, st.integers(1, 12), st.sampled_from([0, 20, 0.5]), st.sampled_from([0, 0.5, 0.75, 1]))
def test_item_knn_follows_the_formula(events, n_sims, lmbd, alpha):
    model = ItemKNN(n_sims, lmbd, alpha)
    model.fit(frame(events))
    for item, expected in similarities(events, lmbd, alpha).items():
        scores = model.predict_next(1, item, list(expected))
        kept = scores[scores > 0]
        np.testing.assert_allclose(kept, [expected[item] for item in kept.index], rtol=1e-14)
        highest = sorted(expected.values(), reverse=True)[:n_sims]
        np.testing.assert_allclose(kept.sort_values(ascending=False), [s for s in highest if s > 0], rtol=1e-14)


def test_item_knn_keeps_the_first_of_equally_similar_items():
    model = ItemKNN(n_sims=2)
    model.fit(frame([*enumerate([105, 101, 107, 103]), *[(session, 100) for session in range(4)]]))
    scores = model.predict_next(1, 100, [101, 103, 105, 107])
    assert (scores > 0).tolist() == [True, False, True, False]


def test_item_knn_counts_repeated_items_once_for_each_pair_of_events():
    model = ItemKNN(lmbd=0)
    model.fit(frame([(1, 100), (1, 100), (1, 101), (1, 101), (1, 101), (2, 102)]))
    assert model.predict_next(1, 100, [100, 101, 102]).tolist() == pytest.approx([0, 6 / math.sqrt(2 * 3), 0])


def test_item_knn_in_many_blocks_is_the_same(monkeypatch):
    data = frame(random_events())
    items = data.ItemId.unique()
    whole, blocks = ItemKNN(n_sims=4), ItemKNN(n_sims=4)
    whole.fit(data)
    monkeypatch.setattr(baselines, "CO_OCCURRENCES_PER_BLOCK", 100)
    starts = [start for start, _ in baselines._co_occurrences(baselines.csr_array(np.ones((20, 15))))]
    assert len(starts) > 5
    blocks.fit(data)
    for item in items:
        pd.testing.assert_series_equal(blocks.predict_next(1, item, items), whole.predict_next(1, item, items))


def test_item_knn_without_any_pair_scores_nothing():
    model = ItemKNN()
    model.fit(frame([(1, 100), (2, 101)]))
    assert model.predict_next(1, 100, [100, 101]).tolist() == [0, 0]


# BPR.


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("lambda_session, lambda_item", [(0, 0), (0.1, 0.3)])
def test_bpr_follows_the_formula_one_event_at_a_time(monkeypatch, normal, lambda_session, lambda_item):
    monkeypatch.setattr(baselines, "TRIPLES_PER_SCHEDULE", 70)
    events = random_events()
    model = BPR(6, 3, 0.5, lambda_session, lambda_item, 0.4, normal, seed=5)
    model.fit(frame(events))
    vectors = bpr_item_vectors(events, 6, 3, 0.5, lambda_session, lambda_item, 0.4, normal, seed=5)
    wanted = [UNKNOWN, *vectors]
    first, second = events[0][1], events[1][1]
    for session_items, item in [([first], first), ([first, second], second), ([first, second, second], second)]:
        mean = np.mean([vectors[item] for item in session_items], axis=0)
        scores = model.predict_next("running", item, wanted)
        np.testing.assert_allclose(scores, [0.0, *(vectors[item] @ mean for item in vectors)], rtol=1e-9, atol=1e-12)


def test_bpr_starts_a_new_session_from_nothing():
    data = frame(random_events())
    items = data.ItemId.unique()
    model, fresh = BPR(5, 1), BPR(5, 1)
    model.fit(data)
    fresh.fit(data)
    model.predict_next(1, items[0], items)
    after = model.predict_next(2, items[1], items)
    pd.testing.assert_series_equal(after, fresh.predict_next(1, items[1], items))


def test_bpr_passes_over_unknown_inputs():
    data = frame(random_events())
    items = data.ItemId.unique()
    model = BPR(5, 1)
    model.fit(data)
    assert not model.predict_next(1, UNKNOWN, items).any()
    after_unknown = model.predict_next(1, items[0], items)
    pd.testing.assert_series_equal(after_unknown, model.predict_next(2, items[0], items))


triples = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=50)


@given(triples)
def test_independent_groups_share_no_row_and_keep_the_order_of_those_that_do(triples):
    groups = baselines._independent_groups(*np.array(triples).T)
    assert sorted(np.concatenate(groups)) == list(range(len(triples)))
    group_of = {position: g for g, group in enumerate(groups) for position in group}
    for later, (u, i, j) in enumerate(triples):
        for earlier, (u0, i0, j0) in enumerate(triples[:later]):
            if u == u0 or {i, j} & {i0, j0}:
                assert group_of[earlier] < group_of[later]


def test_bpr_ranks_an_item_of_the_same_sessions_first():
    """Two groups of items that never meet: the mean vector of a session of one group scores that group higher."""
    random = np.random.RandomState(0)
    events = [(s, 100 + 5 * (s % 2) + i) for s in range(200) for i in random.permutation(5)[:4].tolist()]
    model = BPR(8, 60, 0.1)
    model.fit(frame(events))
    scores = model.predict_next(1, 100, range(100, 110))
    assert scores[:5].min() > scores[5:].max()


# What all have in common.


@pytest.mark.parametrize("model", [RandomPred, BPR])
def test_seed_makes_the_scores(model):
    data = frame(random_events())
    items = data.ItemId.unique()

    def scores(**params):
        fitted = model(**params)
        fitted.fit(data)
        return fitted.predict_next(1, items[0], items).tolist()

    assert scores(seed=1) == scores(seed=1)
    assert scores() == scores(seed=42)
    assert scores(seed=1) != scores(seed=2)


def test_random_scores_are_uniform_and_new_in_each_call():
    model = RandomPred()
    model.fit(frame([(1, 100)]))
    first, second = (model.predict_next(1, 100, range(10_000)) for _ in range(2))
    assert first.between(0, 1, inclusive="left").all()
    np.testing.assert_allclose(np.quantile(first, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def keyed(model, **keys):
    """The model with the keys that its constructor has."""
    names = vars(model()).keys()
    return model(**{key: value for key, value in keys.items() if key in names})


@pytest.mark.parametrize("model", MODELS)
def test_columns_of_other_names_and_types(model):
    """Only names and types differ, so nothing may: popularity too is counted by ``item_key``."""
    events = random_events()
    items = list(dict.fromkeys(item for _, item in events))
    plain, renamed = model(), keyed(model, session_key="visit", item_key="article", time_key="at")
    plain.fit(frame(events))
    # An ItemId column that says something else would be counted by a program with the name built in.
    renamed.fit(frame([(f"v{s}", f"a{i}") for s, i in events], "visit", "article").assign(ItemId=1, SessionId=1))
    for item in items[:3]:
        expected = plain.predict_next(1, item, items)
        scores = renamed.predict_next("v1", f"a{item}", [f"a{item}" for item in items])
        assert scores.index.tolist() == [f"a{item}" for item in items]
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("model", [Pop, SessionPop, ItemKNN, BPR])
def test_unknown_items_score_zero_and_the_order_asked_for_is_kept(model):
    fitted = model()
    fitted.fit(frame(random_events()))
    known = fitted.predict_next(1, 100, [100, 101, 102])
    assert known.any()
    # The same list object, changed in place between the calls.
    wanted = np.array([102, UNKNOWN, 100, UNKNOWN])
    mixed = fitted.predict_next(2, 100, wanted)
    assert mixed.index.tolist() == [102, UNKNOWN, 100, UNKNOWN]
    assert mixed.tolist() == [known[102], 0, known[100], 0]
    wanted[0] = 101
    assert fitted.predict_next(3, 100, wanted).tolist() == [known[101], 0, known[100], 0]
    assert fitted.predict_next(4, 100, []).empty


@pytest.mark.parametrize("model", MODELS)
def test_data_is_not_changed_and_its_row_labels_make_no_difference(model):
    data = frame(random_events())
    relabelled = data.set_index(np.zeros(len(data), dtype=int))
    before = relabelled.copy()
    scores = []
    for each in (data, relabelled):
        fitted = model()
        fitted.fit(each)
        scores.append(fitted.predict_next(1, 100, range(100, 115)))
    pd.testing.assert_series_equal(*scores)
    pd.testing.assert_frame_equal(relabelled, before)


@pytest.mark.parametrize(
    "model, defaults",
    [
        (Pop, dict(top_n=100, item_key="ItemId", support_by_key=None)),
        (SessionPop, dict(top_n=100, item_key="ItemId", support_by_key=None)),
        (
            ItemKNN,
            dict(n_sims=100, lmbd=20, alpha=0.5, session_key="SessionId", item_key="ItemId", time_key="Time"),
        ),
        (
            BPR,
            dict(
                n_factors=100,
                n_iterations=10,
                learning_rate=0.01,
                lambda_session=0,
                lambda_item=0,
                sigma=0.05,
                init_normal=False,
                session_key="SessionId",
                item_key="ItemId",
            ),
        ),
    ],
)
def test_published_parameters_in_their_order(model, defaults):
    """Old scripts pass them by position too."""
    assert vars(model(*defaults.values())) == vars(model(**defaults)) == vars(model())
    assert vars(model()) | defaults == vars(model())


# Bad input.


@pytest.mark.parametrize("model", MODELS)
def test_prediction_before_fit(model):
    with pytest.raises(RuntimeError, match=f"{model.__name__}.predict_next was called before fit"):
        model().predict_next(1, 100, [100])


@pytest.mark.parametrize("model", MODELS)
def test_data_must_be_a_frame(model):
    with pytest.raises(TypeError, match="data: a pandas DataFrame is needed, not list"):
        model().fit([(1, 100)])


@pytest.mark.parametrize(
    "model, params, said",
    [
        (RandomPred, dict(seed=-1), "seed=-1: an integer from 0"),
        (Pop, dict(top_n=0), "top_n=0: an integer from 1"),
        (SessionPop, dict(top_n=2.5), "top_n=2.5: an integer from 1"),
        (ItemKNN, dict(n_sims=True), "n_sims=True: an integer from 1"),
        (ItemKNN, dict(lmbd=-1), "lmbd=-1: a finite number from 0"),
        (ItemKNN, dict(lmbd=math.inf), "lmbd=inf: a finite number from 0"),
        (ItemKNN, dict(alpha=1.5), "alpha=1.5: a finite number from 0 to 1"),
        (ItemKNN, dict(alpha="0.5"), "alpha='0.5': a finite number from 0 to 1"),
        (BPR, dict(n_factors=0), "n_factors=0: an integer from 1"),
        (BPR, dict(n_iterations=0), "n_iterations=0: an integer from 1"),
        (BPR, dict(learning_rate=0), "learning_rate=0: a finite number above 0"),
        (BPR, dict(learning_rate=math.nan), "learning_rate=nan: a finite number above 0"),
        (BPR, dict(lambda_session=-0.1), "lambda_session=-0.1: a finite number from 0"),
        (BPR, dict(lambda_item=-0.1), "lambda_item=-0.1: a finite number from 0"),
        (BPR, dict(sigma=0), "sigma=0: a finite number above 0"),
        (BPR, dict(seed="x"), "seed='x': an integer from 0"),
        (Pop, dict(item_key="Article"), "item_key='Article': not a column of the data"),
        (Pop, dict(support_by_key="Visit"), "support_by_key='Visit': not a column of the data"),
        (SessionPop, dict(item_key="Article"), "item_key='Article': not a column of the data"),
        (ItemKNN, dict(item_key="Article"), "item_key='Article': not a column of the data"),
        (ItemKNN, dict(session_key="Visit"), "session_key='Visit': not a column of the data"),
        (BPR, dict(item_key="Article"), "item_key='Article': not a column of the data"),
        (BPR, dict(session_key="Visit"), "session_key='Visit': not a column of the data"),
    ],
)
def test_bad_parameters_are_named(model, params, said):
    with pytest.raises(ValueError) as error:
        model(**params).fit(frame(random_events()))
    assert said in str(error.value)


@pytest.mark.parametrize("model", [Pop, SessionPop, ItemKNN, BPR])
def test_frames_without_events_or_with_missing_values(model):
    with pytest.raises(ValueError, match="the data has no events"):
        model().fit(frame([]))
    with pytest.raises(ValueError, match="item_key='ItemId': missing values in 1 of 3 events"):
        model().fit(frame([(1, 100), (1, None), (2, 101)]))


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = Pop()
    model.fit(frame([(1, 100)]))
    with pytest.raises(ValueError):
        model.fit(frame([]))
    assert model.predict_next(1, 100, [100]).tolist() == [0.5]
