"""The mutants of a module: a walk through its syntax tree that leaves out what is no mathematics."""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, NamedTuple

from parity.mutants.operators import OPERATORS, REMOVED, Place, called, changed

# Functions that compute nothing of the model, by name: what they do is seen by tests, not by a comparison of numbers.
NOT_MATHEMATICS = (
    # words and configurations
    "__repr__", "__str__", "get_config", "*to_json", "*from_json", "*progress*", "*type_names*", "*_types*", "*_kind*",
    # what is refused
    "check_*", "_check*", "check", "*_checked*", "validate*", "_validate*", "*finite", "_is_count", "_is_text",
    # kinds of frames, columns and ids
    "_values", "_pandas_values", "_polars_values", "_without_objects", "_plain", "_one_type", "_columns_of", "_ids",
    # the symbolic library's own interface
    "perform", "c_*", "make_node", "infer_shape",
    # files, and going on from one
    "save*", "load*", "to_arrays", "from_arrays", "*get_state", "*set_state", "checkpoint", "*resume*", "*restore*",
    "begun", "position", "__getstate__", "__setstate__", "__reduce__", "copy", "continue_streams",
    # fewer steps than an epoch has, for measurements of speed
    "keep_steps",
    # whether data is the same
    "*fingerprint*", "*digest*", "difference", "_mixed", "_sha256", "_bytes_of",
    # after the scores: lists for a shop; the evaluation of other models, one event at a time
    "recommend*", "evaluate_sessions",
)  # fmt: skip
# Options that the release of 2018 lacks, so that no recording has them: an expression that names one is left alone.
LATER = re.compile(r"dwell|log_?q|log_support|log_P", re.IGNORECASE)
_REFUSES = ("check*", "_check*", "require_*")  # a call of these for its effect, which is to refuse
_TALK = ("warn", "debug", "info", "warning", "error", "exception", "log", "print")
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
# Defaults are interface: what the published ones are stands in the settings, and other callers pass theirs.
_SKIPPED = ("annotation", "returns", "decorator_list", "type_comment", "keywords", "bases", "defaults", "kw_defaults")


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        module: dotted name. function: qualified name within it, or ``<module>``.
        line, last_line: of the statement, from 1; of a compound one its head.
        operator: its name. original, mutated: the statement (of a compound one its head) before and after.
        nth: which one, where the same change can be made at several places of the function; from 0.
    """

    module: str
    function: str
    line: int
    last_line: int
    operator: str
    original: str
    mutated: str
    nth: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What names it, whatever its line."""
        return self.module, self.function, self.original, self.mutated, self.nth

    @property
    def digest(self) -> str:
        """A number of its own that no other mutant has a part in."""
        return hashlib.sha256("\0".join(map(str, self.key)).encode()).hexdigest()


