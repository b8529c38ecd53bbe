"""Reading and updating the used rows of an item tensor, without touching the others.

Aesara's own ``inc_subtensor`` walks the elements one by one through NumPy's iterators, and copies the whole tensor in
JAX mode unless a rewrite removes the copy. The two operations here move whole rows in C, in place, and say exactly what
happens to a row that occurs several times.
"""

import aesara.tensor as at
from aesara.compile import optdb
from aesara.graph.basic import Apply
from aesara.graph.op import Op
from aesara.graph.rewriting.basic import in2out, node_rewriter
from aesara.link.c.op import COp


class TakeRows(COp):
    """x[index]: rows of ``x`` (n, c), one an index. NumPy's own ``take`` buffers every row to be safe from aliasing."""

    __props__ = ()

    def make_node(self, x, index):
        x, index = at.as_tensor_variable(x), at.as_tensor_variable(index)
        if x.ndim != 2 or index.ndim != 1 or index.dtype != "int32":
            raise TypeError(f"TakeRows: x must be a matrix, index a vector of int32; got {x.type}, {index.type}")
        return Apply(self, [x, index], [at.TensorType(x.dtype, shape=(index.type.shape[0], x.type.shape[1]))()])

    def infer_shape(self, fgraph, node, shapes):
        return [(shapes[1][0], shapes[0][1])]

    def perform(self, node, inputs, outputs):
        x, index = inputs
        outputs[0][0] = x[index]

    def c_code_cache_version(self):
        return (2,)

    def c_code(self, node, name, inputs, outputs, sub):
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

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, x, y, index):
        x, y, index = at.as_tensor_variable(x), at.as_tensor_variable(y), at.as_tensor_variable(index)
        if (x.ndim, y.ndim, index.ndim) != (2, 2, 1) or x.dtype != y.dtype or index.dtype != "int32":
            raise TypeError(
                f"{self}: x and y must be matrices of one dtype, index a vector of int32; got "
                f"{x.type}, {y.type}, {index.type}"
            )
        return Apply(self, [x, y, index], [x.type()])

    def infer_shape(self, fgraph, node, shapes):
        return [shapes[0]]

    def perform(self, node, inputs, outputs):
        x, y, index = inputs
        x = x if self.inplace else x.copy()
        self.apply_numpy(x, y, index)
        outputs[0][0] = x

    def c_code_cache_version(self):
        return (2,)

    def c_code(self, node, name, inputs, outputs, sub):
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

    def apply_numpy(self, x, y, index):
        for i, row in enumerate(index):
            x[row] += y[i]


class SetRows(_RowOp):
    """x[index[i]] = y[i] for i in order: a row that occurs twice keeps the LAST."""

    c_assign = "="

    def apply_numpy(self, x, y, index):
        for i, row in enumerate(index):
            x[row] = y[i]


class After(Op):
    """``y``, but not before ``rows`` has been computed.

    XLA writes to a tensor in place only if every read of it is known to come first; a read and a write that do not
    depend on each other cost it a copy of the whole tensor.
    """

    __props__ = ()
    view_map = {0: [0]}

    def make_node(self, y, rows):
        return Apply(self, [y, rows], [y.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0]


@node_rewriter([AddRows, SetRows], inplace=True)
def _row_op_inplace(fgraph, node):
    if node.op.inplace:
        return False
    return [type(node.op)(inplace=True)(*node.inputs)]


optdb.register("gru4rec_row_ops_inplace", in2out(_row_op_inplace), "fast_run", "inplace", position=70.0)


class Used:
    """The rows that a step uses: ``index`` (occurrences,) int32, a row may occur several times.

    ``winner`` (occurrences,) int32 gives for each occurrence the position of its row's last one, ``real`` (occurrences,
    1) is 0 for padding. A graph of fixed shape whose scatter may run in any order needs both: it pads with occurrences
    of a row that is in use, and makes all occurrences of a row write the same value. Where the order is fixed and
    nothing is padded both are None.
    """

    def __init__(self, index, winner=None, real=None):
        self.index, self.winner, self.real = index, winner, real
        self._reads = {}

    def take(self, x):
        """Rows of ``x``, one an occurrence."""
        if x not in self._reads:
            self._reads[x] = TakeRows()(x, self.index)
        return self._reads[x]

    def _after_reading(self, x, y):
        return After()(y, self._reads[x]) if self.winner is not None and x in self._reads else y

    def add(self, x, y):
        """Add to rows; every occurrence counts."""
        return AddRows()(x, self._after_reading(x, y if self.real is None else y * self.real), self.index)

    def assign(self, x, y):
        """Set rows; the last occurrence of a row stays."""
        return SetRows()(
            x, self._after_reading(x, y if self.winner is None else TakeRows()(y, self.winner)), self.index
        )
