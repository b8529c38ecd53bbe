"""What a fault is: some patches of the Keras engine's public functions and methods."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Patches = list[tuple[Any, str, Any]]  # (object, attribute, replacement)


@dataclass(frozen=True)
class Fault:
    """What is wrong, the check that has to catch it, its setting of ``SETTINGS``, whether it is our own.

    dtypes: the types in which it is one: products in fewer digits are a fault in float32.
    """

    name: str
    check: str
    setting: str
    patches: Callable[[], Patches]
    own: bool = False
    dtypes: tuple[str, ...] = ("float64",)

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Within, engines that are built have the fault."""
        from keras_port import programs

        with ExitStack() as stack:
            stack.callback(programs.forget)  # nothing that was compiled with the fault is left
            for target, attribute, replacement in self.patches():
                stack.enter_context(patch.object(target, attribute, replacement))
            programs.forget()
            yield


class Family(list[Fault]):
    """The faults of one file, in its order."""

    def fault(
        self, name: str, check: str, setting: str, own: bool = False, dtypes: tuple[str, ...] = ("float64",)
    ) -> Callable:
        """Decorator of the function that gives the patches."""

        def register(patches: Callable[[], Patches]) -> Callable[[], Patches]:
            self.append(Fault(name, check, setting, patches, own, dtypes))
            return patches

        return register
