"""The baselines against plain loops over the formulas of their docstrings."""

import math
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec.baselines import rules
from gru4rec.baselines.models import ALL
from gru4rec.baselines.neighbours import DECAYS
from original import baselines as of_the_papers

ITEMS = 9
sessions_lists = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=7), min_size=1, max_size=12)
running = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=6)


def frame(sessions):
    """Session s begins at 10 s: the last is the newest, and times in a session rise."""
    rows = [(s, 100 + item, 10.0 * s + x) for s, items in enumerate(sessions) for x, item in enumerate(items)]
    return pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])


def scores(model, items):
    """{item: score} after the known items of a session."""
    hidden = [np.zeros((1, model.layers[0]), model.dtype)]
    found = np.zeros((1, model.n_items))
    for item in items:
        if 100 + item in model.itemidmap.index:
            found, hidden = model.scores(np.array([model.itemidmap[100 + item]]), hidden)
    return dict(zip((model.itemidmap.index - 100).tolist(), found[0].tolist()))


def fitted(name, sessions, **options):
    model = ALL[name](**options)
    model.fit(frame(sessions))
    return model


def assert_alike(found, expected):
    assert found == {item: pytest.approx(expected.get(item, 0.0), rel=1e-12, abs=1e-12) for item in found}


def place_weight(decay, distance, length):
    place = length - distance
    return {
        "same": 1.0, "div": place / length, "quadratic": (place / length) ** 2,
        "linear": max(0.0, 1 - distance / 10), "log": 1 / math.log2(2 + distance),
    }[decay]  # fmt: skip


def step_weight(decay, step):
    return {"same": 1.0, "div": 1 / step, "quadratic": 1 / step**2, "linear": max(0.0, 1 - step / 10),
            "log": 1 / math.log2(1 + step)}[decay]  # fmt: skip


def nearest(sessions, items, k, sample_size, weighting, scoring, idf, cosine):
    """VS-kNN one session at a time."""
    known = [item for item in items if any(item in session for session in sessions)]
    newest = {item: len(known) - 1 - place for place, item in enumerate(known)}  # the last place of each wins
    sharing = [s for s in reversed(range(len(sessions))) if set(sessions[s]) & set(newest)][:sample_size]
    similar = {}
    for s in sharing:
        shared = set(sessions[s]) & set(newest)
        similar[s] = sum(place_weight(weighting, newest[item], len(known)) for item in shared)
        if cosine:
            similar[s] = len(shared) / math.sqrt(len(newest) * len(set(sessions[s])))
    # rounded, as sums in another order differ in the last bits, and of equal ones the newest counts
    neighbours = sorted(sharing, key=lambda s: (-round(similar[s], 12), -s))[:k]
    found = defaultdict(float)
    for s in neighbours:
        step = min(newest[item] for item in set(sessions[s]) & set(newest)) + 1
        for item in set(sessions[s]):
            found[item] += similar[s] * step_weight(scoring, step)
    having = Counter(item for session in sessions for item in set(session))
    return {item: value * (1 + idf * math.log(len(sessions) / having[item])) for item, value in found.items()}


@settings(deadline=None)
@given(sessions_lists, running, st.integers(1, 12), st.integers(1, 12), st.sampled_from(("same", "div", "quadratic")),
       st.sampled_from(DECAYS), st.sampled_from([0, 5]))  # fmt: skip
def test_vsknn(sessions, items, k, sample_size, weighting, scoring, idf):
    model = fitted("vsknn", sessions, k=k, sample_size=sample_size, weighting=weighting, scoring=scoring, idf=idf)
    expected = nearest(sessions, items, k, sample_size, weighting, scoring, idf, cosine=False)
    everything = nearest(sessions, items, 99, sample_size, weighting, scoring, idf, cosine=False)
    if k >= len(sessions) or everything == expected:  # else sums of equal value in another order choose others
        assert_alike(scores(model, items), expected)


