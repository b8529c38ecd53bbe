"""Session-parallel batches against the plain loop of the paper, on random frames."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_port import GRU4Rec, batches, events
from keras_port.events import Columns

COLUMNS = Columns("SessionId", "ItemId", "Time")


def plain_batches(session_items, B, n_sample):
    """(X, Y, R) of every step, lane by lane with lists."""
    waiting, lanes, steps = list(session_items), [], []
    lanes = [waiting.pop(0) for _ in range(B)]
    while lanes and (len(lanes) >= 2 or n_sample):
        for _ in range(min(map(len, lanes)) - 1):
            steps.append(([s[0] for s in lanes], [s[1] for s in lanes], [len(s) == 2 for s in lanes]))
            lanes = [s[1:] for s in lanes]
        lanes = [s if len(s) > 1 else (waiting.pop(0) if waiting else None) for s in lanes]
        lanes = [s for s in lanes if s is not None]
    return steps


lengths = st.lists(st.integers(1, 6), min_size=3, max_size=25).filter(lambda found: max(found) > 1)


@given(lengths, st.integers(2, 5), st.integers(0, 1), st.booleans(), st.randoms(use_true_random=False))
def test_batches_are_those_of_a_plain_loop(lengths, B, n_sample, time_sort, random):
    B = min(B, len(lengths))
    items = [random.randrange(9) for _ in range(sum(lengths))]
    session = np.repeat(np.arange(len(lengths)), lengths)
    time = [random.randrange(20) for _ in items]  # ties, within and between sessions
    frame = pd.DataFrame({"SessionId": session, "ItemId": items, "Time": time})
    shuffled = frame.sample(frac=1, random_state=random.randrange(99)).reset_index(drop=True)

    found = events.read(shuffled, COLUMNS)
    itemidmap = events.item_map(shuffled, COLUMNS)
    assert list(itemidmap.index) == list(dict.fromkeys(shuffled["ItemId"]))
    ordered = shuffled.sort_values(["SessionId", "Time"], kind="stable")
    groups = [group for _, group in ordered.groupby("SessionId", sort=True)]
    if time_sort:
        groups.sort(key=lambda group: group["Time"].min())  # Python's sort is stable
    expected = plain_batches([[itemidmap[i] for i in group["ItemId"]] for group in groups], B, n_sample)

    positions = batches.schedule(found.offsets, batches.session_order(found, time_sort), B, n_sample)
    assert len(positions) == len(expected)
    read_by = np.cumsum([len(X) for X, _, _ in expected])
    np.testing.assert_array_equal(positions.events_by_step(), read_by)
    for first in range(0, len(positions), 3):  # laid out from anywhere, the rows are the same
        found_rows = batches.Schedule(found.offsets, batches.session_order(found, time_sort), B, n_sample)
        np.testing.assert_array_equal(found_rows.rows(first, first + 2), np.asarray(positions)[first : first + 2])
        found_rows._BLOCK = 2
        np.testing.assert_array_equal(list(found_rows), np.asarray(positions))
    ends = set(found.offsets[1:] - 1)
    for row, (X, Y, R) in zip(positions, expected):
        read = row[row >= 0]
        assert list(found.items[read]) == X
        assert list(found.items[read + 1]) == Y
        assert [int(p) + 1 in ends for p in read] == R


@given(lengths, st.integers(2, 4), st.integers(1, 5))
def test_chunks_hold_the_batches(lengths, B, K):
    """Padded chunks say the same as the compact batches.

    An empty lane repeats a row that the step uses, and is never the last occurrence.
    """
    B = min(B, len(lengths))
    session = np.repeat(np.arange(len(lengths)), lengths)
    frame = pd.DataFrame({"SessionId": session, "ItemId": np.arange(len(session)) % 7, "Time": np.arange(len(session))})
    options = {
        "layers": [2],
        "batch_size": B,
        "n_sample": 3,
        "momentum": 0.1,
        "dropout_p_hidden": 0.5,
        "steps_per_call": K,
    }
    compact, padded = (GRU4Rec(**options) for _ in range(2))
    compact.prepare(frame, 30), padded.prepare(frame, 30)
    steps = list(compact.batches())
    source = padded.trainer.batches
    source.start_epoch()
    chunks = [source.chunk(number) for number in range(source.chunks)]
    assert sum(int(chunk["steps"]) for chunk in chunks) == len(steps)
    for k, batch in enumerate(steps):
        chunk, i = chunks[k // K], k % K
        lanes = chunk["lanes"][i]
        np.testing.assert_array_equal(np.flatnonzero(lanes), batch.lanes)
        np.testing.assert_array_equal(chunk["X"][i][lanes], batch.X)
        np.testing.assert_array_equal(np.concatenate([chunk["Y"][i][:B][lanes], chunk["Y"][i][B:]]), batch.Y)
        np.testing.assert_array_equal(chunk["R"][i][lanes], batch.R)
        np.testing.assert_array_equal(chunk["mask0"][i][lanes], compact.draw_masks(len(batch.X))[0])
        assert not chunk["R"][i][~lanes].any()
        for row, last, real in (
            (chunk["X"][i], chunk["last_X"][i], lanes),
            (chunk["Y"][i], chunk["last_Y"][i], np.concatenate([lanes, np.ones(3, bool)])),
        ):
            wanted = [max(j for j in range(len(row)) if real[j] and row[j] == item) for item in row]
            np.testing.assert_array_equal(last, wanted)


def test_random_order_takes_one_permutation_an_epoch_before_the_samples():
    frame = pd.DataFrame({"SessionId": np.repeat(np.arange(8), 3), "ItemId": np.arange(24) % 5, "Time": np.arange(24)})
    gru = GRU4Rec(layers=[2], batch_size=2, n_sample=2, sample_alpha=0, train_random_order=True)
    gru.prepare(frame, sample_store=0)
    rng = np.random.RandomState(42)
    for rows, cols in [(5, 2)] * 3 + [(2, 2)] * 3 + [(5, 2)]:
        rng.rand(rows, cols)
    for _ in range(2):
        order, steps = rng.permutation(8), list(gru.batches())
        # all sessions have three events, so lanes take them two by two
        wanted = [pair for a, b in pairwise(range(0, 10, 2)) for pair in [order[a:b]]]
        for k, batch in enumerate(steps):
            np.testing.assert_array_equal(batch.X, (wanted[k // 2] * 3 + k % 2) % 5)
            np.testing.assert_array_equal(batch.Y[2:], rng.choice(5, size=2))


def test_one_event_sessions_yield_no_step():
    positions = batches.schedule(np.array([0, 1, 4, 5, 7]), np.arange(4), batch_size=2, n_sample=1)
    # lane 0 passes over session 0, then over session 2, and takes session 3
    np.testing.assert_array_equal(positions, [[5, 1], [-1, 2]])


def test_support_counts_events_in_item_map_order():
    frame = pd.DataFrame({"SessionId": [1, 1, 1, 2, 2], "ItemId": [7, 3, 7, 9, 7], "Time": range(5)})
    np.testing.assert_array_equal(events.read(frame, COLUMNS).support, [3, 1, 1])


@pytest.mark.parametrize("ids", [["b", "a", "c"], [10, -3, 5]])
def test_items_may_be_strings_or_integers(ids):
    frame = pd.DataFrame(
        {"SessionId": ["y", "y", "x", "x"], "ItemId": [ids[0], ids[1], ids[2], ids[0]], "Time": range(4)}
    )
    gru = GRU4Rec(layers=[2], batch_size=2, n_sample=2)
    gru.prepare(frame)
    assert list(gru.itemidmap.index) == ids
    batch = next(gru.batches())
    np.testing.assert_array_equal(batch.X, [0, 2])  # by first time: session y, then x
