"""The options of GRU4Rec: their defaults, what each accepts, and how each is read from a text."""

import math
import numbers
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from original import activations
from original.losses import LOSSES
from original.optimizers import OPTIMIZERS

LAYERSIZE = "layersize"  # an embedding as wide as the first layer
MOST_SEED = 2**32 - 1  # of NumPy's MT19937
MOST_DROPOUT_SEED = 2**31 - 21070  # below the smaller of MRG31k3p's two moduli


class Rule(NamedTuple):
    """What an option accepts.

    Attributes:
        accepted: the same in words.
        value: the plain value of one that is given; it raises for one that is not accepted.
        text: the same of a text.
    """

    accepted: str
    value: Callable[[Any], Any]
    text: Callable[[str], Any]


def _demand(holds: bool) -> None:
    if not holds:
        raise ValueError


def is_number(given: Any) -> bool:
    """Whether ``given`` is a finite real number of Python or NumPy; a bool is none."""
    return isinstance(given, numbers.Real) and not isinstance(given, (bool, np.bool_)) and math.isfinite(given)


def is_whole(given: Any, least: int, most: float = math.inf) -> bool:
    """Whether ``given`` is a number, an integer or a float, of a whole value from ``least`` to ``most``."""
    return is_number(given) and int(given) == given and least <= given <= most


def _whole(accepted: str, least: int, most: float = math.inf) -> Rule:
    def value(given: Any) -> int:
        _demand(is_whole(given, least, most))
        return int(given)

    def text(given: str) -> int:
        try:
            return value(int(given))
        except ValueError:
            return value(float(given))

    return Rule(accepted, value, text)


def _number(accepted: str, fits: Callable[[float], bool]) -> Rule:
    def value(given: Any) -> float:
        _demand(is_number(given) and fits(given))
        return float(given)

    return Rule(accepted, value, lambda text: value(float(text)))


def _list(accepted: str, element: Rule, least: int) -> Rule:
    def value(given: Any) -> tuple[Any, ...]:
        _demand(isinstance(given, (list, tuple, np.ndarray)) and np.ndim(given) == 1 and len(given) >= least)
        return tuple(element.value(part) for part in given)

    def text(given: str) -> tuple[Any, ...]:
        return value([element.text(part) for part in given.split("/")] if given else [])

    return Rule(accepted, value, text)


def _flag() -> Rule:
    def value(given: Any) -> bool:
        _demand(isinstance(given, (int, np.bool_, np.integer)) and given in (0, 1))
        return bool(given)

    def text(given: str) -> bool:
        _demand(given in ("True", "1", "False", "0"))
        return given in ("True", "1")

    return Rule("True or False", value, text)


def _name(accepted: str, fits: Callable[[str], bool]) -> Rule:
    def value(given: Any) -> str:
        _demand(isinstance(given, str) and fits(given))
        return str(given)

    return Rule(accepted, value, value)


def _embedding() -> Rule:
    whole = _whole("", 0)

    def either(read: Callable[[Any], int]) -> Callable[[Any], int | str]:
        return lambda given: LAYERSIZE if isinstance(given, str) and given == LAYERSIZE else read(given)

    return Rule(f"a whole number of at least 0, or {LAYERSIZE!r},", either(whole.value), either(whole.text))


def _adapt() -> Rule:
    def value(given: Any) -> str | None:
        _demand(given is None or (isinstance(given, str) and (given or None) in OPTIMIZERS))
        return str(given) if given else None

    return Rule("None, adagrad, rmsprop, adadelta or adam", value, lambda text: value(None if text == "None" else text))


def _dtype() -> Rule:
    def value(given: Any) -> str:
        name = np.dtype(given).name if isinstance(given, (np.dtype, type)) else given
        _demand(isinstance(name, str) and name in ("float32", "float64"))
        return str(name)

    return Rule("float32 or float64", value, value)


_SHAPES = "linear, relu, tanh, leaky-X, elu-X"
_SHARE = _number("a number with 0 <= value < 1", lambda value: 0 <= value < 1)
_NOT_NEGATIVE = _number("a finite number of at least 0", lambda value: value >= 0)
_COLUMN = _name("a column name", bool)
_COUNT = _whole("a whole number of at least 0", 0)

