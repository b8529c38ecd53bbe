"""The options that are numbers in a step's formulas, as an input of its program: other values, the same program.

A study varies them from model to model, and each program that is compiled takes memory for good. Whether one is 0
decides on the program, as a term of the formula goes with it.
"""

from typing import Any, NamedTuple

import numpy as np

from keras_port import optimizers
from keras_port.settings import Settings

NAME = "numbers"  # of the vector among a program's inputs
# The options that a step takes from the vector, and what stands for one that is not 0 in the settings of a program.
STAND_INS = {
    "learning_rate": 1.0,
    "momentum": 0.5,
    "lmbd": 0.5,
    "grad_cap": 0.5,
    "bpreg": 0.5,
    "smoothing": 0.5,
    "dropout_p_embed": 0.5,
    "dropout_p_hidden": 0.5,
}


class Numbers(NamedTuple):
    """On the host floats; within a program scalars, but 0.0 where the option is 0.

    lr, shrink, lmbd, momentum: :class:`keras_port.optimizers.Rates`. grad_cap, bpreg, smoothing: the options. embed,
    hidden: the retain probabilities of dropout. first, second: a decay rate b, then 1 - b, rounded as published.
    """

    lr: Any
    shrink: Any
    lmbd: Any
    momentum: Any
    grad_cap: Any
    bpreg: Any
    smoothing: Any
    embed: Any
    hidden: Any
    first: Any
    first_new: Any
    second: Any
    second_new: Any

    @classmethod
    def of(cls, settings: Settings) -> "Numbers":
        """Those of the settings."""
        decays = [part for b in settings.adapt_params for part in optimizers.decay(b)]
        retained = 1.0 - settings.dropout_p_embed, 1.0 - settings.dropout_p_hidden
        options = settings.grad_cap, settings.bpreg, settings.smoothing
        return cls(*optimizers.rates_of(settings), *options, *retained, *(decays + [0.0] * 4)[:4])

    @property
    def rates(self) -> optimizers.Rates:
        """Of an update."""
        return optimizers.Rates(*self[:4])

    @property
    def decays(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """(b, 1 - b) of each decay rate."""
        return (self.first, self.first_new), (self.second, self.second_new)

    def retain(self, site: str) -> Any:
        """The retain probability of a dropout site, 'embed' or 'hidden0', ..."""
        return self.embed if site == "embed" else self.hidden


def vector(settings: Settings) -> np.ndarray:
    """The numbers of the settings as an input of a program."""
    with np.errstate(over="ignore"):
        return np.array(Numbers.of(settings), settings.dtype)


def within(settings: Settings, batch: Any) -> Numbers:
    """The numbers in a program: out of the vector of its inputs, or of the settings where there is none."""
    if NAME not in batch:
        return Numbers.of(settings)
    numbers = Numbers(*(batch[NAME][place] for place in range(len(Numbers._fields))))
    off = {name: 0.0 for name in ("lmbd", "grad_cap", "smoothing") if not getattr(settings, name)}
    return numbers._replace(**off)


def standing_in(settings: Settings) -> dict[str, Any]:
    """The options of a program that serves all models whose numbers are 0 where those of the settings are."""
    found: dict[str, Any] = {name: value for name, value in STAND_INS.items() if getattr(settings, name)}
    found["adapt_params"] = [0.5] * len(settings.adapt_params)
    if not settings.logq:
        found["sample_alpha"] = 0.0  # no step knows it
    return found
