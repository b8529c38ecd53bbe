"""What is changed in a syntax tree: one function an operator, each gives the nodes that may stand in a node's place."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where an expression stands: its parent holds it in ``field``; is_index: it is (part of) a subscript."""

    parent: ast.AST
    field: str
    is_index: bool


Operator = Callable[[ast.expr, Place], Iterator[ast.expr]]
OPERATORS: dict[str, Operator] = {}
REMOVED = "removed statement"  # the one operator that works on statements, in parity.mutants.tree

_TEXTS = (ast.List, ast.Tuple, ast.JoinedStr, ast.ListComp)
# Arguments that change what a result costs, and not the result.
_COSTS = (
    "strict", "copy", "borrow", "deep", "inplace", "ignore_index", "trainable", "jit_compile", "reduce_retracing",
    "watch_accessed_variables", "donate_argnums", "workers", "use_multiprocessing", "max_workers", "maxsize",
)  # fmt: skip
_NOT_SWAPPED = (
    "isinstance", "issubclass", "getattr", "hasattr", "setattr", "zip", "print",
    # whose order says nothing
    "equal", "not_equal", "eq", "neq", "maximum", "minimum", "max", "min", "add", "multiply", "logical_and",
    "logical_or", "and_", "or_", "array_equal", "union1d", "intersect1d",
)  # fmt: skip


def _operator(name: str) -> Callable[[Operator], Operator]:
    def register(function: Operator) -> Operator:
        OPERATORS[name] = function
        return function

    return register


def changed(node: Any, **fields: Any) -> Any:
    """A copy of ``node`` with other fields; what is below it is shared."""
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


_ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}


