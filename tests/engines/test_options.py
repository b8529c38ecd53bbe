"""The table of options: what is accepted and as what it is kept, what is refused and in which words."""

import inspect
import json
import math
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from engine_tools import PUBLISHED, refused

NAN, INF = math.nan, math.inf

ACCEPTED = {
    "loss": "top1, bpr, cross-entropy, xe_logit, top1-max or bpr-max",
    "final_act": "linear, relu, tanh, leaky-X, elu-X, selu-X-Y, softmax or softmax_logit",
    "hidden_act": "linear, relu, tanh, leaky-X, elu-X or selu-X-Y",
    "layers": "a list of one or more whole numbers of at least 1",
    **dict.fromkeys(["n_epochs", "n_sample"], "a whole number of at least 0"),
    "batch_size": "a whole number of at least 1",
    **dict.fromkeys(["dropout_p_hidden", "dropout_p_embed", "smoothing"], "a number with 0 <= value < 1"),
    "learning_rate": "a finite number above 0",
    **dict.fromkeys(["momentum", "lmbd", "grad_cap", "bpreg", "sigma", "logq"], "a finite number of at least 0"),
    "embedding": "a whole number of at least 0, or 'layersize',",
    "sample_alpha": "a finite number",
    **dict.fromkeys(["constrained_embedding", "init_as_normal", "train_random_order", "time_sort"], "True or False"),
    "adapt": "None, adagrad, rmsprop, adadelta or adam",
    **dict.fromkeys(["session_key", "item_key", "time_key"], "a column name"),
    "dtype": "float32 or float64",
    "seed": "a whole number from 0 to 4294967295",
    "dropout_seed": "a whole number from 1 to 2147462578",
}
NOT_NUMBERS = [None, "0.5", "", [], [0.5], True, False, np.True_, NAN, np.float32("nan"), INF, -INF, 1j, {}, object]
NOT_WHOLE = [*NOT_NUMBERS, 1.5, np.float64(2.5), -1, np.int64(-1), -1.0, -INF]
NOT_FLAGS = [None, "True", "yes", "", 2, -1, 0.5, NAN, [], np.int64(2)]

REFUSED = {
    "loss": ["hinge", "", None, "BPR", "bpr ", 0, True, ["bpr"], {}, NAN],
    "final_act": [
        "elu",
        "leaky",
        "leaky-",
        "leaky-a",
        "leaky-nan",
        "leaky-0.1-0.2",
        "selu-1",
        "selu-1-",
        "elu--",
        "Tanh",
    ]
    + ["softmax ", "", None, 5, ["tanh"], "selu-1-2-3", "sigmoid"],
    "hidden_act": ["softmax", "softmax_logit", "elu", "leaky", "selu-1", "", None, 5, ["tanh"], "gelu"],
    "layers": [
        [],
        (),
        5,
        np.int64(5),
        None,
        "5",
        [0],
        [-1],
        [1.5],
        [True],
        ["4"],
        [[4]],
        [None],
        [NAN],
        [INF],
        {4},
        4.0,
    ]
    + [np.array([]), np.array([[4]]), np.array([1.5]), (4, 0), [4, None], {}],
    "n_epochs": NOT_WHOLE,
    "n_sample": NOT_WHOLE,
    "batch_size": [*NOT_WHOLE, 0, 0.0, np.int32(0)],
    **{
        name: [*NOT_NUMBERS, 1, 1.0, -0.1, np.float32(1), -1, 2]
        for name in ("dropout_p_hidden", "dropout_p_embed", "smoothing")
    },
    "learning_rate": [*NOT_NUMBERS, 0, 0.0, -0.1, np.float64(0), -0.0, 10**400],
    **{
        name: [*NOT_NUMBERS, -0.1, -1, np.float32(-1e-9), -5e-324, 10**400]
        for name in ("momentum", "lmbd", "grad_cap", "bpreg", "sigma", "logq")
    },
    "embedding": [value for value in NOT_WHOLE if value != "layersize"] + ["layer", "Layersize", "4"],
    "sample_alpha": [*NOT_NUMBERS, 10**400, -(10**400)],
    **dict.fromkeys(("constrained_embedding", "init_as_normal", "train_random_order", "time_sort"), NOT_FLAGS),
    "adapt": ["sgd", "Adam", 0, False, [], ["adam"], {}, 1.0, NAN],
    **{name: ["", None, [], ["a"], {}] for name in ("session_key", "item_key", "time_key")},
    "dtype": ["float16", "float", "", None, np.dtype("float16"), np.dtype("int64"), 32, ["float32"], "Float32"],
    "seed": [*NOT_WHOLE, 4294967296, -1, 10**30],
    "dropout_seed": [*NOT_WHOLE, 0, 2147462579, 4294967295],
}