RULES = {
    "loss": _name("top1, bpr, cross-entropy, xe_logit, top1-max or bpr-max", LOSSES.__contains__),
    "final_act": _name(
        f"{_SHAPES}, selu-X-Y, softmax or softmax_logit", lambda name: activations.is_known(name, softmaxes=True)
    ),
    "hidden_act": _name(f"{_SHAPES} or selu-X-Y", activations.is_known),
    "layers": _list("a list of one or more whole numbers of at least 1", _whole("", 1), least=1),
    "n_epochs": _COUNT,
    "batch_size": _whole("a whole number of at least 1", 1),
    "dropout_p_hidden": _SHARE,
    "dropout_p_embed": _SHARE,
    "learning_rate": _number("a finite number above 0", lambda value: value > 0),
    "momentum": _NOT_NEGATIVE,
    "lmbd": _NOT_NEGATIVE,
    "embedding": _embedding(),
    "n_sample": _COUNT,
    "sample_alpha": _number("a finite number", lambda value: True),
    "smoothing": _SHARE,
    "constrained_embedding": _flag(),
    "adapt": _adapt(),
    "adapt_params": _list("a list of as many numbers with 0 <= value < 1 as adapt={!r} has ({})", _SHARE, least=0),
    "grad_cap": _NOT_NEGATIVE,
    "bpreg": _NOT_NEGATIVE,
    "sigma": _NOT_NEGATIVE,
    "init_as_normal": _flag(),
    "train_random_order": _flag(),
    "time_sort": _flag(),
    "session_key": _COLUMN,
    "item_key": _COLUMN,
    "time_key": _COLUMN,
    "logq": _NOT_NEGATIVE,
    "dtype": _dtype(),
    "seed": _whole(f"a whole number from 0 to {MOST_SEED}", 0, MOST_SEED),
    "dropout_seed": _whole(f"a whole number from 1 to {MOST_DROPOUT_SEED}", 1, MOST_DROPOUT_SEED),
    "backend": _name("c or jax", ("c", "jax").__contains__),
    "device": _name("auto, cpu or gpu", ("auto", "cpu", "gpu").__contains__),
}
OPTIONS = tuple(RULES)


def refusal(name: str, value: Any, accepted: str) -> ValueError:
    """The error of a bad value: ``NAME=VALUE: ACCEPTED is accepted``."""
    return ValueError(f"{name}={value!r}: {accepted} is accepted")


def _accepted(name: str, adapt: str | None) -> str:
    """What an option accepts, in words; ``adapt`` is the optimizer, which decides on ``adapt_params``."""
    return RULES[name].accepted.format(adapt, OPTIMIZERS[adapt].n_params)


def _warn(text: str) -> None:
    """Warn of what the caller of this package wrote, at his line."""
    here, depth, frame = f"{Path(__file__).parent}{os.sep}", 1, sys._getframe()
    while frame.f_back and (frame.f_code.co_filename == "<string>" or frame.f_code.co_filename.startswith(here)):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(text, stacklevel=depth)


