"""MRG31k3p against a scalar program written from the recurrences."""

import numpy as np
import pytest

from keras_port.dropout import A1, A2, M1, M2, SUBSTREAMS, DropoutMasks, MaskStream, power


def scalar_uniforms(seed, site, element, count):
    """The first ``count`` uniforms of one element's substream, with Python integers."""
    x, y = [seed] * 3, [seed] * 3
    for A, state, m in ((A1, x, M1), (A2, y, M2)):
        J = power(A, 134, m)
        for _ in range(site):
            state[:] = [int(v) for v in J.dot(np.array(state, dtype=object)) % m]
        J = power(A, 72, m)
        for _ in range(element % SUBSTREAMS):
            state[:] = [int(v) for v in J.dot(np.array(state, dtype=object)) % m]
    for _ in range(count):
        x = [(2**22 * x[1] + 129 * x[2]) % M1, x[0], x[1]]
        y = [(2**15 * y[0] + 32769 * y[2]) % M2, y[0], y[1]]
        difference = x[0] - y[0]
        yield (difference if difference > 0 else difference + M1) / 2**31


@pytest.mark.parametrize("site", [0, 2])
def test_masks_follow_the_recurrences(site):
    rows, width, retain = 160, 100, 0.7  # 16,000 elements: the last 640 come from the substreams of the first 640
    masks = MaskStream(12345, site, retain, "float64")
    first, second = masks.draw(rows, width).ravel(), masks.draw(1, width).ravel()
    for element in (0, 1, 99):
        uniforms = list(scalar_uniforms(12345, site, element, 3))
        assert [first[element], first[SUBSTREAMS + element], second[element]] == [u < retain for u in uniforms]
    u = next(scalar_uniforms(12345, site, 700, 1))
    assert first[700] == (u < retain)


def test_the_share_of_kept_units_is_the_retain_probability():
    masks = MaskStream(7, 0, 0.8, "float32")
    kept = np.mean([masks.draw(100, 100).mean() for _ in range(50)])
    assert kept == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 500_000))


def test_masks_go_on_from_a_saved_state():
    masks, copy = MaskStream(5, 1, 0.5, "float32"), MaskStream(5, 1, 0.5, "float32")
    masks.draw(20, 30)
    copy.set_state(masks.get_state())
    np.testing.assert_array_equal(masks.draw(7, 30), copy.draw(7, 30))


def test_all_sites_go_on_from_a_saved_state():
    sites = [("embed", 4, 0.8), ("hidden0", 3, 0.5)]
    masks, copy = DropoutMasks(5, sites, "float32"), DropoutMasks(5, sites, "float32")
    assert masks.get_state() == []
    assert [mask.shape for mask in masks.draw(7)] == [(7, 4), (7, 3)]
    copy.set_state(masks.get_state())
    for found, wanted in zip(copy.draw(2), masks.draw(2), strict=True):
        np.testing.assert_array_equal(found, wanted)
