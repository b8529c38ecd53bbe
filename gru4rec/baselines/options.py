"""Options of baselines: their values, texts and defaults, each declared once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from gru4rec.terminal import quoted


@dataclass(frozen=True)
class Option:
    """What a constructor option of a baseline may be.

    Attributes:
        default: where it is not given.
        about: what it does, in words.
        least: of a number.
        whole: whether the number is a whole one.
        most: of a number.
        choices: of a name; a number where there are none.
    """

    default: Any
    about: str
    least: float = 0
    whole: bool = True
    most: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        kind = "a whole number" if self.whole else "a finite number"
        if self.most < math.inf:
            return f"{kind} from {self.least:g} to {self.most:g}"
        return f"{kind} of at least {self.least:g}"

    def checked(self, name: str, value: Any) -> Any:
        """The value as a plain one. Raises ValueError naming what is accepted."""
        if self.choices:
            if isinstance(value, str) and value in self.choices:
                return value
        elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            is_whole = isinstance(value, Integral) or float(value).is_integer()
            number: Any = value  # the type Real has no comparison
            if self.least <= number <= self.most and (is_whole or not self.whole):
                return int(number) if self.whole else float(number)
        raise ValueError(f"{name}={value!r}: {self.accepted} is accepted")

    def parsed(self, name: str, text: str) -> Any:
        """The value written as ``text``. Raises ValueError naming what is accepted."""
        try:
            return self.checked(name, text if self.choices else float(text) if len(text) < 40 else math.nan)
        except ValueError:
            raise ValueError(f"{name}={quoted(text)}: {self.accepted} is accepted") from None


@dataclass(frozen=True)
class Table:
    """The options of one baseline, as the commands ask for them."""

    model: str
    options: Mapping[str, Option]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.options)

    def parse(self, name: str, text: str) -> Any:
        """The value of option ``name``. Raises ValueError for an unknown one, or a text that does not fit."""
        if name not in self.options:
            raise ValueError(f"{quoted(name)}: no option of {self.model}; {', '.join(self.names)} are accepted")
        return self.options[name].parsed(name, text)