class _Edit(NamedTuple):
    """``holder.field`` (or its item ``at``) becomes ``new``."""

    operator: str
    statement: ast.stmt
    function: str
    holder: Any
    field: str
    at: int | None
    new: ast.AST

    def swap(self) -> "_Edit":
        """Make it; returns the edit that takes it back."""
        content = getattr(self.holder, self.field)
        if self.at is None:
            setattr(self.holder, self.field, self.new)
            return self._replace(new=content)
        old, content[self.at] = content[self.at], self.new
        return self._replace(new=old)


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its source."""
    return [mutant for mutant, _ in _walk(module, ast.parse(source))]


def mutated(mutant: Mutant, source: str) -> str:
    """The module's source with the mutant in it, without comments.

    Raises ValueError where the source has no such place.
    """
    tree = ast.parse(source)
    for found, edit in _walk(mutant.module, tree):
        if found.key == mutant.key:
            edit.swap()
            return ast.unparse(ast.fix_missing_locations(tree))
    place = f"{mutant.module} has no {mutant.original!r} in {mutant.function}"
    raise ValueError(f"{place} that could become {mutant.mutated!r}")


def _walk(module: str, tree: ast.Module) -> Iterator[tuple[Mutant, _Edit]]:
    """Each mutant once, with its edit, which is not made."""
    times: dict[tuple, int] = {}
    seen: set[tuple] = set()
    for edit in _of_body(tree, "", bound=None):
        statement = edit.statement
        before = _head(statement)
        if edit.holder is None:
            continue
        if edit.operator == REMOVED:
            after = "pass"
        else:
            back = edit.swap()
            after = _head(statement)
            back.swap()
        if after == before or (id(statement), after) in seen:  # two operators may come to the same
            continue
        seen.add((id(statement), after))
        key = (edit.function, before, after)
        nth = times[key] = times.get(key, -1) + 1
        line, last = statement.lineno, _last_line(statement)
        yield Mutant(module, edit.function or "<module>", line, last, edit.operator, before, after, nth), edit


def _head(statement: ast.stmt) -> str:
    """The statement as one text; of a compound one the line before its body."""
    if not hasattr(statement, "body"):
        return ast.unparse(statement)
    fields: dict[str, Any] = {"body": [ast.Pass()]}
    fields.update({name: [] for name in ("orelse", "decorator_list") if hasattr(statement, name)})
    if isinstance(statement, ast.FunctionDef):
        fields["returns"] = None
    return ast.unparse(changed(statement, **fields)).rpartition("\n")[0]


def _last_line(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno


def _of_body(owner: Any, function: str, bound: set[str] | None, field: str = "body") -> Iterator[_Edit]:
    """Edits of the statements of ``owner.field``. bound: names that the function has bound; None outside one."""
    statements = getattr(owner, field, [])
    for at, statement in enumerate(statements):
        if _is_talk(statement):
            continue
        inner = ".".join(filter(None, (function, getattr(statement, "name", ""))))
        if isinstance(statement, ast.ClassDef):
            if LATER.search(statement.name):
                continue
            yield from _of_body(statement, inner, None)
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(fnmatch(statement.name, pattern) for pattern in NOT_MATHEMATICS) or LATER.search(statement.name):
                continue
            names = {a.arg for a in (*statement.args.posonlyargs, *statement.args.args, *statement.args.kwonlyargs)}
            yield from _of_body(statement, inner, names)
        elif isinstance(statement, ast.If) and (_is_guard(statement) or LATER.search(ast.unparse(statement.test))):
            yield from _of_body(statement, function, bound, "orelse")
        else:
            if bound is not None and _removable(statement, function, bound) and not LATER.search(_head(statement)):
                yield _Edit(REMOVED, statement, function, owner, field, at, ast.copy_location(ast.Pass(), statement))
            yield from _of_expressions(statement, statement, function)
            if bound is not None:
                bound |= _bound_by(statement)
            for part in _BODIES:
                if part == "handlers":
                    for handler in getattr(statement, part, []):
                        yield from _of_body(handler, function, bound)
                elif part != "cases":
                    yield from _of_body(statement, function, bound, part)


def _bound_by(statement: ast.stmt) -> set[str]:
    """Names that get a value in it; of a compound statement in its head."""
    parts = [
        part
        for field, content in ast.iter_fields(statement)
        if field not in _BODIES
        for part in (content if isinstance(content, list) else [content])
        if isinstance(part, ast.AST)
    ]
    names = (node for part in parts for node in ast.walk(part) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _is_talk(statement: ast.stmt) -> bool:
    """Whether it computes nothing of the published program.

    It says something (documentation, messages, errors, imports), or computes what that program lacks.
    """
    if isinstance(statement, (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)):
        return True
    if isinstance(statement, ast.Expr):
        name = called(statement.value)
        refuses = any(fnmatch(name, pattern) for pattern in _REFUSES)
        return isinstance(statement.value, ast.Constant) or name in _TALK or refuses
    if isinstance(statement, ast.Assign):
        if any(LATER.search(ast.unparse(target)) for target in statement.targets):
            return True
        return isinstance(statement.value, ast.JoinedStr) or isinstance(getattr(statement.value, "value", None), str)
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'")


def _is_later(node: ast.expr, parent: ast.AST) -> bool:
    """Whether it is part of an option that the published program lacks."""
    beside = isinstance(node, ast.Constant) and isinstance(parent, (ast.BinOp, ast.Compare, ast.Call))
    return LATER.search(ast.unparse(parent if beside else node)) is not None


def _is_guard(statement: ast.If) -> bool:
    """Whether all that it does is to refuse: it says something, or ends in an error that it made the words of."""
    return all(_is_talk(each) for each in statement.body) or isinstance(statement.body[-1], ast.Raise)


def _removable(statement: ast.stmt, function: str, bound: set[str]) -> bool:
    """An update of a state, of a part of one, or of a name that has a value already; a call for its effect."""
    if isinstance(statement, (ast.AugAssign, ast.Continue, ast.Break)):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call) and "super()" not in ast.unparse(statement)
    if isinstance(statement, ast.Assign) and not function.endswith("__init__"):
        targets = [leaf for target in statement.targets for leaf in getattr(target, "elts", [target])]
        return all(
            target.id in bound if isinstance(target, ast.Name) else isinstance(target, (ast.Attribute, ast.Subscript))
            for target in targets
        )
    return False


def _of_expressions(statement: ast.stmt, node: ast.AST, function: str, index: bool = False) -> Iterator[_Edit]:
    """Edits of every expression below ``node``, but for what other statements hold."""
    if isinstance(node, ast.AugAssign) and not LATER.search(ast.unparse(node)):
        value = ast.BinOp(ast.Name("_", ast.Load()), node.op, node.value)
        for name in ("arithmetic", "and, or"):
            for other in OPERATORS[name](value, Place(node, "value", False)):
                if isinstance(other, ast.BinOp):
                    yield _Edit(name, statement, function, node, "op", None, other.op)
    for field, content in ast.iter_fields(node):
        if field in _SKIPPED and not (field == "keywords" and isinstance(node, ast.Call)):
            continue
        if isinstance(node, ast.stmt) and field in _BODIES:
            continue
        for at, each in enumerate(content) if isinstance(content, list) else [(None, content)]:
            if not isinstance(each, ast.AST) or isinstance(each, (ast.JoinedStr, ast.expr_context)):
                continue
            inside = field == "slice" or (index and isinstance(node, (ast.Tuple, ast.Slice, ast.UnaryOp)))
            if isinstance(each, ast.expr) and not _is_later(each, node):
                for name, operator in OPERATORS.items():
                    for new in operator(each, Place(node, field, inside)):
                        yield _Edit(name, statement, function, node, field, at, new)
            yield from _of_expressions(statement, each, function, inside)
