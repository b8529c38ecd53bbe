"""Members of the class, options of the constructor, their defaults and values."""

import inspect
import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gru4rec.engines import NAMES
from parity.doctor.findings import Doctor, Option, Outcome, in_words

# The published constructor, in its order, and what every engine takes besides.
PUBLISHED: dict[str, Any] = dict(
    loss="bpr-max",
    final_act="linear",
    hidden_act="tanh",
    layers=[100],
    n_epochs=10,
    batch_size=32,
    dropout_p_hidden=0.0,
    dropout_p_embed=0.0,
    learning_rate=0.1,
    momentum=0.0,
    lmbd=0.0,
    embedding=0,
    n_sample=2048,
    sample_alpha=0.75,
    smoothing=0.0,
    constrained_embedding=False,
    adapt="adagrad",
    adapt_params=[],
    grad_cap=0.0,
    bpreg=1.0,
    sigma=0.0,
    init_as_normal=False,
    train_random_order=False,
    time_sort=True,
    session_key="SessionId",
    item_key="ItemId",
    time_key="Time",
)

GIVEN = dict(dtype="float32", seed=42, dropout_seed=12345)  # by the harness, always

# Values of the options, each tried alone beside the base.
VALUES: dict[str, list[dict[str, Any]]] = {
    "loss": [
        dict(loss=loss, final_act=act)
        for loss, act in (
            ("top1", "tanh"),
            ("bpr", "linear"),
            ("cross-entropy", "softmax"),
            ("xe_logit", "softmax_logit"),
            ("top1-max", "linear"),
            ("bpr-max", "linear"),
        )
    ],
    "final_act": [dict(final_act=act) for act in ("linear", "relu", "tanh", "leaky-0.1", "elu-0.5", "selu-1.0-1.0")],
    "hidden_act": [dict(hidden_act=act) for act in ("tanh", "relu", "linear", "leaky-0.1", "elu-0.5", "selu-1.0-1.0")],
    "layers": [dict(layers=[6]), dict(layers=[6, 5])],
    "embedding": [dict(embedding=5), dict(embedding="layersize")],
    "adapt": [
        dict(adapt=None),
        dict(adapt="adagrad"),
        dict(adapt="rmsprop", adapt_params=[0.9]),
        dict(adapt="adadelta", adapt_params=[0.9], learning_rate=1.0),
        dict(adapt="adam", adapt_params=[0.9, 0.999]),
    ],
    **{
        name: [{name: value}]
        for name, value in dict(
            dropout_p_hidden=0.3,
            dropout_p_embed=0.3,
            momentum=0.3,
            lmbd=0.01,
            n_sample=0,
            sample_alpha=0.0,
            constrained_embedding=True,
            grad_cap=0.5,
            bpreg=0.5,
            sigma=0.05,
            init_as_normal=True,
            train_random_order=True,
            time_sort=False,
            session_key="s",
            item_key="i",
            time_key="t",
        ).items()
    },
    "smoothing": [dict(loss="cross-entropy", final_act="softmax", smoothing=0.1)],
}

# Every member of the protocol: what its absence costs; "" where nothing can be compared without it.
MEMBERS: dict[str, str] = {
    "prepare": "",
    "batches": "",
    "get_weights": "",
    "set_weights": "",
    "get_hidden": "",
    "set_hidden": "",
    "train_step": "",
    "scores": "",
    "get_optimizer_state": "",
    "set_optimizer_state": "",
    "dropout_sites": "",
    "draw_masks": "the check dropout is not covered",
    "build": "nothing of a verdict; `prepare` does it",
    "fit": "the checks fit and training are not covered: what people run stays unknown",
    "save": "the check weights-transfer is not covered",
    "load": "the check weights-transfer is not covered",
    "computed_on": "the report says 'not stated by the engine' for its device",
    "evaluation": "the checks ranks and metrics are not covered",
}

BASE = dict(
    layers=[6],
    batch_size=4,
    n_sample=5,
    n_epochs=2,
    learning_rate=0.1,
    sample_alpha=0.75,
    bpreg=1.0,
    hidden_act="tanh",
    adapt="adagrad",
)

_MORE: tuple[dict[str, Any], ...] = (
    {"momentum": 0.3}, {}, {"adapt": None}, {"n_sample": 0}, {"n_sample": 0, "adapt": None},
)  # fmt: skip
# Tried in this order; the first that the engine takes is examined.
BASES = [
    {**BASE, "loss": loss, "final_act": act, **more}
    for (loss, act), more in itertools.product(
        (("bpr-max", "linear"), ("cross-entropy", "softmax"), ("top1", "tanh"), ("bpr", "linear")),
        _MORE,
    )
]


def members(doctor: Doctor) -> None:
    """What the class has, and whether it can be called."""
    cls = doctor.spec.cls
    for name, costs in MEMBERS.items():
        if name in ("computed_on", "evaluation"):
            there = hasattr(cls, name) or doctor.spec.name in NAMES  # the harness knows what those compute on
            there = there if name == "computed_on" else doctor.spec.evaluation is not None
        else:
            there = callable(getattr(cls, name, None))
        outcome = Outcome.MISSING if costs else Outcome.WRONG
        advice = costs or "every engine needs it: see the protocol, parity/protocol.py"
        doctor.say("members", name, there, advice, "" if there else "not there", outcome)


