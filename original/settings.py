"""The constructor's options: what each accepts, and how it is read from a string."""

import math
import numbers
import warnings

from original import activations
from original.losses import LOSSES
from original.optimizers import OPTIMIZERS

LIST_OPTIONS = {"layers": int, "adapt_params": float}
LAYERSIZE = "layersize"  # an embedding as wide as the first layer


def _number(low=-math.inf, high=math.inf, whole=False, open_high=False):
    def accepts(value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            return False
        if whole and int(value) != value:
            return False
        return low <= value and (value < high if open_high else value <= high)

    return accepts


_POSITIVE_WHOLE = _number(1, whole=True)
_NOT_NEGATIVE = _number(0)
_PROBABILITY = _number(0, 1, open_high=True)


def _is_embedding(value):
    return value == LAYERSIZE if isinstance(value, str) else _number(0, whole=True)(value)


def _is_flag(value):
    return isinstance(value, bool) or type(value).__name__ == "bool_" or value in (0, 1)


def _is_layers(value):
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(_POSITIVE_WHOLE(L) for L in value)


def _is_parameters(value):
    return isinstance(value, (list, tuple)) and all(_number(0, 1)(b) for b in value)


def _is_column(value):
    return isinstance(value, str) and value != ""


# option: (test, what is accepted)
RULES = {
    "loss": (lambda v: v in LOSSES, "one of " + ", ".join(LOSSES)),
    "final_act": (lambda v: activations.parse(v, softmaxes=True) is not None, "one of " + activations.FINAL),
    "hidden_act": (lambda v: activations.parse(v) is not None, "one of " + activations.HIDDEN),
    "layers": (_is_layers, "a list of one or more numbers of units"),
    "n_epochs": (_number(0, whole=True), "a whole number, 0 or more"),
    "batch_size": (_POSITIVE_WHOLE, "a whole number, 1 or more"),
    "dropout_p_hidden": (_PROBABILITY, "a probability, 0 <= p < 1"),
    "dropout_p_embed": (_PROBABILITY, "a probability, 0 <= p < 1"),
    "learning_rate": (_number(), "a number"),
    "momentum": (_NOT_NEGATIVE, "a number, 0 or more"),
    "lmbd": (_NOT_NEGATIVE, "a number, 0 or more"),
    "embedding": (_is_embedding, f"a whole number of units, 0 for none, or {LAYERSIZE!r} for layers[0]"),
    "n_sample": (_number(0, whole=True), "a whole number, 0 or more"),
    "sample_alpha": (_number(), "a number"),
    "smoothing": (_number(0, 1), "a number from 0 to 1"),
    "constrained_embedding": (_is_flag, "True or False"),
    "adapt": (
        lambda v: v in ("", None) or (isinstance(v, str) and v in OPTIMIZERS),
        "one of adagrad, rmsprop, adadelta, adam, or None for plain SGD",
    ),
    "adapt_params": (_is_parameters, "a list of numbers from 0 to 1"),
    "grad_cap": (_NOT_NEGATIVE, "a number, 0 for no cap"),
    "bpreg": (_number(), "a number"),
    "sigma": (_NOT_NEGATIVE, "a number, 0 for sqrt(6/(rows+cols))"),
    "init_as_normal": (_is_flag, "True or False"),
    "train_random_order": (_is_flag, "True or False"),
    "time_sort": (_is_flag, "True or False"),
    "session_key": (_is_column, "a column name"),
    "item_key": (_is_column, "a column name"),
    "time_key": (_is_column, "a column name"),
    "logq": (_NOT_NEGATIVE, "a number, 0 for no correction"),
    "dtype": (lambda v: v in ("float32", "float64"), "float32 or float64"),
    "seed": (_number(0, 2**32 - 1, whole=True), "a whole number from 0 to 2**32-1"),
    "dropout_seed": (_number(1, 2**31 - 1, whole=True), "a whole number from 1 to 2**31-1"),
    "backend": (lambda v: v in ("c", "jax"), "c or jax"),
    "device": (lambda v: v in ("auto", "cpu", "gpu"), "auto, cpu or gpu"),
}


def check(model):
    """Check every option of ``model``. Raises ValueError naming the option, its value and what is accepted."""
    for name, (accepts, accepted) in RULES.items():
        value = getattr(model, name)
        if not accepts(value):
            raise ValueError(f"{name}={value!r}: accepted is {accepted}")
    needed = OPTIMIZERS[model.adapt or None].n_params
    if len(model.adapt_params) != needed and (needed or model.adapt_params):
        raise ValueError(f"adapt_params={model.adapt_params!r}: adapt={model.adapt!r} takes {needed} of them")
    if model.adapt == "adadelta" and model.learning_rate != 1.0:
        warnings.warn(f"adadelta has no learning rate: learning_rate={model.learning_rate} is set to 1.0", stacklevel=3)
        model.learning_rate = 1.0
    meant = {"cross-entropy": "softmax", "xe_logit": "softmax_logit"}.get(model.loss)
    if meant and model.final_act != meant:
        warnings.warn(f"loss={model.loss!r} is meant with final_act={meant!r}, not {model.final_act!r}", stacklevel=3)


def embedding_units(settings):
    """Units of a separate item embedding, 0 for none."""
    return settings.layers[0] if settings.embedding == LAYERSIZE else settings.embedding


def from_string(name, text, default):
    """The value of option ``name`` written as ``text``: lists as ``100/50``, booleans as True, 1, False or 0.

    ``default`` is the option's default, which tells a number from a text.
    """
    try:
        if name in LIST_OPTIONS:
            return [LIST_OPTIONS[name](part) for part in text.split("/") if part != ""]
        if isinstance(default, bool):
            return {"True": True, "1": True, "False": False, "0": False}[text]
        if name == "adapt":
            return None if text in ("", "None") else text
        if name == "embedding" and text == LAYERSIZE:
            return text
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (ValueError, KeyError):
        accepted = "True, 1, False or 0" if isinstance(default, bool) else RULES[name][1]
        raise ValueError(f"{name}={text!r}: accepted is {accepted}") from None
    return text
