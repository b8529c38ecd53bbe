"""Reading and updating the used rows of an item tensor, without touching the others.

The library's own ``inc_subtensor`` walks the elements one by one through NumPy's iterators, and copies the whole tensor
in JAX mode unless a rewrite removes the copy. The two operations here move whole rows in C, in place, and say exactly
what happens to a row that occurs several times.
"""

from typing import Any, ClassVar

import numpy as np

from original.graphs.library import Apply, COp, Op, Variable, in2out, node_rewriter, optdb, tensor


class TakeRows(COp):
    """x[index]: rows of ``x`` (n, c), one an index. NumPy's own ``take`` buffers every row to be safe from aliasing."""

    __props__ = ()

    def make_node(self, x: Any, index: Any) -> Apply:
        """See the library's COp."""
        x, index = tensor.as_tensor_variable(x), tensor.as_tensor_variable(index)
        if x.ndim != 2 or index.ndim != 1 or index.dtype != "int32":
            raise TypeError(f"TakeRows: x must be a matrix, index a vector of int32; got {x.type}, {index.type}")
        return Apply(self, [x, index], [tensor.TensorType(x.dtype, shape=(index.type.shape[0], x.type.shape[1]))()])

    def infer_shape(self, *graph_node_shapes: Any) -> list[Any]:
        """See the library's COp; PyTensor gives no graph."""
        shapes = graph_node_shapes[-1]
        return [(shapes[1][0], shapes[0][1])]

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        """See the library's COp."""
        x, index = inputs
        outputs[0][0] = x[index]

    def c_code_cache_version(self) -> tuple[int, ...]:
        """See the library's COp."""
        return (2,)

    def c_code(self, node: Apply, name: str, inputs: list[str], outputs: list[str], sub: dict[str, str]) -> str:
        """See the library's COp."""
        (x, index), (out,), fail = inputs, outputs, sub["fail"]
        _, ctype, typenum = node.inputs[0].type.dtype_specs()
        return f"""
        {{
            const npy_intp rows = PyArray_DIM({x}, 0), columns = PyArray_DIM({x}, 1), uses = PyArray_DIM({index}, 0);
            if (!{out} || PyArray_DIM({out}, 0) != uses || PyArray_DIM({out}, 1) != columns
                    || !PyArray_IS_C_CONTIGUOUS({out})) {{
                npy_intp shape[] = {{uses, columns}};
                Py_XDECREF({out});
                {out} = (PyArrayObject*)PyArray_EMPTY(2, shape, {typenum}, 0);
                if (!{out}) {{ {fail} }}
            }}
            const int dense = PyArray_STRIDE({x}, 1) == sizeof({ctype});
            for (npy_intp i = 0; i < uses; ++i) {{
                const npy_intp row = *(npy_int32*)PyArray_GETPTR1({index}, i);
                if (row < 0 || row >= rows) {{
                    PyErr_Format(PyExc_IndexError, "TakeRows: row %ld of %ld", (long)row, (long)rows);
                    {fail}
                }}
                {ctype} *target = ({ctype}*)PyArray_GETPTR2({out}, i, 0);
                const char *source = PyArray_BYTES({x}) + row * PyArray_STRIDE({x}, 0);
                if (dense) memcpy(target, source, columns * sizeof({ctype}));
                else for (npy_intp k = 0; k < columns; ++k)
                    target[k] = *({ctype}*)(source + k * PyArray_STRIDE({x}, 1));
            }}
        }}
        """