def choose_base(doctor: Doctor) -> None:
    """The first of :data:`BASES` that the engine takes, in float64 where it can."""
    reasons: list[str] = []
    for dtype, params in itertools.product(("float64", "float32"), BASES):
        try:
            doctor.spec.create(params, dtype)
        except Exception as problem:  # an engine under test may raise anything
            reasons.append(f"{type(problem).__name__}: {problem}")
            continue
        doctor.base, doctor.dtype = params, dtype
        doctor.say("options", "a setting to examine", True, found=f"{in_words(params)}, {dtype}")
        return
    raise ValueError(
        f"{doctor.spec.name}: its constructor refused all {len(reasons)} settings that were tried; the last: "
        f"{reasons[-1]}"
    )


def published_options(doctor: Doctor) -> list[Option]:
    """Which options the constructor takes, and with which defaults."""
    parameters: Mapping[str, inspect.Parameter] = {}
    with suppress(TypeError, ValueError):  # of a class that does not say
        parameters = inspect.signature(doctor.spec.cls).parameters
    takes_any = not parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    shown = _as_attributes(doctor)
    table = [_option(doctor, name, value, parameters, takes_any, shown) for name, value in PUBLISHED.items()]
    for name, value in GIVEN.items():
        row = _option(doctor, name, value, parameters, takes_any, shown)
        if row.outcome == Outcome.WRONG:
            row = row._replace(outcome=Outcome.OK, remark=f"differs ({row.default}); the harness always gives it")
        if row.outcome == Outcome.MISSING:
            row = row._replace(outcome=Outcome.WRONG, remark="needed: the harness always gives it")
        table.append(row)
    lacking = [row.name for row in table if row.outcome == Outcome.MISSING]
    differing = [row.name for row in table if row.outcome == Outcome.WRONG]
    doctor.say(
        "options",
        "names",
        not lacking,
        "settings that use them are not covered",
        f"lacking: {', '.join(lacking)}" if lacking else f"all {len(PUBLISHED)}",
        Outcome.MISSING,
    )
    doctor.say(
        "options",
        "defaults",
        not differing,
        "a setting that leaves them out means the published default: take that, or the runs differ",
        f"other ones: {', '.join(differing)}" if differing else "no published one differs",
    )
    return table


def _as_attributes(doctor: Doctor) -> Any:
    """An engine made without options, whose attributes may tell its defaults; None where it cannot be made."""
    try:
        return doctor.spec.cls(**doctor.spec.options)
    except Exception:  # an engine under test may raise anything; other options tell more
        return None


def _option(
    doctor: Doctor, name: str, published: Any, parameters: Mapping[str, inspect.Parameter], takes_any: bool, shown: Any
) -> Option:
    own = parameters.get(name)
    if own is None and not takes_any:
        return Option(name, repr(published), "", Outcome.MISSING, "not an option of it")
    if own is None:
        try:
            doctor.spec.create(doctor.base | ({} if name in GIVEN else {name: published}), doctor.dtype)
        except Exception as problem:  # an engine under test may raise anything
            why = f"refused: {type(problem).__name__}: {problem}"
            if name not in doctor.base:  # its published default beside the base's values
                return Option(name, repr(published), "", Outcome.MISSING, why)
        if not hasattr(shown, name):
            return Option(name, repr(published), "not visible", Outcome.OK, "taken by **options")
        default = getattr(shown, name)
    else:
        if own.default is own.empty:
            return Option(name, repr(published), "none", Outcome.WRONG, "has no default")
        default = own.default
    same = _same_value(default, published)
    remark = "" if same else f"published: {published!r}"
    return Option(name, repr(published), repr(default), Outcome.OK if same else Outcome.WRONG, remark)


def _same_value(a: Any, b: Any) -> bool:
    """Equal, a list like a tuple, no parameters like an empty list."""
    if isinstance(b, list):
        return list(a) == b if isinstance(a, (list, tuple)) else a is None and not b
    return (isinstance(a, type(b)) and a == b) or (not isinstance(a, (str, bool)) and a == b)


def option_values(doctor: Doctor) -> dict[str, list[tuple[str, bool]]]:
    """Which published values the constructor takes, by option, each tried beside the base."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for name, tries in VALUES.items():
        for params in tries:
            merged = doctor.base | ({"final_act": "linear", "loss": "bpr"} if name == "final_act" else {}) | params
            taken = _takes(doctor, merged)
            if not taken and name == "final_act":
                taken = _takes(doctor, doctor.base | params)
            found.setdefault(name, []).append((in_words(params), taken))
    refused = [text for tries in found.values() for text, taken in tries if not taken]
    doctor.say(
        "options",
        "values of options",
        not refused,
        "settings and recordings with them are not covered",
        f"{len(refused)} of {sum(map(len, found.values()))} tried values are refused: see the table"
        if refused
        else f"all {sum(map(len, found.values()))} that were tried are taken",
        Outcome.MISSING,
    )
    return found


def _takes(doctor: Doctor, params: Mapping[str, Any]) -> bool:
    try:
        doctor.spec.create(params, doctor.dtype)
    except Exception:  # an engine under test may raise anything; the probes of a part show what
        return False
    return True
