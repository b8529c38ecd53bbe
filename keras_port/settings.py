"""The options of GRU4Rec: their defaults, what each accepts, and text for them."""

import math
import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from keras_port import activations, distribution, dwell

LOSSES = ("top1", "bpr", "cross-entropy", "xe_logit", "top1-max", "bpr-max")
DECAY_RATES = {None: 0, "adagrad": 0, "rmsprop": 1, "adadelta": 1, "adam": 2}  # how many each optimizer has
LAYERSIZE = "layersize"  # as ``embedding``: as wide as the first layer


class NotAccepted(ValueError):
    """``NAME=VALUE: ACCEPTED is accepted``."""

    name: str
    accepted: str

    @classmethod
    def of(cls, name: str, value: Any, accepted: str) -> "NotAccepted":
        """The error of option ``name``, which accepts ``accepted`` and was given ``value``."""
        fault = cls(f"{name}={value!r}: {accepted} is accepted")
        fault.name, fault.accepted = name, accepted
        return fault


@dataclass(frozen=True)
class _Kind:
    """What an option accepts, in words; the plain value of one that is given, and of text (ValueError otherwise)."""

    accepted: str
    value: Callable[[Any], Any]
    text: Callable[[str], Any]


def _is_number(given: Any) -> bool:
    return isinstance(given, numbers.Real) and not isinstance(given, (bool, np.bool_))


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError


def _whole(accepted: str, least: int, most: float = math.inf) -> _Kind:
    def value(given: Any) -> int:
        _check(_is_number(given) and math.isfinite(given) and given == int(given) and least <= given <= most)
        return int(given)

    return _Kind(accepted, value, lambda text: value(_number_of(text)))


def _number(accepted: str, fits: Callable[[float], bool]) -> _Kind:
    def value(given: Any) -> float:
        _check(_is_number(given) and math.isfinite(given) and fits(given))
        return float(given)

    return _Kind(accepted, value, lambda text: value(float(text)))


