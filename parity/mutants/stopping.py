"""Checks that end a run at their first failure."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from parity.measure import Check, Checks


class Caught(BaseException):
    """A comparison was past its bound, or the engine raised. No ``Exception``: nothing on the way is to take it.

    check: its name. where: tensor and step, or the error. raised: whether an error is what failed the check.
    """

    def __init__(self, check: str, where: str, raised: bool):
        super().__init__(check, where, raised)
        self.check, self.where, self.raised = check, where, raised


@contextmanager
def stopping() -> Iterator[None]:
    """Within, the first failure of any check raises :class:`Caught`."""
    with ExitStack() as stack:
        for name in ("close", "within", "equal", "fails"):
            stack.enter_context(patch.object(Check, name, _comparison(getattr(Check, name))))
        stack.enter_context(patch.object(Checks, "attempt", _attempt(Checks.attempt)))
        yield


def _comparison(method: Callable) -> Callable:
    @wraps(method)
    def compare(check: Check, *arguments: Any, **options: Any) -> None:
        method(check, *arguments, **options)
        if check.first_failure is not None:
            raise Caught(check.name, check.first_failure.where, False)

    return compare


def _attempt(method: Callable) -> Callable:
    @wraps(method)
    def attempt(checks: Checks, names: Any, *arguments: Any) -> Any:
        names = list(names)
        result = method(checks, names, *arguments)
        for name in names:
            broken = checks[name].broken
            if broken:
                raise Caught(name, broken, True)
        return result

    return attempt