# Options whose value 0 says "not at all".
FROM_ZERO = (
    "dropout_p_hidden", "dropout_p_embed", "smoothing", "momentum", "lmbd", "grad_cap", "bpreg", "sigma", "logq",
)  # fmt: skip
KEPT = [  # option, given, kept
    *[("loss", loss, loss) for loss in ("top1", "bpr", "top1-max", "bpr-max")],
    ("loss", np.str_("bpr"), "bpr"),
    *[("final_act", act, act) for act in ("linear", "relu", "tanh", "leaky-0.1", "elu-1", "selu-1.05-1.67", "softmax")],
    ("final_act", "softmax_logit", "softmax_logit"),
    *[
        ("hidden_act", act, act)
        for act in ("linear", "relu", "tanh", "leaky-0.1", "elu-0.5", "selu-1-0.5", "leaky-1e-2")
    ],
    ("layers", [3, 4], [3, 4]),
    ("layers", (3,), [3]),
    ("layers", np.array([3, 4], np.int32), [3, 4]),
    ("layers", [np.int64(3), 4.0], [3, 4]),
    ("layers", np.array([3.0, 4.0]), [3, 4]),
    *[
        (name, given, 3)
        for name in ("n_epochs", "n_sample", "batch_size", "embedding", "seed", "dropout_seed")
        for given in (3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.float64(3))
    ],
    *[(name, 0, 0) for name in ("n_epochs", "n_sample", "embedding", "seed")],
    ("batch_size", 1, 1),
    ("embedding", "layersize", "layersize"),
    ("seed", 4294967295, 4294967295),
    ("dropout_seed", 1, 1),
    ("dropout_seed", 2147462578, 2147462578),
    *[
        (name, given, 0.5)
        for name in (*FROM_ZERO, "learning_rate", "sample_alpha")
        for given in (0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5), np.longdouble(0.5))
    ],
    *[(name, 0, 0) for name in FROM_ZERO],
    ("learning_rate", np.int64(2), 2),
    ("sample_alpha", -1.5, -1.5),
    ("sigma", np.int8(2), 2),
    *[
        (name, given, bool(given))
        for name in ("constrained_embedding", "init_as_normal", "train_random_order", "time_sort")
        for given in (True, False, 1, 0, np.True_, np.False_, np.int64(1), np.uint8(0))
    ],
    *[("adapt", given, None) for given in (None, "")],
    ("adapt", "adagrad", "adagrad"),
    ("adapt_params", [], []),
    ("adapt_params", (), []),
    ("adapt_params", np.array([]), []),
    *[(name, "Column with blanks ä", "Column with blanks ä") for name in ("session_key", "item_key", "time_key")],
    ("dtype", "float64", "float64"),
    ("dtype", np.dtype("float32"), "float32"),
    ("dtype", np.dtype("float64"), "float64"),
    ("dtype", np.str_("float64"), "float64"),
]

ONE_ENGINE = {
    "original": {
        "backend": ("c or jax", ["theano", "", None, "C", 0, ["c"]], ["c", "jax"]),
        "device": ("auto, cpu or gpu", ["cuda", "", None, "CPU", 0], ["auto", "cpu", "gpu"]),
    },
    "keras_port": {
        "steps_per_call": ("a whole number of at least 1", [*NOT_WHOLE, 0], [1, 32, np.int64(8), 8.0]),
        "devices": ("a whole number of at least 1", [*NOT_WHOLE, 0], [1, np.int64(1), 1.0]),
        "jit_compile": ("True or False", NOT_FLAGS, [True, False, 1, 0, np.True_, np.int64(0)]),
        "dwell_weight": ("a finite number of at least 0", [*NOT_NUMBERS, -0.1, 10**400], [0, 0.5, np.float32(0.5)]),
    },
}


def plain_python(value):
    """Whether a value holds Python's own types only."""
    if type(value) is list:
        return all(map(plain_python, value))
    return value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(engine, name):
    """Every bad value is refused by name, value and what is accepted, never by another error."""
    for value in REFUSED[name]:
        with refused(ValueError, f"{name}={value!r}: {ACCEPTED[name]} is accepted"):
            engine.GRU4Rec(**{name: value})


