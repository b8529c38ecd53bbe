"""Row updates in compiled C, in Python and in JAX against plain loops; item tensors are updated in place."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import epoch_steps, relative_error
from toys import random_frame

from original.graphs.c_backend import c_mode
from original.graphs.library import In, tensor
from original.graphs.library import function as compile_graph
from original.graphs.padding import Padding
from original.graphs.rows import AddRows, Occurrences, SetRows, TakeRows
from original.gru4rec import GRU4Rec
from original.settings import Settings
from original.state import prepared

NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
OPS = [AddRows, SetRows]


def plain(op, x, y, index):
    """The definition: one occurrence after the other."""
    x = x.copy()
    for i, row in enumerate(index):
        for k in range(x.shape[1]):
            x[row, k] = x[row, k] + y[i, k] if op is AddRows else y[i, k]
    return x


@pytest.fixture(scope="module", params=["c", "python"])
def compiled(request, uncompiled):
    """function(op, dtype, inplace, strided): (x, y, index) -> x with its rows changed; compiled once."""
    mode, functions = c_mode() if request.param == "c" else uncompiled, {}

    def function(op, dtype="float64", inplace=False, strided=False):
        key = op, dtype, inplace, strided
        if key not in functions:
            x, y, index = tensor.matrix("x", dtype=dtype), tensor.matrix("y", dtype=dtype), tensor.ivector("index")
            arguments = (x.T, y.T, index[::2]) if strided else (x, y, index)
            inputs = [In(x, mutable=inplace), y, index]
            functions[key] = compile_graph(inputs, op(inplace=inplace)(*arguments), mode=mode, accept_inplace=True)
            if request.param == "c" and not strided:
                (node,) = functions[key].maker.fgraph.toposort()
                assert node.op.inplace == inplace
        return functions[key]

    return function


arrays = st.tuples(st.integers(1, 6), st.integers(1, 5), st.lists(st.integers(0, 5), max_size=12))


def drawn(rows, columns, index, dtype="float64"):
    """x, y and index of these sizes; few rows, so that most occur several times."""
    random = np.random.RandomState(rows)
    index = np.array(index, np.int32) % rows
    x, y = random.randn(rows, columns), random.randn(len(index), columns)
    return x.astype(dtype), y.astype(dtype), index.astype(np.int32)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=30)
@given(sizes=arrays)
def test_every_occurrence_in_order(compiled, op, inplace, dtype, sizes):
    x, y, index = drawn(*sizes, dtype)
    expected, given_x = plain(op, x, y, index), x.copy()
    found = compiled(op, dtype, inplace)(given_x, y, index)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(given_x, expected if inplace else x)
    assert np.shares_memory(found, given_x) == inplace


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("inplace", [False, True])
@settings(max_examples=30)
@given(sizes=arrays)
def test_strided_arrays(compiled, op, inplace, sizes):
    x, y, index = drawn(*sizes)
    twice = np.repeat(index, 2)  # every second is taken
    found = compiled(op, inplace=inplace, strided=True)(x.T.copy(), y.T.copy(), twice)
    np.testing.assert_array_equal(found, plain(op, x, y, index))


def test_rows_are_taken_from_arrays_of_any_strides():
    x, index = tensor.dmatrix(), tensor.ivector()
    function = compile_graph([x, index], [TakeRows()(x, index), TakeRows()(x.T, index[::2])], mode=c_mode())
    random = np.random.RandomState(0)
    for rows, columns, uses in ((5, 3, 8), (1, 1, 1), (4, 4, 0), (5, 3, 2)):
        values, places = random.randn(rows, columns), random.randint(min(rows, columns), size=uses).astype(np.int32)
        taken, strided = function(values, places)
        np.testing.assert_array_equal(taken, values[places])
        np.testing.assert_array_equal(strided, values.T[places[::2]])
    for row in (-1, 4):
        with pytest.raises(IndexError, match=f"TakeRows: row {row} of 4"):
            function(np.zeros((4, 9)), np.array([0, row], np.int32))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("row", [-1, 4, 2**31 - 1])
def test_a_row_out_of_bounds_is_an_error(op, row):
    function = compile_graph(list(inputs := _symbols()), op()(*inputs), mode=c_mode())
    with pytest.raises(IndexError, match=rf"{op.__name__}: row {row} of 4"):
        function(np.zeros((4, 2)), np.zeros((2, 2)), np.array([0, row], np.int32))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [(1, 2), (3, 2), (2, 1), (2, 3)])
def test_rows_of_another_number_or_width_are_an_error(op, shape):
    function = compile_graph(list(inputs := _symbols()), op()(*inputs), mode=c_mode())
    said = f"{op.__name__}: {shape[0]} rows of {shape[1]} columns for 2 indices of rows of 2"
    with pytest.raises(ValueError, match=said):
        function(np.zeros((4, 2)), np.zeros(shape), np.zeros(2, np.int32))


def _symbols():
    return tensor.dmatrix("x"), tensor.dmatrix("y"), tensor.ivector("index")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "x, y, index",
    [
        (tensor.dmatrix, tensor.fmatrix, tensor.ivector),
        (tensor.dmatrix, tensor.dmatrix, tensor.lvector),
        (tensor.dvector, tensor.dmatrix, tensor.ivector),
    ],
)
def test_other_types_are_an_error_when_the_graph_is_made(op, x, y, index):
    with pytest.raises(TypeError, match="x and y must be matrices of one dtype, index a vector of int32"):
        op()(x(), y(), index())


# Padding.


@pytest.fixture(scope="module")
def scatter(uncompiled):
    """``add`` and ``assign`` on the occurrences in a given order: (x, y, index, last, real, order) -> x."""
    x, y, real = tensor.dmatrix(), tensor.dmatrix(), tensor.dcol()
    index, last, order = tensor.ivector(), tensor.ivector(), tensor.ivector()

    def function(changed):
        op, (_, values, _) = changed.owner.op, changed.owner.inputs
        inputs = [x, y, index, last, real, order]
        return compile_graph(inputs, op(x, values[order], index[order]), mode=uncompiled, on_unused_input="ignore")

    occurrences = Occurrences(index, last, real)
    return function(occurrences.add(x, y)), function(occurrences.assign(x, y))


@given(sizes=arrays, missing=st.integers(0, 4), random=st.randoms())
def test_padded_rows_in_any_order_are_the_plain_rows(scatter, sizes, missing, random):
    """Padding repeats row 0's occurrence. Whatever order the scatter takes, sums and last occurrences stay."""
    rows, columns, index = sizes
    x, y, index = drawn(rows, columns, index or [0])
    padded = np.r_[index, np.full(missing, index[0], np.int32)]
    real = np.arange(len(padded)) < len(index)
    last = Padding(4, rows, "float64").last(padded, real)
    y_padded = np.vstack([y, np.full((missing, columns), 7.0)])
    order = list(range(len(padded)))
    random.shuffle(order)
    arguments = x, y_padded, padded, last, real[:, None].astype(float), np.array(order, np.int32)
    added, assigned = (function(*arguments) for function in scatter)
    np.testing.assert_allclose(added, plain(AddRows, x, y, index), rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(assigned, plain(SetRows, x, y, index))


# Whole steps.

SMALL = dict(layers=[4], batch_size=4, n_sample=12, loss="bpr-max", final_act="elu-0.5", dtype="float64")
OPTIONS = {
    "adagrad": dict(adapt="adagrad"),
    "adam": dict(
        adapt="adam", adapt_params=[0.9, 0.99], constrained_embedding=True, dropout_p_embed=0.3, dropout_p_hidden=0.2
    ),
    "rmsprop": dict(
        adapt="rmsprop",
        adapt_params=[0.9],
        embedding=3,
        lmbd=0.01,
        loss="cross-entropy",
        final_act="softmax",
        smoothing=0.1,
    ),
    "adadelta": dict(
        adapt="adadelta", adapt_params=[0.9], learning_rate=1.0, grad_cap=0.05, loss="top1", final_act="tanh"
    ),
    "sgd": dict(adapt=None, loss="top1-max", final_act="tanh", layers=[4, 3]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_item_tensors_are_updated_in_place(python_mode, name):
    """A step writes into the arrays that are there: none of a row an item is copied or made anew."""
    state = prepared(Settings(**SMALL | OPTIONS[name], momentum=0.2), random_frame(), sample_store=0)
    trainer, network = state.built.trainer, state.built.trainer.network
    batches = state.epochs().epoch()
    trainer.step(*next(batches)[:3])
    every = network.weights | network.optimizer_state
    variables = {name: variable for name, variable in every.items() if len(variable.get_value()) == network.n_items}
    before = {name: (v.get_value(borrow=True).ctypes.data, v.get_value()) for name, v in variables.items()}
    assert len(before) >= 4
    trainer.step(*next(batches)[:3])
    for name, (address, value) in before.items():
        now = variables[name].get_value(borrow=True)
        assert now.ctypes.data == address, f"{name} was copied"
        assert (now != value).any(), f"{name} was not updated"
    function = trainer.compiled_step().function
    row_ops = [node.op for node in function.maker.fgraph.toposort() if isinstance(node.op, (AddRows, SetRows))]
    assert row_ops and all(op.inplace for op in row_ops)


@NO_JAX
@pytest.mark.parametrize("name", OPTIONS)
def test_padded_steps_of_jax_are_the_steps_of_c(python_mode, name):
    """Few items: rows repeat in a step and in its padding, and a momentum keeps the last occurrence."""
    data = random_frame(n_sessions=9, n_items=6, seed=15)
    plain_gru, padded = (GRU4Rec(**SMALL | OPTIONS[name], momentum=0.3, backend=b) for b in ("c", "jax"))
    for gru in (plain_gru, padded):
        gru.prepare(data, sample_store=60)
    lanes = set()
    for (batch, _, hidden, step), (other, _, padded_hidden, padded_step) in zip(
        epoch_steps(plain_gru, gradients=True), epoch_steps(padded, gradients=True), strict=True
    ):
        for a, b in zip(batch, other):
            np.testing.assert_array_equal(a, b)
        assert padded_step.cost == pytest.approx(step.cost, rel=1e-12)
        pairs = [
            *((name, g, padded_step.gradients[name]) for name, g in step.gradients.items()),
            *((f"hidden {k}", *pair) for k, pair in enumerate(zip(hidden, padded_hidden, strict=True))),
            *((name, w, padded.get_weights()[name]) for name, w in plain_gru.get_weights().items()),
            *((name, s, padded.get_optimizer_state()[name]) for name, s in plain_gru.get_optimizer_state().items()),
        ]
        for what, wanted, found in pairs:
            assert relative_error(found, wanted) < 1e-9, f"{what}, {len(batch.X)} lanes"
        lanes.add(len(batch.X))
    assert lanes == {1, 2, 3, 4}