@_operator("arithmetic")
def _arithmetic(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``a + b`` to ``a - b``, ``a * b`` to ``a / b``, ``a ** b`` to ``a * b``, ``-a`` to ``a``."""
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _joins_texts(node):
        yield changed(node, op=_ARITHMETIC[type(node.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not place.is_index:
        yield node.operand


_COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


@_operator("comparison")
def _comparison(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """Off by one (``<`` to ``<=``), and the opposite (``<`` to ``>=``)."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _COMPARISONS[type(node.ops[0])]:
            yield changed(node, ops=[other()])


@_operator("constant")
def _constant(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """0 to 1, 1 to 0 and 2, an integer by one up and down, 0.5 to 1, an epsilon to nothing, others doubled; flags."""
    if not isinstance(node, ast.Constant) or place.is_index or _is_axis(place) or isinstance(node.value, (str, bytes)):
        return
    if isinstance(place.parent, ast.keyword) and place.parent.arg in _COSTS:
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from map(ast.Constant, (1,) if value == 0 else (value - 1, value + 1))
    elif isinstance(value, float):
        yield from map(ast.Constant, (1.0,) if value == 0 else (0.0, 2 * value))


def _is_axis(place: Place) -> bool:
    return isinstance(place.parent, ast.keyword) and place.parent.arg in ("axis", "axes")


@_operator("axis")
def _axis(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``axis=1`` to ``axis=0``, ``axis=0`` to ``axis=1``, ``axis=-1`` to ``axis=0``."""
    if _is_axis(place):
        value = _whole(node)
        if value is not None:
            yield ast.Constant(1 if value == 0 else 0)


@_operator("dropped term")
def _dropped(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``a + b`` to ``a`` and to ``b``, ``a - b`` to ``a``."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and not _joins_texts(node):
        yield node.left
        if isinstance(node.op, ast.Add):
            yield node.right


@_operator("swapped arguments")
def _swapped(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``f(a, b)`` to ``f(b, a)``, where two arguments beside each other are alike in form."""
    if not isinstance(node, ast.Call) or _called(node) in _NOT_SWAPPED:
        return
    for i, (a, b) in enumerate(zip(node.args, node.args[1:])):
        if _form(a) and _form(a) == _form(b) and ast.unparse(a) != ast.unparse(b):
            yield changed(node, args=[*node.args[:i], b, a, *node.args[i + 2 :]])


def _form(node: ast.expr) -> str:
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        return "name"
    if isinstance(node, ast.Constant) and not isinstance(node.value, str):
        return "constant"
    return "value" if isinstance(node, (ast.BinOp, ast.Call, ast.UnaryOp)) else ""


@_operator("negated condition")
def _negated(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``if a`` to ``if not a``, ``not a`` to ``a``. A plain comparison has its opposite from another operator."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif place.field in ("test", "ifs") and not (
        isinstance(place.parent, ast.Assert) or (isinstance(node, ast.Compare) and len(node.ops) == 1)
    ):
        yield ast.UnaryOp(ast.Not(), node)


def _renaming(operator: str, *pairs: tuple[str, str], plain: bool = True) -> None:
    """An operator that calls the other function of a pair. plain: also one that is no attribute."""
    names = {**dict(pairs), **{b: a for a, b in pairs}}

    @_operator(operator)
    def rename(node: ast.expr, place: Place) -> Iterator[ast.expr]:
        if place.field != "func":
            return
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield changed(node, attr=names[node.attr])
        if plain and isinstance(node, ast.Name) and node.id in names:
            yield changed(node, id=names[node.id])


_renaming("max and min", ("max", "min"), ("maximum", "minimum"), ("argmax", "argmin"), ("amax", "amin"))
_renaming("sum and mean", ("sum", "mean"), plain=False)
_renaming("add and set", ("inc_subtensor", "set_subtensor"), ("scatter_add", "scatter_set"))
_renaming("and, or", ("logical_and", "logical_or"), ("any", "all"), ("and_", "or_"))
_BOOLEAN: dict[type, type] = {ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
_functions = OPERATORS["and, or"]


@_operator("and, or")
def _boolean(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``and`` to ``or``, ``&`` to ``|``, ``logical_and`` to ``logical_or``, ``any`` to ``all``, and back."""
    yield from _functions(node, place)
    if isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in _BOOLEAN:
        yield changed(node, op=_BOOLEAN[type(node.op)]())


@_operator("slice")
def _slice(node: ast.expr, place: Place) -> Iterator[ast.expr]:
    """``a[i:j]`` to ``a[i + 1:j]`` and ``a[i:j - 1]``, ``a[2]`` to ``a[3]``, ``a[-1]`` to ``a[-2]``."""
    if not isinstance(node, ast.Subscript):
        return
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for i, part in enumerate(parts):
        for other in _shifted(part):
            if isinstance(node.slice, ast.Tuple):
                yield changed(node, slice=changed(node.slice, elts=[*parts[:i], other, *parts[i + 1 :]]))
            else:
                yield changed(node, slice=other)


def _shifted(part: ast.expr) -> Iterator[ast.expr]:
    if isinstance(part, ast.Slice):
        if part.lower is None and part.upper is None:  # the whole axis, where it stands beside another index
            return
        yield changed(part, lower=ast.Constant(1) if part.lower is None else _plus(part.lower, 1))
        yield changed(part, upper=_negative(1) if part.upper is None else _plus(part.upper, -1))
        return
    value = _whole(part)
    if value is not None:
        yield _plus(part, 1 if value >= 0 else -1)


def _plus(node: ast.expr, by: int) -> ast.expr:
    value = _whole(node)
    if value is not None:
        return ast.Constant(value + by) if value + by >= 0 else _negative(-value - by)
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _negative(value: int) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(value))


def _whole(node: ast.expr) -> int | None:
    """The integer that is written there, with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _whole(node.operand)
        return None if value is None else -value
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def _joins_texts(node: ast.BinOp) -> bool:
    """Whether ``+``, ``*`` or ``%`` is one of lists or texts."""
    return any(
        isinstance(side, _TEXTS) or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes)))
        for side in (node.left, node.right)
    )


def _called(node: ast.Call) -> str:
    """The name of the function that is called, without what stands before a dot."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def called(node: ast.AST) -> str:
    """The name of the function, where ``node`` is a call, else ''."""
    return _called(node) if isinstance(node, ast.Call) else ""
