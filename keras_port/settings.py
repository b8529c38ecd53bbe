"""The options of GRU4Rec, their defaults and their validation."""

import math
from dataclasses import asdict, dataclass, field, fields

from keras_port import activations, dwell

LOSSES = ("top1", "bpr", "cross-entropy", "xe_logit", "top1-max", "bpr-max")
ADAPT_PARAMS = {"": 0, "adagrad": 0, "rmsprop": 1, "adadelta": 1, "adam": 2}  # optimizer -> number of decay rates
DTYPES = ("float32", "float64")
LAYERSIZE = "layersize"  # as ``embedding``: as wide as the first layer
_TRUE, _FALSE = ("True", "1"), ("False", "0")


@dataclass
class Settings:
    """Options of a model: the published order (arXiv 1511.06939 and 1706.03847), the later ones, the port's own."""

    loss: str = "bpr-max"
    final_act: str = "linear"
    hidden_act: str = "tanh"
    layers: list = field(default_factory=lambda: [100])
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
    adapt_params: list = field(default_factory=list)
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

    @property
    def input_mode(self):
        """How an item enters the first layer: 'constrained' (wins), 'separate' or 'none' (a row of Wx0)."""
        return "constrained" if self.constrained_embedding else "separate" if self.embedding else "none"

    @property
    def input_width(self):
        """Width of the first layer's input vector; None without an embedding."""
        separate = self.layers[0] if self.embedding == LAYERSIZE else self.embedding
        return {"constrained": self.layers[-1], "separate": separate, "none": None}[self.input_mode]

    @property
    def reads_times(self):
        """Whether training needs the times of the events, not their order alone."""
        return bool(self.dwell_time or self.dwell_weight)

    def to_json(self):
        """The options as plain JSON values."""
        return asdict(self)

    def validate(self):
        """Raise ValueError naming the first option whose value is not accepted."""
        _one_of("loss", self.loss, LOSSES)
        _one_of("adapt", self.adapt or "", ADAPT_PARAMS)
        _one_of("dtype", self.dtype, DTYPES)
        activations.final(self.final_act)
        activations.hidden(self.hidden_act)
        if not isinstance(self.layers, (list, tuple)) or not self.layers or not all(_is_count(w) for w in self.layers):
            raise ValueError(f"layers={self.layers!r}: a list of one or more positive integers is accepted")
        for name, least in (("n_epochs", 1), ("batch_size", 1), ("n_sample", 0)):
            if not _is_count(getattr(self, name), least):
                raise ValueError(f"{name}={getattr(self, name)!r}: an integer of at least {least} is accepted")
        if self.embedding != LAYERSIZE and not _is_count(self.embedding, 0):
            raise ValueError(f"embedding={self.embedding!r}: an integer of at least 0, or {LAYERSIZE!r}, is accepted")
        if not _is_count(self.dwell_time, 0) or self.dwell_time > dwell.MOST_BUCKETS:
            raise ValueError(f"dwell_time={self.dwell_time!r}: an integer from 0 to {dwell.MOST_BUCKETS} is accepted")
        for name in ("seed", "dropout_seed"):
            value = getattr(self, name)
            least = 1 if name == "dropout_seed" else 0  # MRG31k3p stays at zero from an all-zero state
            if not _is_count(value, least) or value >= 2**31 - 21069:
                raise ValueError(f"{name}={value!r}: an integer from {least} to 2147462578 is accepted")
        for name in ("dropout_p_hidden", "dropout_p_embed"):
            _in_range(name, getattr(self, name), "0 <= value < 1", lambda v: 0 <= v < 1)
        for name in ("momentum", "lmbd", "smoothing", "grad_cap", "bpreg", "sigma", "logq", "dwell_weight"):
            _in_range(name, getattr(self, name), "a number of at least 0", lambda v: v >= 0)
        _in_range("learning_rate", self.learning_rate, "a number above 0", lambda v: v > 0)
        _in_range("sample_alpha", self.sample_alpha, "a finite number", lambda v: True)
        for name in ("constrained_embedding", "init_as_normal", "train_random_order", "time_sort"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r}: True or False is accepted")
        wanted = ADAPT_PARAMS[self.adapt or ""]
        if len(self.adapt_params) < wanted or not all(_is_number(v) and 0 <= v < 1 for v in self.adapt_params):
            raise ValueError(
                f"adapt_params={self.adapt_params!r}: {self.adapt} needs {wanted} decay rate(s), each in [0, 1)"
            )
        if self.batch_size < 2 and not self.n_sample:
            raise ValueError("batch_size=1 with n_sample=0 leaves no negative item: raise one of the two")


def parse(name, text):
    """The value of option ``name`` from ``text``: lists as ``100/50``, booleans as True/1/False/0.

    Raises ValueError for an unknown name or a text that does not fit.
    """
    defaults = {f.name: f for f in fields(Settings)}
    if name not in defaults:
        raise ValueError(f"unknown parameter {name!r}: {', '.join(defaults)} are accepted")
    kind = {"layers": "ints", "adapt_params": "floats"}.get(name) or type(getattr(Settings(), name)).__name__
    text = str(text)
    try:
        if kind == "ints":
            return [int(part) for part in text.split("/")]
        if kind == "floats":
            return [float(part) for part in text.split("/")] if text else []
        if kind == "bool":
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text]
        if name == "adapt" and text == "None":
            return None
        if name == "embedding" and text == LAYERSIZE:
            return text
        return {"int": int, "float": float, "str": str}[kind](text)
    except (KeyError, ValueError):
        accepted = {"bool": "True, 1, False or 0", "ints": "integers split by /", "floats": "numbers split by /"}.get(
            kind, kind
        )
        accepted = f"{accepted} or {LAYERSIZE}" if name == "embedding" else accepted
        raise ValueError(f"{name}={text!r}: {accepted} is accepted") from None


def _is_count(value, least=1):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _in_range(name, value, accepted, test):
    if not _is_number(value) or not test(value):
        raise ValueError(f"{name}={value!r}: {accepted} is accepted")


def _one_of(name, value, accepted):
    if value not in accepted:
        raise ValueError(f"{name}={value!r}: one of {', '.join(map(repr, accepted))} is accepted")