def _number_of(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _list(accepted: str, element: _Kind, least: int) -> _Kind:
    def value(given: Any) -> tuple[Any, ...]:
        _check(isinstance(given, (list, tuple, np.ndarray)) and np.ndim(given) == 1 and len(given) >= least)
        return tuple(element.value(part) for part in given)

    def text(given: str) -> tuple[Any, ...]:
        parts = tuple(element.text(part) for part in given.split("/")) if given else ()
        _check(len(parts) >= least)
        return parts

    return _Kind(accepted, value, text)


def _flag() -> _Kind:
    def value(given: Any) -> bool:
        _check(isinstance(given, (bool, np.bool_, int, np.integer)) and given in (0, 1))
        return bool(given)

    def text(given: str) -> bool:
        _check(given in ("True", "1", "False", "0"))
        return given in ("True", "1")

    return _Kind("True or False", value, text)


def _name(accepted: str, fits: Callable[[str], bool]) -> _Kind:
    def value(given: Any) -> str:
        _check(isinstance(given, str) and fits(given))
        return str(given)

    return _Kind(accepted, value, value)


def _embedding() -> _Kind:
    whole = _whole("", 0)

    def value(given: Any) -> int | str:
        return LAYERSIZE if isinstance(given, str) and given == LAYERSIZE else whole.value(given)

    def text(given: str) -> int | str:
        return LAYERSIZE if given == LAYERSIZE else whole.text(given)

    return _Kind(f"a whole number of at least 0, or {LAYERSIZE!r},", value, text)


def _adapt() -> _Kind:
    def value(given: Any) -> str | None:
        _check(given is None or (isinstance(given, str) and (given or None) in DECAY_RATES))
        return given or None

    def text(given: str) -> str | None:
        return value(None if given == "None" else given)

    return _Kind("None, adagrad, rmsprop, adadelta or adam", value, text)


def _dtype() -> _Kind:
    def value(given: Any) -> str:
        try:
            name = given if isinstance(given, str) else np.dtype(given).name
        except TypeError:
            name = None
        _check(given is not None and name in ("float32", "float64"))
        return str(name)

    return _Kind("float32 or float64", value, value)


_PLAIN_ACTIVATIONS = "linear, relu, tanh, leaky-X, elu-X"
_RATE = _number("a number with 0 <= value < 1", lambda v: 0 <= v < 1)
_FROM_ZERO = _number("a finite number of at least 0", lambda v: v >= 0)
_COLUMN = _name("a column name", bool)
_MOST_SEED, _MOST_DROPOUT_SEED = 2**32 - 1, 2**31 - 21070  # of MT19937 by NumPy; below the smaller modulus of MRG31k3p

_KINDS: dict[str, _Kind] = {
    "loss": _name("top1, bpr, cross-entropy, xe_logit, top1-max or bpr-max", LOSSES.__contains__),
    "final_act": _name(f"{_PLAIN_ACTIVATIONS}, selu-X-Y, softmax or softmax_logit", activations.is_final),
    "hidden_act": _name(f"{_PLAIN_ACTIVATIONS} or selu-X-Y", activations.is_hidden),
    "layers": _list("a list of one or more whole numbers of at least 1", _whole("", 1), least=1),
    "n_epochs": _whole("a whole number of at least 0", 0),
    "batch_size": _whole("a whole number of at least 1", 1),
    "dropout_p_hidden": _RATE,
    "dropout_p_embed": _RATE,
    "learning_rate": _number("a finite number above 0", lambda v: v > 0),
    "momentum": _FROM_ZERO,
    "lmbd": _FROM_ZERO,
    "embedding": _embedding(),
    "n_sample": _whole("a whole number of at least 0", 0),
    "sample_alpha": _number("a finite number", lambda v: True),
    "smoothing": _RATE,
    "constrained_embedding": _flag(),
    "adapt": _adapt(),
    "adapt_params": _list("a list of as many numbers with 0 <= value < 1 as", _RATE, least=0),  # adapt=... has
    "grad_cap": _FROM_ZERO,
    "bpreg": _FROM_ZERO,
    "sigma": _FROM_ZERO,
    "init_as_normal": _flag(),
    "train_random_order": _flag(),
    "time_sort": _flag(),
    "session_key": _COLUMN,
    "item_key": _COLUMN,
    "time_key": _COLUMN,
    "logq": _FROM_ZERO,
    "dwell_time": _whole(f"a whole number from 0 to {dwell.MOST_BUCKETS}", 0, dwell.MOST_BUCKETS),
    "dwell_weight": _FROM_ZERO,
    "dtype": _dtype(),
    "seed": _whole(f"a whole number from 0 to {_MOST_SEED}", 0, _MOST_SEED),
    "dropout_seed": _whole(f"a whole number from 1 to {_MOST_DROPOUT_SEED}", 1, _MOST_DROPOUT_SEED),
    "steps_per_call": _whole("a whole number of at least 1", 1),
    "jit_compile": _flag(),
    "devices": _whole("a whole number of at least 1", 1),
}


@dataclass(frozen=True)
class Settings:
    """The options of a model: the published order (arXiv 1511.06939 and 1706.03847), the later ones, the port's own.

    Values are checked and made plain: NumPy scalars become Python numbers, lists and arrays tuples, 0 and 1 booleans
    where flags are meant, ``''`` None for ``adapt``.

    Args:
        loss: 'top1', 'bpr', 'cross-entropy', 'xe_logit', 'top1-max' or 'bpr-max'.
        final_act: 'softmax' (meant for cross-entropy), 'softmax_logit' (for xe_logit), 'linear', 'relu', 'tanh',
            'leaky-X', 'elu-X' or 'selu-X-Y'.
        hidden_act: the same without the softmaxes.
        layers: units of each GRU layer.
        n_epochs: epochs of a training; 0 draws the weights and trains nothing.
        batch_size: sessions side by side.
        dropout_p_hidden: dropout rate of the hidden states.
        dropout_p_embed: dropout rate of the embedding.
        learning_rate: of every update; adadelta takes 1.
        momentum: 0 for none.
        lmbd: L2 regularisation.
        embedding: width of a separate item embedding, 0 for none, 'layersize' for that of the first layer.
        n_sample: negatives a step besides the other lanes' targets.
        sample_alpha: they are drawn with probability ~ support^sample_alpha.
        smoothing: of the labels, with cross-entropy and xe_logit.
        constrained_embedding: the output weights serve as embedding; goes before ``embedding``.
        adapt: None, 'adagrad', 'rmsprop', 'adadelta' or 'adam'.
        adapt_params: its decay rates: one of rmsprop and adadelta, two of adam.
        grad_cap: bound of the gradients' common norm, 0 for none.
        bpreg: score regularisation of bpr-max.
        sigma: range of the initial weights, 0 for sqrt(6/(rows+cols)).
        init_as_normal: draw them from a normal distribution of deviation sigma.
        train_random_order: a new random order of the sessions each epoch.
        time_sort: without it, the sessions by their first time; else by their id.
        session_key: column of sessions.
        item_key: column of items.
        time_key: column of times.
        logq: while training, logq * log P is subtracted from a score before final_act, which undoes the favour of
            popular items in the loss (Bengio and Senécal 2008; published with GRU4Rec in 2020). P: events of the item
            in the training data for the columns of targets, the same to the power sample_alpha for those of samples.
        dwell_time: with N > 0 the network also sees how long the session stayed at the event before the present one, in
            N buckets on a log scale: rows of a table D, zeros at first and updated as a dense tensor, are added to the
            first layer's input part. It needs times in seconds, as dwell_weight; formulas in :mod:`keras_port.dwell`.
        dwell_weight: with w > 0 the loss of a target that the session stayed at for d seconds counts
            (1 + w*log2(1 + d)) / c, c the mean over the training data; a session's last event counts 1.
        dtype: 'float32' or 'float64'.
        seed: of the NumPy stream of weights, samples and session order.
        dropout_seed: of the MRG31k3p stream of dropout masks.
        steps_per_call: training steps compiled into one call; changes no result.
        jit_compile: whether TensorFlow compiles by XLA, which starts later, runs much faster, and alone keeps a step's
            cost from growing with n; changes no result.
        devices: the rows of the item tensors are split over so many devices of JAX (:mod:`keras_port.distribution`);
            changes no result, and is not saved.

    Raises:
        ValueError: naming the first option whose value is not accepted, the value, and what is accepted.
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
    dwell_time: int = 0
    dwell_weight: float = 0.0
    dtype: str = "float32"
    seed: int = 42
    dropout_seed: int = 12345
    steps_per_call: int = 32
    jit_compile: bool = True
    devices: int = 1

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in OPTIONS}
        for name, kind in _KINDS.items():
            try:
                object.__setattr__(self, name, kind.value(given[name]))
            except (ValueError, OverflowError):
                if name != "adapt_params":  # whose words name the optimizer, below
                    raise NotAccepted.of(name, given[name], kind.accepted) from None
                object.__setattr__(self, name, None)
        count = DECAY_RATES[self.adapt]
        if self.adapt_params is None or len(self.adapt_params) != count:
            accepted = f"{_KINDS['adapt_params'].accepted} adapt={self.adapt!r} has ({count})"
            shown = [] if given["adapt_params"] == () else given["adapt_params"]  # the default, as users write it
            raise NotAccepted.of("adapt_params", shown, accepted)
        if self.batch_size < 2 and not self.n_sample:
            raise NotAccepted.of("batch_size", self.batch_size, "at least 2 with n_sample=0")
        distribution.check(self.devices)

    @staticmethod
    def parse(name: str, text: str) -> Any:
        """The value of option ``name`` from ``text``.

        Lists are written as ``100/50``, booleans as True, 1, False or 0, no optimizer as ``None`` or nothing.

        Raises:
            ValueError: for an unknown name, or a text that does not fit.
        """
        if name not in OPTIONS:
            raise ValueError(f"{name}: no option of GRU4Rec; {', '.join(OPTIONS)} are accepted")
        try:
            return _KINDS[name].text(text)
        except (ValueError, OverflowError):
            raise NotAccepted.of(name, text, _KINDS[name].accepted) from None

    def replaced(self, **changes: Any) -> "Settings":
        """These settings with some options changed: to a value, or to what a text says.

        Raises:
            ValueError: for an unknown name, or values that are not accepted, together with the others.
        """
        texts = {name: value for name, value in changes.items() if isinstance(value, str)}
        for name in changes.keys() - texts.keys():
            if name not in OPTIONS:
                raise ValueError(f"{name}: no option of GRU4Rec; {', '.join(OPTIONS)} are accepted")
        try:
            return replace(self, **{**changes, **{name: self._parsed(name, text) for name, text in texts.items()}})
        except NotAccepted as fault:
            if fault.name not in texts:
                raise
            raise NotAccepted.of(fault.name, texts[fault.name], fault.accepted) from None

    def changed(self, changes: Mapping[str, Any], free: Sequence[str]) -> "Settings":
        """:meth:`replaced`, for a model that has its weights.

        Raises:
            RuntimeError: an option that is not ``free`` would get another value.
            ValueError: as :meth:`replaced`.
        """
        new = self.replaced(**changes)
        for name, value in changes.items():
            if name not in free and getattr(new, name) != getattr(self, name):
                built = self.as_dict()[name]
                words = f"{name}={value!r}: the model is built with {built!r}"
                raise RuntimeError(f"{words}; a new model takes other options")
        if changes.keys() & {"loss", "final_act", "adapt", "learning_rate"}:
            new.warn_of_odd_pairs(stacklevel=3)
        return new

    def _parsed(self, name: str, text: str) -> Any:
        try:
            return self.parse(name, text)
        except NotAccepted:
            if name != "adapt_params":  # what it accepts depends on adapt, which the constructor knows
                raise
            return text

    def as_dict(self) -> dict[str, Any]:
        """The options in order, as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def saved(self) -> dict[str, Any]:
        """The options that a file holds: all but ``devices``, so that any number of them reads it."""
        return {name: value for name, value in self.as_dict().items() if name != "devices"}

    def warn_of_odd_pairs(self, stacklevel: int = 2) -> None:
        """Warn of two options that do not go together."""
        if self.adapt == "adadelta" and self.learning_rate != 1.0:
            warnings.warn(
                f"adadelta has no learning rate: learning_rate={self.learning_rate} is taken as 1.0",
                stacklevel=stacklevel + 1,
            )
            object.__setattr__(self, "learning_rate", 1.0)
        meant = {"cross-entropy": "softmax", "xe_logit": "softmax_logit"}.get(self.loss, self.final_act)
        if self.final_act != meant:
            warnings.warn(
                f"loss={self.loss!r} is meant with final_act={meant!r}, not {self.final_act!r}",
                stacklevel=stacklevel + 1,
            )

    @property
    def input_mode(self) -> str:
        """How an item enters the first layer: 'constrained' (wins), 'separate' or 'none' (a row of Wx0)."""
        return "constrained" if self.constrained_embedding else "separate" if self.embedding else "none"

    @property
    def input_width(self) -> int | None:
        """Width of the first layer's input vector; None without an embedding."""
        if self.constrained_embedding:
            return self.layers[-1]
        return self.layers[0] if self.embedding == LAYERSIZE else int(self.embedding) or None

    @property
    def reads_times(self) -> bool:
        """Whether training needs the times of the events, not their order alone."""
        return bool(self.dwell_time or self.dwell_weight)

    @property
    def dropout_sites(self) -> list[tuple[str, int, float]]:
        """(name, width, retain probability) of each dropout site in graph order: embed, then hidden0, hidden1, ..."""
        sites = []
        if self.dropout_p_embed > 0 and self.input_width is not None:
            sites.append(("embed", self.input_width, 1.0 - self.dropout_p_embed))
        if self.dropout_p_hidden > 0:
            sites += [(f"hidden{k}", units, 1.0 - self.dropout_p_hidden) for k, units in enumerate(self.layers)]
        return sites


OPTIONS: tuple[str, ...] = tuple(f.name for f in fields(Settings))


def whole_number(name: str, value: Any, least: int) -> int:
    """The argument ``name`` as an int. Raises ValueError unless it is a whole number of at least ``least``."""
    kind = _whole(f"a whole number of at least {least}", least)
    try:
        return kind.value(value)
    except (ValueError, OverflowError):
        raise NotAccepted.of(name, value, kind.accepted) from None