@pytest.mark.parametrize("name, given, kept", KEPT, ids=[f"{n}-{type(g).__name__}-{g!s:.20}" for n, g, _ in KEPT])
def test_kept(engine, name, given, kept):
    """Accepted values are kept as Python's own, of the option's type."""
    gru = engine.GRU4Rec(**{name: given})
    value = getattr(gru, name)
    assert value == kept and plain_python(value)
    if name in ACCEPTED and "whole number" in ACCEPTED[name] and not isinstance(kept, (str, list)):
        assert type(value) is int
    if ACCEPTED.get(name) == "True or False":
        assert type(value) is bool
    shown = gru.get_params()
    assert shown[name] == kept and plain_python(shown[name])
    assert json.loads(json.dumps(shown)) == shown


def test_options_of_one_engine(engine):
    kinds = {"True or False": bool, "a whole number of at least 1": int, "a finite number of at least 0": (int, float)}
    for name, (words, bad, good) in ONE_ENGINE[engine.name].items():
        for value in bad:
            with refused(ValueError, f"{name}={value!r}: {words} is accepted"):
                engine.GRU4Rec(**{name: value})
        for value in good:
            kept = getattr(engine.GRU4Rec(**{name: value}), name)
            assert kept == value and plain_python(kept) and isinstance(kept, kinds.get(words, str))


def test_dwell_time_of_keras_port():
    from keras_port.dwell import MOST_BUCKETS
    from keras_port.gru4rec import GRU4Rec

    words = f"a whole number from 0 to {MOST_BUCKETS} is accepted"
    for value in (*NOT_WHOLE, MOST_BUCKETS + 1):
        with refused(ValueError, f"dwell_time={value!r}: {words}"):
            GRU4Rec(dwell_time=value)
    for value in (0, MOST_BUCKETS, float(MOST_BUCKETS), np.int16(3)):
        assert GRU4Rec(dwell_time=value).dwell_time == value
        assert type(GRU4Rec(dwell_time=value).dwell_time) is int


@pytest.mark.parametrize(
    "adapt, count, good",
    [(None, 0, []), ("adagrad", 0, []), ("rmsprop", 1, [0.9]), ("adadelta", 1, [0.0]), ("adam", 2, [0.9, 0.999])],
)
def test_adapt_params(engine, adapt, count, good):
    """As many decay rates as the optimizer has, each in [0, 1)."""
    words = f"a list of as many numbers with 0 <= value < 1 as adapt={adapt!r} has ({count}) is accepted"
    bad = [good + [0.5], good[1:] if count else [0.9], 0.9, None, "0.9", {}, *([[0.5] * 3])]
    for wrong in (1.0, 1, -0.1, NAN, INF, True, np.True_, "0.9", None, [0.9]):
        bad += [good[1:] + [wrong]] if count else [[wrong]]
    for value in bad:
        with refused(ValueError, f"adapt_params={value!r}: {words}"):
            engine.GRU4Rec(adapt=adapt, adapt_params=value, learning_rate=1)
    for value in (good, tuple(good), np.array(good), np.array(good, np.float32), [np.float64(g) for g in good]):
        kept = engine.GRU4Rec(adapt=adapt, adapt_params=value, learning_rate=1).adapt_params
        assert type(kept) is list and plain_python(kept)
        np.testing.assert_allclose(kept, good, rtol=1e-6)


@pytest.mark.parametrize("value", [Decimal("0.5"), Fraction(1, 2)])
def test_other_numbers_are_kept_as_floats_or_refused(engine, value):
    """Numbers that JSON cannot hold never stay in a model."""
    try:
        gru = engine.GRU4Rec(learning_rate=value)
    except ValueError as refusal:
        assert str(refusal) == f"learning_rate={value!r}: a finite number above 0 is accepted"
    else:
        assert type(gru.learning_rate) is float and gru.learning_rate == 0.5


def test_no_negative_item(engine):
    with refused(ValueError, "batch_size=1: at least 2 with n_sample=0 is accepted"):
        engine.GRU4Rec(batch_size=1, n_sample=0)
    assert engine.GRU4Rec(batch_size=2, n_sample=0).n_sample == 0


