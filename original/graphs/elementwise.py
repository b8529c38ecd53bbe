"""Elementwise operations in C code that a compiler can vectorise.

The library writes an elementwise operation on matrices of unknown size as a loop over strided elements, some thousand
lines with all its cases, and one broadcast scalar is enough to keep it from the vector units. Here it is a short loop
over the elements of a row, with what is constant along the row kept out of it; strided inputs take a plain loop. Where
glibc has vector versions of exp and its kin, the compiler is told of them.
"""

from collections.abc import Callable
from typing import Any

from original.graphs.library import Apply, Elemwise, in2out, node_rewriter, optdb

FLAT = "gru4rec_flat_elementwise"

# glibc's vector functions are declared for -ffast-math only, which would also change sums and NaNs; they are within 4
# units in the last place either way.
_VECTOR_FUNCTIONS = """
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
extern "C" {
__attribute__((simd("notinbranch"))) float expf(float) noexcept;
__attribute__((simd("notinbranch"))) double exp(double) noexcept;
__attribute__((simd("notinbranch"))) float logf(float) noexcept;
__attribute__((simd("notinbranch"))) double log(double) noexcept;
}
#endif
"""


class FlatElemwise(Elemwise):
    """``Elemwise`` of one or two dimensions, with other C code. PyTensor makes some of several outputs."""

    def c_support_code(self, **kwargs: Any) -> str:
        """See the library's COp."""
        return f"{_VECTOR_FUNCTIONS}\n{super().c_support_code(**kwargs)}"

    def c_libraries(self, **kwargs: Any) -> list[str]:
        """See the library's COp."""
        return ["mvec", "m"]

    def c_code_cache_version_apply(self, node: Apply) -> tuple[Any, ...]:
        """See the library's COp."""
        version = super().c_code_cache_version_apply(node)
        return (*version, 7) if version else version

    def c_support_code_apply(self, node: Apply, nodename: str) -> str:
        """The loops, in a function of their own: GCC leaves loops in the library's long ``run`` function alone."""
        types = [i.type.dtype_specs()[1] for i in node.inputs]
        made = [o.type.dtype_specs()[1] for o in node.outputs]
        whole = [i.type.shape[-1] != 1 for i in node.inputs]
        numbers, results = range(len(types)), range(len(made))

        def lines(template: str, chosen: Any = numbers) -> str:
            return "\n".join(template.format(i=i, type=types[i]) for i in chosen)

        def out_lines(template: str) -> str:
            return "\n".join(template.format(k=k, type=made[k]) for k in results)

        columnwise = [i for i in numbers if whole[i]]
        steady = [i for i in numbers if not whole[i]]
        task = self.scalar_op.c_code(
            node.tag.fake_node,
            f"{nodename}_scalar_",
            [f"x{i}" for i in numbers],
            [f"y{k}" for k in results],
            {"fail": "return 1;"},
        )
        arguments = "".join(f", char *out{k}, npy_intp out_row{k}, npy_intp out_column{k}" for k in results)
        arguments += "".join(f", const char *in{i}, npy_intp row{i}, npy_intp column{i}" for i in numbers)
        return f"""
        {super().c_support_code_apply(node, nodename)}
        static __attribute__((noinline)) int {nodename}_flat(npy_intp rows, npy_intp columns, int flat{arguments})
        {{
            for (npy_intp i = 0; i < rows; ++i) {{
                if (flat) {{
                    {out_lines("{type} *o{k} = ({type}*)(out{k} + i * out_row{k});")}
                    {lines("const {type} *p{i} = (const {type}*)(in{i} + i * row{i});", columnwise)}
                    {lines("const {type} x{i} = *(const {type}*)(in{i} + i * row{i});", steady)}
                    #pragma GCC ivdep
                    for (npy_intp j = 0; j < columns; ++j) {{
                        {lines("const {type} x{i} = p{i}[j];", columnwise)}
                        {out_lines("{type} y{k};")}
                        {task}
                        {out_lines("o{k}[j] = y{k};")}
                    }}
                }} else {{
                    for (npy_intp j = 0; j < columns; ++j) {{
                        {lines("const {type} x{i} = *(const {type}*)(in{i} + i * row{i} + j * column{i});")}
                        {out_lines("{type} y{k};")}
                        {task}
                        {out_lines("*({type}*)(out{k} + i * out_row{k} + j * out_column{k}) = y{k};")}
                    }}
                }}
            }}
            return 0;
        }}
        """

    def c_code(self, node: Apply, nodename: str, inames: list[str], onames: list[str], sub: dict[str, str]) -> str:
        """See the library's COp."""
        fail, ndim = sub["fail"], node.outputs[0].ndim
        types = [i.type.dtype_specs()[1] for i in node.inputs]
        numbers = range(len(inames))

        def dim(name: str, axis: int) -> str:
            return f"PyArray_DIM({name}, {axis})" if axis >= 0 else "1"

        def stride(name: str, axis: int) -> str:
            return f"PyArray_STRIDE({name}, {axis})" if axis >= 0 else "0"

        # An array of one dimension is a matrix of one row. An input's dimension of 1 is repeated.
        sizes = "\n".join(
            f"const npy_intp r{i} = {dim(name, ndim - 2)}, c{i} = {dim(name, ndim - 1)};"
            f"if (r{i} != 1) rows = r{i}; if (c{i} != 1) columns = c{i};"
            for i, name in enumerate(inames)
        )
        misfit = " || ".join(f"(r{i} != 1 && r{i} != rows) || (c{i} != 1 && c{i} != columns)" for i in numbers)
        obtain = "\n".join(self._obtain(node, k, inames, onames, dim, fail) for k in range(len(onames)))
        strides = [
            (f"(r{i} == 1 ? 0 : {stride(x, ndim - 2)})", f"(c{i} == 1 ? 0 : {stride(x, ndim - 1)})")
            for i, x in enumerate(inames)
        ]
        flat = [
            f"{stride(out, ndim - 1)} == sizeof({o.type.dtype_specs()[1]})"
            for out, o in zip(onames, node.outputs, strict=True)
        ] + [f"{strides[i][1]} == sizeof({types[i]})" for i in numbers if node.inputs[i].type.shape[-1] != 1]
        arguments = "".join(
            f", PyArray_BYTES({out}), {stride(out, ndim - 2)}, {stride(out, ndim - 1)}" for out in onames
        ) + "".join(f", PyArray_BYTES({name}), {strides[i][0]}, {strides[i][1]}" for i, name in enumerate(inames))
        return f"""
        {{
            npy_intp rows = 1, columns = 1;
            {sizes}
            if ({misfit}) {{
                PyErr_SetString(PyExc_ValueError, "elementwise operation: the inputs' dimensions do not match");
                {fail}
            }}
            {obtain}
            const int flat = columns == 1 || ({" && ".join(flat)});
            if ({nodename}_flat(rows, columns, flat{arguments})) {{
                {fail}
            }}
        }}
        """

    def _obtain(
        self, node: Apply, k: int, inames: list[str], onames: list[str], dim: Callable[[str, int], str], fail: str
    ) -> str:
        """C code that makes output ``k`` an array of ``rows`` and ``columns``: a new one, the last one, or an input."""
        out, ndim, typenum = onames[k], node.outputs[k].ndim, node.outputs[k].type.dtype_specs()[2]
        fits = f"{dim(out, ndim - 2)} == rows && {dim(out, ndim - 1)} == columns"
        if k in self.inplace_pattern:
            reused = inames[self.inplace_pattern[k]]
            return f"""
            if ({out} != {reused}) {{ Py_XDECREF({out}); {out} = {reused}; Py_INCREF({out}); }}
            if (!({fits})) {{ PyErr_SetString(PyExc_ValueError, "elementwise operation in place: the result is larger");
            {fail} }}"""
        return f"""
            if (!{out} || !({fits}) || !PyArray_IS_C_CONTIGUOUS({out})) {{
                npy_intp shape[] = {{{"columns" if ndim == 1 else "rows, columns"}}};
                Py_XDECREF({out});
                {out} = (PyArrayObject*)PyArray_EMPTY({ndim}, shape, {typenum}, 0);
                if (!{out}) {{ {fail} }}
            }}"""


@node_rewriter([Elemwise])
def _flatten(fgraph: Any, node: Apply) -> Any:
    op = node.op
    if type(op) is not Elemwise or node.outputs[0].ndim not in (1, 2):
        return False
    if any(v.dtype.startswith(("complex", "float16")) for v in node.inputs + node.outputs):
        return False
    flat = FlatElemwise(op.scalar_op, op.inplace_pattern, op.name, op.nfunc_spec, op.openmp)
    return flat(*node.inputs, return_list=True)


optdb.register("gru4rec_flatten", in2out(_flatten), FLAT, position=100)
