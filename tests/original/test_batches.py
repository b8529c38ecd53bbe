"""Sessions and batches against plain loops over the definitions."""

from bisect import bisect_left

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from toys import events_of, frame_of, random_frame

from original.batches import parallel_batches
from original.gru4rec import GRU4Rec
from original.sampling import cumulated
from original.settings import Settings

# (session, item, time) with few values of each: sessions of one event, repeats, and equal times everywhere.
event_lists = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60)


def plain_sessions(events):
    """{session id: [(time, item), ...]}: events by (session, time), those of one time as they stand; sessions by id."""
    sessions = {session: [] for session in sorted({session for session, _, _ in events})}
    for session, item, time in events:
        sessions[session].append((time, item))
    return {session: sorted(found, key=lambda event: event[0]) for session, found in sessions.items()}


def plain_batches(sessions, batch_size, n_sample):
    """The definition, over lists of items in training order. Yields (X, targets, R, lanes)."""
    waiting = [list(session) for session in sessions]
    lanes = {lane: waiting.pop(0) for lane in range(batch_size)}
    while len(lanes) >= (1 if n_sample else 2):
        shortest = min(len(left) for left in lanes.values())
        for _ in range(shortest - 1):
            parts = [(left[0], left[1], len(left) == 2, lane) for lane, left in lanes.items()]
            yield [list(part) for part in zip(*parts)]
            for left in lanes.values():
                left.pop(0)
        for lane in [lane for lane, left in lanes.items() if len(left) == 1]:
            if waiting:
                lanes[lane] = waiting.pop(0)
            else:
                del lanes[lane]


@given(event_lists)
def test_events_by_session_and_time_as_they_stand_where_equal(events):
    """(session, time) pairs may be equal: such events keep the frame's order. So do sessions of one first timestamp."""
    sessions, itemidmap = events_of(frame_of(events))
    expected = plain_sessions(events)
    assert list(itemidmap.index) == list(dict.fromkeys(item for _, item, _ in events))
    found = np.split(itemidmap.index.to_numpy()[sessions.items], sessions.offsets[1:-1])
    assert [items.tolist() for items in found] == [[item for _, item in session] for session in expected.values()]
    first_times = [session[0][0] for session in expected.values()]
    assert sessions.by_time.tolist() == sorted(range(len(expected)), key=lambda s: first_times[s])
    assert len(sessions) == len(expected)


def test_many_equal_first_timestamps_leave_the_sessions_by_id():
    """NumPy's default sort is stable for a few values only."""
    events = [(session, item, session % 2) for session in range(500) for item in (1, 2)]
    sessions, _ = events_of(frame_of(events))
    assert sessions.by_time.tolist() == [*range(0, 500, 2), *range(1, 500, 2)]
    one_session, itemidmap = events_of(frame_of([(1, item, item % 2) for item in range(500)]))
    assert itemidmap.index[one_session.items].tolist() == [*range(0, 500, 2), *range(1, 500, 2)]


@given(event_lists, st.data())
def test_batches_follow_the_definition_to_the_last_event(events, data):
    sessions, itemidmap = events_of(frame_of(events))
    n_sample = data.draw(st.sampled_from([0, 3]))
    assume(n_sample or len(sessions) > 1)
    batch_size = data.draw(st.integers(1 if n_sample else 2, len(sessions)))
    order = np.array(data.draw(st.permutations(range(len(sessions)))))
    lists = [sessions.items[sessions.offsets[s] : sessions.offsets[s + 1]].tolist() for s in order]
    drawn = iter(range(1000))

    settings = Settings(batch_size=batch_size, n_sample=n_sample)
    draw = (lambda: np.full(n_sample, next(drawn))) if n_sample else None
    found = list(parallel_batches(sessions, order, settings, draw))
    expected = list(plain_batches(lists, batch_size, n_sample))

    assert len(found) == len(expected)
    for step, (batch, (X, targets, R, lanes)) in enumerate(zip(found, expected)):
        assert (batch.X.tolist(), batch.R.tolist(), batch.lanes.tolist()) == (X, R, lanes)
        assert batch.Y.tolist() == targets + [step] * n_sample
    if n_sample:
        assert sum(len(batch.X) for batch in found) == len(events) - len(sessions)


@pytest.mark.parametrize("options, expected", [({}, "time"), ({"time_sort": False}, "id")])
def test_order_of_the_sessions(options, expected):
    data = random_frame()
    gru = GRU4Rec(layers=[2], batch_size=1, n_sample=1, **options)
    gru.prepare(data, sample_store=0)
    by_session = data.sort_values("Time").groupby("SessionId")
    order = by_session["Time"].min().sort_values().index if expected == "time" else sorted(by_session.groups)
    items = by_session["ItemId"].agg(list)
    wanted = [item for session in order for item in items[session][:-1]]
    assert [gru.itemidmap.index[batch.X[0]] for batch in gru.batches()] == wanted


def test_random_order_is_a_new_permutation_of_the_sessions_each_epoch():
    data = random_frame(n_sessions=12)
    gru = GRU4Rec(layers=[2], batch_size=1, n_sample=1, train_random_order=True)
    gru.prepare(data, sample_store=0)
    stream = np.random.RandomState(42)
    n = gru.n_items
    for size in 3 * [n * 2] + [2 * 2] + 2 * [2 * 2] + [n * 2]:  # Wx0, Wh0, Wrz0, Wy
        stream.rand(size)
    items = data.sort_values("Time").groupby("SessionId")["ItemId"].agg(list)
    cdf = cumulated(gru.support, 0.75)
    orders = []
    for _ in range(2):
        orders.append(stream.permutation(12).tolist())
        wanted = [item for session in items.iloc[orders[-1]] for item in session[:-1]]
        batches = list(gru.batches())
        assert [gru.itemidmap.index[batch.X[0]] for batch in batches] == wanted
        assert [batch.Y[1] for batch in batches] == [bisect_left(cdf, stream.rand()) for _ in wanted]
    assert orders[0] != orders[1]


def test_the_frame_of_the_caller_is_not_changed():
    data = random_frame().set_index(pd.Index(np.zeros(len(random_frame())), name="row")).assign(other="x")
    before = data.copy()
    GRU4Rec(layers=[2], batch_size=4, n_sample=2).prepare(data, sample_store=10)
    pd.testing.assert_frame_equal(data, before)
