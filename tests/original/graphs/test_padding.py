"""Steps filled up to the fixed shape of a graph, against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from original.graphs.padding import Padding


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_last_is_the_last_real_occurrence(index, data):
    real = data.draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index)))
    real[0] = True
    index = np.where(real, index, index[0]).astype(np.int32)
    last = Padding(4, 5, "float64").last(index, np.array(real))
    for row, position in zip(index, last):
        assert position == max(i for i in range(len(index)) if index[i] == row and real[i])


@given(M=st.integers(1, 5), n_sample=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_lane_keeps_its_row_and_padding_repeats_the_first_lane(M, n_sample, seed):
    random, B = np.random.RandomState(seed), 5
    lanes = np.sort(random.permutation(B)[:M])
    X, Y, R = random.randint(9, size=M), random.randint(9, size=M + n_sample), random.rand(M)
    mask = random.rand(M, 2)
    found_X, found_Y, found_R, found_mask, real, *_ = Padding(B, 9, "float64")(X, Y, R, [mask], lanes)
    for row in range(B):
        assert real[row] == (row in lanes)
        place = lanes.tolist().index(row) if row in lanes else 0
        assert (found_X[row], found_Y[row], found_R[row]) == (X[place], Y[place], R[place])
        assert found_mask[row].tolist() == mask[place].tolist()
    assert found_Y[B:].tolist() == Y[M:].tolist()


def test_gradients_of_padding_are_left_out():
    padding = Padding(4, 9, "float64")
    rows = np.arange(20.0).reshape(10, 2)
    assert padding.without(rows, 3, joint=False).tolist() == np.delete(rows, 3, axis=0).tolist()
    assert padding.without(rows, 2, joint=True).tolist() == np.delete(rows, [2, 3, 6, 7], axis=0).tolist()