class _RowOp(COp):
    """``op(x, y, index)``: ``x`` (n, c) with row ``index[i]`` changed by ``y[i]``, for i = 0, 1, ... in this order."""

    __props__ = ("inplace",)
    c_assign: str  # how C puts a row's new entries onto the old ones

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, x: Any, y: Any, index: Any) -> Apply:
        """See the library's COp."""
        x, y, index = tensor.as_tensor_variable(x), tensor.as_tensor_variable(y), tensor.as_tensor_variable(index)
        if (x.ndim, y.ndim, index.ndim) != (2, 2, 1) or x.dtype != y.dtype or index.dtype != "int32":
            raise TypeError(
                f"{self}: x and y must be matrices of one dtype, index a vector of int32; got "
                f"{x.type}, {y.type}, {index.type}"
            )
        return Apply(self, [x, y, index], [x.type()])

    def infer_shape(self, *graph_node_shapes: Any) -> list[Any]:
        """See the library's COp; PyTensor gives no graph."""
        shapes = graph_node_shapes[-1]
        return [shapes[0]]

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        """See the library's COp."""
        x, y, index = inputs
        x = x if self.inplace else x.copy()
        self.apply_numpy(x, y, index)
        outputs[0][0] = x

    def c_code_cache_version(self) -> tuple[int, ...]:
        """See the library's COp."""
        return (2,)

    def c_code(self, node: Apply, name: str, inputs: list[str], outputs: list[str], sub: dict[str, str]) -> str:
        """See the library's COp."""
        (x, y, index), (out,) = inputs, outputs
        ctype, fail, assign = node.inputs[0].type.dtype_specs()[1], sub["fail"], self.c_assign
        obtain = (
            f"if ({out} != {x}) {{ Py_XDECREF({out}); Py_INCREF({x}); {out} = {x}; }}"
            if self.inplace
            else f"""Py_XDECREF({out}); {out} = (PyArrayObject*)PyArray_NewCopy({x}, NPY_CORDER);
                     if (!{out}) {{ {fail} }}"""
        )
        return f"""
        {obtain}
        {{
            const npy_intp rows = PyArray_DIM({out}, 0), columns = PyArray_DIM({out}, 1);
            const npy_intp uses = PyArray_DIM({index}, 0);
            const npy_intp to = PyArray_STRIDE({out}, 1), from = PyArray_STRIDE({y}, 1);
            const int dense = to == sizeof({ctype}) && from == sizeof({ctype});
            if (PyArray_DIM({y}, 0) != uses || PyArray_DIM({y}, 1) != columns) {{
                PyErr_Format(PyExc_ValueError,
                             "{type(self).__name__}: %ld rows of %ld columns for %ld indices of rows of %ld",
                             (long)PyArray_DIM({y}, 0), (long)PyArray_DIM({y}, 1), (long)uses, (long)columns);
                {fail}
            }}
            for (npy_intp i = 0; i < uses; ++i) {{
                const npy_intp row = *(npy_int32*)PyArray_GETPTR1({index}, i);
                if (row < 0 || row >= rows) {{
                    PyErr_Format(PyExc_IndexError, "{type(self).__name__}: row %ld of %ld", (long)row, (long)rows);
                    {fail}
                }}
                char *target = PyArray_BYTES({out}) + row * PyArray_STRIDE({out}, 0);
                const char *source = PyArray_BYTES({y}) + i * PyArray_STRIDE({y}, 0);
                if (dense) {{
                    {ctype} *t = ({ctype}*)target;
                    const {ctype} *s = (const {ctype}*)source;
                    for (npy_intp k = 0; k < columns; ++k) t[k] {assign} s[k];
                }} else {{
                    for (npy_intp k = 0; k < columns; ++k)
                        *({ctype}*)(target + k * to) {assign} *(const {ctype}*)(source + k * from);
                }}
            }}
        }}
        """


class AddRows(_RowOp):
    """x[index[i]] += y[i] for EVERY i: a row that occurs twice takes both."""

    c_assign = "+="

    def apply_numpy(self, x: np.ndarray, y: np.ndarray, index: np.ndarray) -> None:
        """Change ``x``, in Python."""
        for i, row in enumerate(index):
            x[row] += y[i]


class SetRows(_RowOp):
    """x[index[i]] = y[i] for i in order: a row that occurs twice keeps the LAST."""

    c_assign = "="

    def apply_numpy(self, x: np.ndarray, y: np.ndarray, index: np.ndarray) -> None:
        """Change ``x``, in Python."""
        for i, row in enumerate(index):
            x[row] = y[i]


class WaitFor(Op):
    """``y``, but not before ``taken`` has been computed.

    XLA writes to a tensor in place only if every read of it is known to come first; a read and a write that do not
    depend on each other cost it a copy of the whole tensor.
    """

    __props__ = ()
    view_map: ClassVar = {0: [0]}

    def make_node(self, y: Variable, taken: Variable) -> Apply:
        """See the library's Op."""
        return Apply(self, [y, taken], [y.type()])

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        """See the library's Op."""
        outputs[0][0] = inputs[0]


@node_rewriter([AddRows, SetRows], inplace=True)
def _row_op_inplace(fgraph: Any, node: Apply) -> Any:
    if node.op.inplace:
        return False
    return [type(node.op)(inplace=True)(*node.inputs)]


optdb.register("gru4rec_row_ops_inplace", in2out(_row_op_inplace), "fast_run", "inplace", position=70.0)


class Occurrences:
    """The rows of item tensors that a step uses, in order; a row may occur several times.

    Args:
        rows: (occurrences,) int32, the row of each occurrence.
        last: (occurrences,) int32, for each occurrence the position of its row's last one.
        real: (occurrences, 1), 0 for padding.

    A graph of fixed shape whose scatter may run in any order needs ``last`` and ``real``: it pads with occurrences of a
    row that is in use, and makes all occurrences of a row write the same value. Where the order is fixed and nothing is
    padded both are None.
    """

    def __init__(self, rows: Variable, last: Variable | None = None, real: Variable | None = None) -> None:
        self.rows, self.last, self.real = rows, last, real
        self._taken: dict[Variable, Variable] = {}

    def take(self, x: Variable) -> Variable:
        """Rows of ``x``, one an occurrence."""
        if x not in self._taken:
            self._taken[x] = TakeRows()(x, self.rows)
        return self._taken[x]

    def _after_reading(self, x: Variable, y: Variable) -> Variable:
        return WaitFor()(y, self._taken[x]) if self.last is not None and x in self._taken else y

    def add(self, x: Variable, y: Variable) -> Variable:
        """``x`` with ``y`` added to its rows; every occurrence counts."""
        return AddRows()(x, self._after_reading(x, y if self.real is None else y * self.real), self.rows)

    def assign(self, x: Variable, y: Variable) -> Variable:
        """``x`` with its rows set to ``y``; the last occurrence of a row stays."""
        values = y if self.last is None else TakeRows()(y, self.last)
        return SetRows()(x, self._after_reading(x, values), self.rows)
