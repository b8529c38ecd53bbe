"""Elementwise operations in vectorisable C against NumPy, for the ways in which arrays lie in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from original.graphs.c_backend import c_mode
from original.graphs.elementwise import FlatElemwise
from original.graphs.library import function as compile_graph
from original.graphs.library import tensor

TOLERANCE = {"float32": 2e-6, "float64": 2e-14}


def compiled(dtype):
    """x of any strides, with a row, a column and a single number, each repeated as NumPy repeats them; and a vector."""
    x, y = (tensor.matrix(name, dtype=dtype) for name in "xy")
    row, column = tensor.row("row", dtype=dtype), tensor.col("column", dtype=dtype)
    one, vector = tensor.TensorType(dtype, shape=(1, 1))("one"), tensor.vector("vector", dtype=dtype)
    outputs = [
        tensor.switch(x >= 0, x, tensor.exp(x) - 1) * row + tensor.log(column) * y - one,
        tensor.sigmoid(x) / (1 + tensor.square(y)),
        tensor.tanh(vector) * vector,
    ]
    function = compile_graph([x, y, row, column, one, vector], outputs, mode=c_mode())
    assert any(isinstance(node.op, FlatElemwise) for node in function.maker.fgraph.toposort())
    return function


def numpy(x, y, row, column, one, vector):
    return [
        np.where(x >= 0, x, np.exp(x) - 1) * row + np.log(column) * y - one,
        1 / (1 + np.exp(-x)) / (1 + np.square(y)),
        np.tanh(vector) * vector,
    ]


@pytest.fixture(scope="module", params=["float32", "float64"])
def function(request):
    return compiled(request.param), request.param


# Each way to give an array of a shape, by what it is a view of.
LAYOUTS = {
    "whole": lambda a: a,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "every second column": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
}
layouts = st.sampled_from(list(LAYOUTS))


@settings(max_examples=60)
@given(
    rows=st.integers(0, 5),
    columns=st.integers(0, 40),
    x_layout=layouts,
    y_layout=layouts,
    other=layouts,
    seed=st.integers(0, 99),
)
def test_any_shape_and_layout(function, rows, columns, x_layout, y_layout, other, seed):
    call, dtype = function
    random = np.random.RandomState(seed)
    shapes = [(rows, columns), (rows, columns), (1, columns), (rows, 1), (1, 1), (columns,)]
    arrays = [random.randn(*shape).astype(dtype) * 3 for shape in shapes]
    arrays[3] = np.abs(arrays[3]) + np.array(0.1, dtype)
    arrays = [LAYOUTS[layout](a) for layout, a in zip([x_layout, y_layout] + [other] * 4, arrays)]
    before = [a.copy() for a in arrays]
    for found, wanted in zip(call(*arrays), numpy(*arrays), strict=True):
        assert found.dtype == dtype and found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b)


def test_infinities_and_nan_stay(function):
    """The vector functions take the extremes as the plain ones do: logarithms of 0, overflow, NaN."""
    call, dtype = function
    x = np.array([[np.inf, -np.inf, np.nan, 1e4, -1e4, 0.0, -0.0, 1.0, -1.0] * 4], dtype)
    one = np.ones((1, 1), dtype)
    with np.errstate(all="ignore"):
        for column in (one * 0, one, one * np.inf):
            arrays = (x, np.ones_like(x), np.ones_like(x), column, one, x[0])
            for found, wanted in zip(call(*arrays), numpy(*arrays), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_dimensions_that_do_not_match_are_an_error(function):
    call, dtype = function
    good = [np.ones(shape, dtype) for shape in ((2, 3), (2, 3), (1, 3), (2, 1), (1, 1), (3,))]
    call(*good)
    for place, shape in ((1, (3, 3)), (1, (2, 4)), (2, (1, 4)), (3, (3, 1))):
        bad = [np.ones(shape, dtype) if i == place else a for i, a in enumerate(good)]
        with pytest.raises(ValueError, match="dimension"):
            call(*bad)