@pytest.mark.parametrize("rate, shown", [(0.1, "0.1"), (0.5, "0.5"), (2.0, "2.0")])
def test_adadelta_warns(engine, rate, shown):
    words = f"adadelta has no learning rate: learning_rate={shown} is taken as 1.0"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gru = engine.GRU4Rec(adapt="adadelta", adapt_params=[0.9], learning_rate=rate)
    assert [str(w.message) for w in caught] == [words]
    assert issubclass(caught[0].category, UserWarning)
    assert caught[0].filename == __file__, "the warning names the caller's line"
    assert gru.adapt == "adadelta"


def test_adadelta_warns_from_set_params(engine):
    gru = engine.GRU4Rec()
    with pytest.warns(
        UserWarning, match="^adadelta has no learning rate: learning_rate=0.1 is taken as 1.0$"
    ) as caught:
        gru.set_params(adapt="adadelta", adapt_params=[0.9])
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize(
    "options, words",
    [
        ({"loss": "cross-entropy"}, "loss='cross-entropy' is meant with final_act='softmax', not 'linear'"),
        (
            {"loss": "cross-entropy", "final_act": "softmax_logit"},
            "loss='cross-entropy' is meant with final_act='softmax', not 'softmax_logit'",
        ),
        ({"loss": "xe_logit"}, "loss='xe_logit' is meant with final_act='softmax_logit', not 'linear'"),
        (
            {"loss": "xe_logit", "final_act": "softmax"},
            "loss='xe_logit' is meant with final_act='softmax_logit', not 'softmax'",
        ),
    ],
)
def test_cross_entropy_warns(engine, options, words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        engine.GRU4Rec(**options)
    assert [str(w.message) for w in caught] == [words]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "cross-entropy", "final_act": "softmax"},
        {"loss": "xe_logit", "final_act": "softmax_logit"},
        {"adapt": "adadelta", "adapt_params": [0.9], "learning_rate": 1},
        {"adapt": "adadelta", "adapt_params": [0.9], "learning_rate": np.float32(1)},
    ],
)
def test_nothing_to_warn_of(engine, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gru = engine.GRU4Rec(**options)
        gru.set_params(n_epochs=3)
    assert gru.n_epochs == 3


def test_unknown_option(engine):
    with pytest.raises(TypeError, match="n_layers"):
        engine.GRU4Rec(n_layers=3)


def test_published_order(engine):
    """The options stand in the published order, by place too; the later ones by name only."""
    options = inspect.signature(engine.GRU4Rec).parameters
    assert list(options)[: len(PUBLISHED)] == PUBLISHED
    assert {p.kind for name, p in options.items() if name not in PUBLISHED} == {inspect.Parameter.KEYWORD_ONLY}
    gru = engine.GRU4Rec("bpr", "tanh", "relu", [7], 3, 5, 0.1, 0.2, 0.3)
    assert [getattr(gru, name) for name in PUBLISHED[:9]] == ["bpr", "tanh", "relu", [7], 3, 5, 0.1, 0.2, 0.3]
    with pytest.raises(TypeError):
        engine.GRU4Rec(*[engine.GRU4Rec().get_params()[name] for name in PUBLISHED], 0.0)


def test_get_params(engine):
    """Every option in order, as attributes too, in JSON values, enough to make the same model."""
    gru = engine.new(layers=(3, 4), adapt="adam", adapt_params=np.array([0.5, 0.75]), dtype=np.dtype("float64"))
    shown = gru.get_params()
    assert list(shown) == list(inspect.signature(engine.GRU4Rec).parameters)
    assert all(plain_python(value) for value in shown.values())
    assert {name: getattr(gru, name) for name in shown} == shown
    assert engine.GRU4Rec(**shown).get_params() == shown
    assert engine.GRU4Rec(**json.loads(json.dumps(shown))).get_params() == shown
    assert engine.GRU4Rec().set_params(**shown).get_params() == shown


def test_defaults(engine):
    shown = engine.GRU4Rec().get_params()
    defaults = {name: p.default for name, p in inspect.signature(engine.GRU4Rec).parameters.items()}
    assert {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()} == shown
    assert shown["layers"] == [100] and shown["loss"] == "bpr-max" and shown["learning_rate"] == 0.1


def test_no_list_is_shared(engine):
    """A list that a user gave or got is his own: what he does to it changes no model."""
    mine = [3, 4]
    gru = engine.GRU4Rec(layers=mine)
    mine.append(5)
    gru.get_params()["layers"].append(6)
    gru.layers.append(7)
    gru.adapt_params.append(0.5)
    assert gru.layers == gru.get_params()["layers"] == [3, 4] and gru.adapt_params == []
    assert engine.GRU4Rec().layers == [100]