@dataclass(frozen=True)
class Settings:
    """All options of a model.

    Values are checked and made plain: NumPy scalars become Python numbers, lists and arrays tuples, 0 and 1 flags,
    ``''`` None for ``adapt``. What each accepts stands in ``RULES``.

    Args:
        loss: top1, bpr, cross-entropy (meant with softmax), xe_logit (with softmax_logit), top1-max or bpr-max.
        final_act, hidden_act: linear, relu, tanh, leaky-X, elu-X, selu-X-Y; final_act also softmax, softmax_logit.
        layers: units of each GRU layer.
        n_epochs, batch_size: epochs of ``fit``; sessions trained side by side (lanes).
        dropout_p_hidden, dropout_p_embed: share of a layer's output, of the embedding, that is dropped.
        learning_rate, momentum, lmbd: step size, momentum, L2 regularisation.
        embedding: units of a separate item embedding, 0 for none, 'layersize' for ``layers[0]``.
        n_sample, sample_alpha: negative samples a step besides the other lanes' targets, drawn with probability
            support**sample_alpha.
        smoothing: label smoothing of cross-entropy and xe_logit.
        constrained_embedding: whether the output weights are the embedding as well, which wins over a separate one.
        adapt, adapt_params: None (SGD), adagrad, rmsprop [decay], adadelta [decay], adam [b1, b2].
        grad_cap: cap on the norm of the gradient, 0 for none.
        bpreg: weight of bpr-max's score regularisation.
        sigma, init_as_normal: range, or standard deviation, of the initial weights; 0 for sqrt(6/(rows+cols)).
        train_random_order, time_sort: sessions in random order, by first timestamp, or (neither) by session id.
        session_key, item_key, time_key: column names.
        logq: how much of log P is subtracted from the scores, before ``final_act``, while training; P is the support of
            a target's item, support**sample_alpha of a sample (X. Yi et al., RecSys 2019).
        dtype, seed, dropout_seed: float32 or float64; of the NumPy stream (weights, samples, order); of the dropout.
        backend, device: 'c' (compiled C, on the CPU) or 'jax' (XLA; 'auto' takes a GPU if JAX sees one), cpu or gpu.

    Raises:
        ValueError: for the first option whose value is not accepted; it names option, value and what is accepted.
    """

    loss: str = "bpr-max"
    final_act: str = "linear"
    hidden_act: str = "tanh"
    layers: tuple[int, ...] = (100,)
    n_epochs: int = 10
    batch_size: int = 32
    dropout_p_hidden: float = 0.0
    dropout_p_embed: float = 0.0
    learning_rate: float = 0.1
    momentum: float = 0.0
    lmbd: float = 0.0
    embedding: int | str = 0
    n_sample: int = 2048
    sample_alpha: float = 0.75
    smoothing: float = 0.0
    constrained_embedding: bool = False
    adapt: str | None = "adagrad"
    adapt_params: tuple[float, ...] = ()
    grad_cap: float = 0.0
    bpreg: float = 1.0
    sigma: float = 0.0
    init_as_normal: bool = False
    train_random_order: bool = False
    time_sort: bool = True
    session_key: str = "SessionId"
    item_key: str = "ItemId"
    time_key: str = "Time"
    logq: float = 0.0
    dtype: str = "float32"
    seed: int = 42
    dropout_seed: int = 12345
    backend: str = "c"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            given = getattr(self, name)
            try:
                value = rule.value(given)
                _demand(name != "adapt_params" or len(value) == OPTIMIZERS[self.adapt].n_params)
            except (ValueError, TypeError, OverflowError):
                raise refusal(name, given, _accepted(name, self.adapt if name == "adapt_params" else None)) from None
            object.__setattr__(self, name, value)
        if self.batch_size == 1 and self.n_sample == 0:
            raise refusal("batch_size", 1, "at least 2 with n_sample=0")
        self._warn_of_odd_pairs()

    def _warn_of_odd_pairs(self) -> None:
        if self.adapt == "adadelta" and self.learning_rate != 1.0:
            _warn(f"adadelta has no learning rate: learning_rate={self.learning_rate!r} is taken as 1.0")
            object.__setattr__(self, "learning_rate", 1.0)
        meant = {"cross-entropy": "softmax", "xe_logit": "softmax_logit"}.get(self.loss)
        if meant and self.final_act != meant:
            _warn(f"loss={self.loss!r} is meant with final_act={meant!r}, not {self.final_act!r}")

    @staticmethod
    def parse(name: str, text: str, adapt: str | None = None) -> Any:
        """The value of an option from a text.

        Args:
            name: the option.
            text: lists are written ``100/50``, flags True, 1, False or 0, no optimizer ``None`` or nothing.
            adapt: the optimizer that ``adapt_params`` are for.

        Raises:
            ValueError: for an unknown option, or a text that is no accepted value of it.
        """
        check_names([name])
        try:
            value = RULES[name].text(text)
            _demand(name != "adapt_params" or len(value) == OPTIMIZERS[adapt].n_params)
        except (ValueError, OverflowError):
            raise refusal(name, text, _accepted(name, adapt)) from None
        return value

    def replaced(self, **changes: Any) -> "Settings":
        """These settings with some options changed, each a value or a text.

        Raises:
            ValueError: for an unknown option or a bad value; nothing is changed then.
        """
        check_names(changes)
        names = sorted(changes, key=OPTIONS.index)  # adapt_params after adapt, whose number of them counts
        values: dict[str, Any] = {}
        for name in names:
            given = changes[name]
            if isinstance(given, str):
                given = self.parse(name, given, values.get("adapt", self.adapt))
            values[name] = given
        return Settings(**(self.as_dict() | values))

    def changed(self, changes: Mapping[str, Any], built: bool) -> "Settings":
        """The same, where a model may be built with these settings: only ``n_epochs`` changes then.

        Raises:
            ValueError: see :meth:`replaced`.
            RuntimeError: for another option whose value would change.
        """
        settings = self.replaced(**changes)
        before, after = self.as_dict(), settings.as_dict()
        for name in OPTIONS if built else ():
            if name != "n_epochs" and before[name] != after[name]:
                raise RuntimeError(
                    f"{name}={after[name]!r}: the model is built with {before[name]!r}; a new model takes other options"
                )
        return settings

    def as_dict(self) -> dict[str, Any]:
        """Every option in order, as JSON has them: lists, not tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._items()}

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    @property
    def input_mode(self) -> str:
        """What feeds layer 0: 'none' (rows of Wx0), 'separate' (of E), or 'constrained' (of Wy), which wins."""
        if self.constrained_embedding:
            return "constrained"
        return "separate" if self.embedding else "none"

    @property
    def input_width(self) -> int:
        """Columns of the embedding that feeds layer 0; 0 without one."""
        if self.input_mode == "constrained":
            return self.layers[-1]
        return self.layers[0] if self.embedding == LAYERSIZE else int(self.embedding)


def check_names(names: Any) -> None:
    """Raise ValueError for a name that is no option."""
    for name in names:
        if name not in RULES:
            raise ValueError(f"{name}: no option of GRU4Rec; {', '.join(OPTIONS)} are accepted")