@settings(deadline=None)
@given(sessions_lists, running, st.integers(1, 12), st.sampled_from(("linear", "log")))
def test_vsknn_decays(sessions, items, sample_size, decay):
    model = fitted("vsknn", sessions, sample_size=sample_size, weighting=decay, scoring=decay, idf=1)
    assert_alike(scores(model, items), nearest(sessions, items, 500, sample_size, decay, decay, 1, cosine=False))


def test_vsknn_takes_the_most_similar_neighbours_and_of_equal_ones_the_newest():
    sessions = [[1, 2, 3], [1, 4], [1, 2, 5], [1, 6], [7, 8]]
    model = fitted("vsknn", sessions, k=3, weighting="same", scoring="same", idf=0)
    assert_alike(scores(model, [1, 2]), {1: 5, 2: 4, 3: 2, 5: 2, 6: 1})


@settings(deadline=None)
@given(sessions_lists, running, st.integers(1, 12))
def test_sknn(sessions, items, sample_size):
    model = fitted("sknn", sessions, sample_size=sample_size)
    assert_alike(scores(model, items), nearest(sessions, items, 500, sample_size, "same", "same", 0, cosine=True))


@settings(deadline=None)
@given(sessions_lists, running)
def test_ar(sessions, items):
    expected = Counter()
    for session in sessions:
        for x, one in enumerate(session):
            expected.update(other for y, other in enumerate(session) if x != y and one == items[-1])
    model = fitted("ar", sessions, rules=0)
    if 100 + items[-1] in model.itemidmap.index:
        assert_alike(scores(model, items), expected)


@settings(deadline=None)
@given(sessions_lists, running, st.integers(1, 8), st.sampled_from(rules.WEIGHTS))
def test_sr_and_markov(sessions, items, steps, weighting):
    weight = dict(same=lambda x: 1, div=lambda x: 1 / x, quadratic=lambda x: 1 / x**2,
                  log=lambda x: 1 / math.log2(1 + x), linear=lambda x: 1 - (x - 1) / steps)[weighting]  # fmt: skip
    expected, following = Counter(), Counter()
    for session in sessions:
        for x, item in enumerate(session):
            for y in range(max(0, x - steps), x):
                if session[y] == items[-1]:
                    expected[item] += weight(x - y)
                    following[item] += x - y == 1
    model = fitted("sr", sessions, steps=steps, weighting=weighting, rules=0)
    if 100 + items[-1] in model.itemidmap.index:
        assert_alike(scores(model, items), expected)
        assert_alike(scores(fitted("markov", sessions), items), following)


def test_rules_are_pruned_to_the_highest():
    model = fitted("ar", [[1, 2], [1, 2], [1, 3], [1, 3], [1, 3], [1, 4]], rules=2)
    assert_alike(scores(model, [1]), {2: 2, 3: 3})


def test_association_in_many_blocks_is_the_same(monkeypatch):
    random = np.random.RandomState(0)
    items, offsets = random.randint(20, size=300), np.r_[0, np.sort(random.choice(299, 40, replace=False)) + 1, 300]
    whole = rules.association(items, offsets, 20, 0).toarray()
    monkeypatch.setattr(rules, "PAIRS", 200)
    assert (rules.association(items, offsets, 20, 0).toarray() == whole).all()


@settings(deadline=None)
@given(sessions_lists, running, st.integers(1, 12), st.sampled_from([0.0, 20.0]), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_three_of_the_papers_tables(sessions, items, most, lmbd, alpha):
    data = frame(sessions)
    ours = {
        "pop": (ALL["pop"](top_n=most), of_the_papers.Pop(most)),
        "spop": (ALL["spop"](top_n=most), of_the_papers.SessionPop(most)),
        "itemknn": (ALL["itemknn"](n_sims=most, lmbd=lmbd, alpha=alpha),
                    of_the_papers.ItemKNN(most, lmbd, alpha)),
    }  # fmt: skip
    known = [item for item in items if (data.ItemId == 100 + item).any()]
    for name, (model, other) in ours.items():
        model.fit(data)
        other.fit(data)
        for item in known:
            expected = other.predict_next(1, 100 + item, model.itemidmap.index)
        if known:
            found = scores(model, items)
            np.testing.assert_allclose(sorted(found.values()), sorted(expected), rtol=1e-12, err_msg=name)
