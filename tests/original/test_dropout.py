"""The dropout stream against MRG31k3p as Aesara has it: recorded numbers everywhere, its own where it is installed."""

import hashlib
import importlib
import importlib.util
import warnings

import numpy as np
import pytest

from original.dropout import MODULI, SUBSTREAMS, DropoutMasks, Stream
from original.settings import Settings

ROWS, WIDTHS = (5, 200, 1, 33), (100, 7)
LAST_SEED = MODULI[1] - 1
# SHA-256 of what ``MRG_RandomStream(seed).uniform((M, width), dtype=dtype)`` of Aesara 2.9.4 drew for M = 5, 200, 1 and
# 33 at two sites, and of the states after it.
RECORDED = {
    ("float32", 1): ["3a0f219f95e73316", "5c4f874a744ee54c"],
    ("float32", 12345): ["31a5f90eefc4f3d6", "100e6f04c565c459"],
    ("float32", LAST_SEED): ["06ffa14f1def92f7", "aea845203733656b"],
    ("float64", 1): ["967c3037a7902933", "cee6a1894acd6002"],
    ("float64", 12345): ["3b43c9c4ba40b6f4", "5b18279c10eccde1"],
    ("float64", LAST_SEED): ["c9e19dc4ea77a44d", "3358379835130549"],
}
STATES = {
    1: ["9cdfe990f67f23f5", "b5223010885deaec"],
    12345: ["9692e1f93cae4eec", "0cc9676ffa981ab2"],
    LAST_SEED: ["d56bee12a37afdd7", "c44dc978d4fc5626"],
}


def sha(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def drawn(dtype, seed):
    """(numbers, state afterwards) of each site."""
    streams = [Stream(seed, site, 0.7, dtype) for site in range(len(WIDTHS))]
    numbers = [[stream.uniform(M * width) for M in ROWS] for stream, width in zip(streams, WIDTHS, strict=True)]
    return numbers, [stream.state for stream in streams]


@pytest.mark.parametrize(("dtype", "seed"), RECORDED)
def test_numbers_and_states_are_those_recorded(dtype, seed):
    numbers, states = drawn(dtype, seed)
    assert [sha(*each) for each in numbers] == RECORDED[dtype, seed]
    assert [sha(state) for state in states] == STATES[seed]
    assert all(each.dtype == dtype for site in numbers for each in site)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("aesara") is None, reason="Aesara is not installed")
@pytest.mark.parametrize(("dtype", "seed"), RECORDED)
def test_numbers_and_states_are_those_of_aesara(dtype, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aesara, tensor = importlib.import_module("aesara"), importlib.import_module("aesara.tensor")
        stream = importlib.import_module("aesara.sandbox.rng_mrg").MRG_RandomStream(seed)
        M = tensor.iscalar()
        draw = aesara.function([M], [stream.uniform((M, width), dtype=dtype) for width in WIDTHS])
        wanted = list(zip(*(draw(rows) for rows in ROWS), strict=True))
    numbers, states = drawn(dtype, seed)
    for site, own in zip(wanted, numbers, strict=True):
        for theirs, mine in zip(site, own, strict=True):
            np.testing.assert_array_equal(mine, theirs.ravel())
    for (theirs, *_), mine in zip(stream.state_updates, states, strict=True):
        np.testing.assert_array_equal(mine, theirs.get_value())


def by_hand(state):
    """One step of the recurrences in Python's whole numbers; (z, next state)."""
    x1, x2, x3, y1, y2, y3 = map(int, state)
    x, y = (2**22 * x2 + (2**7 + 1) * x3) % MODULI[0], (2**15 * y1 + (2**15 + 1) * y3) % MODULI[1]
    return (x - y) % MODULI[0] or MODULI[0], (x, x1, x2, y, y1, y2)


def test_a_substream_follows_the_recurrences_and_the_others_wait():
    stream = Stream(12345, 0, 0.5, "float64")
    before = stream.state
    first, second = stream.uniform(SUBSTREAMS + 3), stream.uniform(2)
    for substream in range(3):
        state = before[substream]
        expected = []
        for _ in range(3):
            z, state = by_hand(state)
            expected.append(z / 2**31)
        found = [first[substream], first[SUBSTREAMS + substream], *second[substream : substream + 1]]
        assert found == expected[: len(found)]
    z, state = by_hand(before[3])
    assert first[3] == z / 2**31 and tuple(stream.state[3]) == state


def test_masks_keep_about_as_many_as_they_should_and_go_on_from_a_state():
    settings = Settings(layers=[50, 20], dropout_p_hidden=0.3, dropout_p_embed=0.1, embedding=30, dtype="float32")
    masks = DropoutMasks(settings)
    assert [site.name for site in masks.sites] == ["embed", "hidden0", "hidden1"]
    first = masks(400)
    for mask, site in zip(first, masks.sites, strict=True):
        assert mask.shape == (400, site.width) and mask.dtype == np.float32
        assert set(np.unique(mask)) == {0, 1} and mask.mean() == pytest.approx(site.retain, abs=0.02)
    again = DropoutMasks(settings, masks.get_state())
    for mine, other in zip(masks(7), again(7), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda states: states[1:], "0 dropout streams; 1 are accepted"),
        (lambda states: [states[0][:5]], "a dropout stream of shape (5, 6) int32; (15360, 6) int32 is accepted"),
        (lambda states: [states[0].astype(np.int64)], "int64; (15360, 6) int32 is accepted"),
        (lambda states: [states[0] - MODULI[1]], "a dropout stream holds numbers that MRG31k3p never has"),
        (lambda states: [np.full_like(states[0], MODULI[1])], "a dropout stream holds numbers that MRG31k3p never has"),
    ],
)
def test_states_of_no_stream_are_refused(change, said):
    settings = Settings(layers=[4], dropout_p_hidden=0.3)
    with pytest.raises(ValueError) as problem:
        DropoutMasks(settings, change(DropoutMasks(settings).get_state()))
    assert said in str(problem.value)
