"""set_params: typed values and texts, validated together, rolled back, refused once the model is built."""

import numpy as np
import pytest
from engine_tools import refused
from test_options import ACCEPTED

TEXTS = [  # option, text, value
    ("layers", "100/50", [100, 50]),
    ("layers", "7", [7]),
    *[("time_sort", text, value) for text, value in (("True", True), ("1", True), ("False", False), ("0", False))],
    ("constrained_embedding", "1", True),
    ("adapt", "None", None),
    ("adapt", "", None),
    ("adapt", "adagrad", "adagrad"),
    ("n_epochs", "0", 0),
    ("n_epochs", "12", 12),
    ("batch_size", "64", 64),
    ("learning_rate", "0.05", 0.05),
    ("learning_rate", "1e-3", 0.001),
    ("learning_rate", "2", 2.0),
    ("sample_alpha", "-0.5", -0.5),
    ("embedding", "layersize", "layersize"),
    ("embedding", "12", 12),
    ("loss", "top1", "top1"),
    ("final_act", "elu-0.5", "elu-0.5"),
    ("item_key", "Product", "Product"),
    ("dtype", "float64", "float64"),
    ("seed", "4294967295", 4294967295),
]
BAD_TEXTS = [
    ("layers", "100,50"),
    ("layers", ""),
    ("layers", "0"),
    ("layers", "4/"),
    ("layers", "1.5"),
    ("layers", "-4"),
    ("time_sort", "yes"),
    ("time_sort", "2"),
    ("time_sort", ""),
    ("n_epochs", "2.5"),
    ("n_epochs", "-1"),
    ("n_epochs", "nan"),
    ("n_epochs", "True"),
    ("n_epochs", ""),
    ("n_epochs", "ten"),
    ("batch_size", "0"),
    ("learning_rate", "0"),
    ("learning_rate", "nan"),
    ("learning_rate", "inf"),
    ("learning_rate", "0,1"),
    ("learning_rate", ""),
    ("dropout_p_hidden", "1"),
    ("sample_alpha", "1e999"),
    ("embedding", "layer"),
    ("embedding", "-1"),
    ("loss", "hinge"),
    ("hidden_act", "softmax"),
    ("adapt", "sgd"),
    ("dtype", "float16"),
    ("seed", "-1"),
    ("seed", "4294967296"),
    ("dropout_seed", "0"),
    ("session_key", ""),
]


@pytest.mark.parametrize("name, text, value", TEXTS)
def test_text(engine, name, text, value):
    gru = engine.GRU4Rec()
    assert gru.set_params(**{name: text}) is gru
    assert getattr(gru, name) == value and type(getattr(gru, name)) is type(value)


@pytest.mark.parametrize("name, text", BAD_TEXTS)
def test_bad_text(engine, name, text):
    """The words are those of a bad value, with the text as it was given; nothing is set."""
    gru = engine.GRU4Rec()
    before = gru.get_params()
    with refused(ValueError, f"{name}={text!r}: {ACCEPTED[name]} is accepted"):
        gru.set_params(grad_cap="3", **{name: text})
    assert gru.get_params() == before


@pytest.mark.parametrize("text", ["0.9/0.999/0.5", "0.9", "a/b", "0.9/1", "0.9,0.999", "0.9/nan"])
def test_bad_text_of_decay_rates(engine, text):
    gru = engine.GRU4Rec()
    words = "a list of as many numbers with 0 <= value < 1 as adapt='adam' has (2) is accepted"
    with refused(ValueError, f"adapt_params={text!r}: {words}"):
        gru.set_params(adapt="adam", adapt_params=text)
    assert gru.adapt == "adagrad" and gru.adapt_params == []


def test_typed_values(engine):
    gru = engine.GRU4Rec()
    gru.set_params(layers=np.array([3, 4]), n_epochs=np.int64(2), time_sort=np.False_, dtype=np.dtype("float64"))
    assert (gru.layers, gru.n_epochs, gru.time_sort, gru.dtype) == ([3, 4], 2, False, "float64")
    assert [type(v) for v in (gru.layers, gru.n_epochs, gru.time_sort, gru.dtype)] == [list, int, bool, str]


@pytest.mark.parametrize("texts", [False, True])
def test_validated_together(engine, texts):
    """Options that fit only with each other are set in one call, whatever their order."""
    params = {"adapt": "adam", "adapt_params": "0.9/0.999" if texts else [0.9, 0.999]}
    for names in (["adapt", "adapt_params"], ["adapt_params", "adapt"]):
        gru = engine.GRU4Rec().set_params(**{name: params[name] for name in names})
        assert (gru.adapt, gru.adapt_params) == ("adam", [0.9, 0.999])
    with refused(ValueError, "batch_size=1: at least 2 with n_sample=0 is accepted"):
        engine.GRU4Rec().set_params(batch_size=1, n_sample=0)


def test_lone_optimizer(engine):
    """An optimizer without its decay rates is refused, and the message is about the decay rates."""
    gru = engine.GRU4Rec()
    words = "adapt_params=[]: a list of as many numbers with 0 <= value < 1 as adapt='rmsprop' has (1) is accepted"
    with refused(ValueError, words):
        gru.set_params(adapt="rmsprop")
    assert gru.adapt == "adagrad"


@pytest.mark.parametrize("bad", [{"learning_rate": -1}, {"loss": "hinge"}, {"layers": "x"}, {"no_such": 1}])
@pytest.mark.parametrize("first", [True, False])
def test_rolled_back(engine, bad, first):
    gru = engine.new()
    before = gru.get_params()
    good = {"n_epochs": 7, "momentum": 0.5, "time_sort": "0"}
    with pytest.raises(ValueError, match=next(iter(bad))):
        gru.set_params(**({**bad, **good} if first else {**good, **bad}))
    assert gru.get_params() == before
    assert engine.GRU4Rec(**before).get_params() == before


def test_unknown(engine):
    names = ", ".join(engine.GRU4Rec().get_params())
    with refused(ValueError, f"n_layers: no option of GRU4Rec; {names} are accepted"):
        engine.GRU4Rec().set_params(n_layers=3)
    with refused(ValueError, f"n_layers: no option of GRU4Rec; {names} are accepted"):
        engine.GRU4Rec().set_params(n_layers="3")


def test_attributes_go_through_set_params(engine):
    gru = engine.GRU4Rec()
    gru.n_epochs = np.int64(3)
    assert gru.n_epochs == 3 and type(gru.n_epochs) is int and gru.get_params()["n_epochs"] == 3
    with refused(ValueError, "n_epochs=-1: a whole number of at least 0 is accepted"):
        gru.n_epochs = -1
    with refused(ValueError, "layers=[]: a list of one or more whole numbers of at least 1 is accepted"):
        gru.layers = []
    assert gru.n_epochs == 3 and gru.layers == [100]
    gru.layers = "6/5"
    assert gru.layers == [6, 5]


def test_set_options_are_those_that_are_built(engine):
    gru = engine.new().set_params(layers="3/2", dtype="float64")
    gru.build(5)
    weights = gru.get_weights()
    assert weights["Wh1"].shape == (2, 2) and weights["Wy"].shape == (5, 2)
    assert {str(value.dtype) for value in weights.values()} == {"float64"}


# Once the model is built.

OTHER = {
    "loss": "bpr",
    "final_act": "tanh",
    "hidden_act": "relu",
    "layers": [5],
    "batch_size": 4,
    "dropout_p_hidden": 0.5,
    "dropout_p_embed": 0.5,
    "learning_rate": 0.2,
    "momentum": 0.5,
    "lmbd": 0.5,
    "embedding": 3,
    "n_sample": 5,
    "sample_alpha": 0.5,
    "smoothing": 0.5,
    "constrained_embedding": True,
    "adapt": None,
    "grad_cap": 0.5,
    "bpreg": 0.5,
    "sigma": 0.5,
    "init_as_normal": True,
    "train_random_order": True,
    "time_sort": False,
    "session_key": "S",
    "item_key": "I",
    "time_key": "T",
    "logq": 0.5,
    "dtype": "float64",
    "seed": 43,
    "dropout_seed": 3,
}
OTHER_OF = {
    "original": {"backend": "c", "device": "cpu"},
    "keras_port": {"dwell_time": 3, "dwell_weight": 0.5, "steps_per_call": 3, "jit_compile": True},
}


@pytest.fixture(scope="module")
def built(engine):
    gru = engine.new()
    gru.build(6)
    return gru


def test_built(engine, built):
    """Every option but n_epochs is fixed; one that is refused leaves all as it was."""
    before = built.get_params()
    others = {**OTHER, **OTHER_OF[engine.name]}
    # devices: of JAX alone, see the tests of keras_port.distribution
    assert set(others) == set(before) - {"n_epochs", "adapt_params", "devices"}
    for name, value in others.items():
        words = f"{name}={value!r}: the model is built with {before[name]!r}; a new model takes other options"
        with refused(RuntimeError, words):
            built.set_params(**{"n_epochs": 9, name: value})
        with refused(RuntimeError, words):
            setattr(built, name, value)
        assert built.get_params() == before


def test_built_text(built):
    with pytest.raises(RuntimeError, match=r"^learning_rate=.*: the model is built with 0\.1; a new model takes"):
        built.set_params(learning_rate="0.2")
    assert built.learning_rate == 0.1


def test_built_takes_the_same_values(built):
    """All that get_params gives, and the same values as texts or of other types, change nothing."""
    before = built.get_params()
    built.set_params(**before)
    built.set_params(layers="4", learning_rate="0.1", batch_size=np.int64(3), time_sort=1)
    built.learning_rate = 0.1
    assert built.get_params() == before


def test_built_takes_epochs(built):
    before = built.n_epochs
    built.n_epochs = 5
    assert built.n_epochs == 5
    built.set_params(n_epochs="6")
    assert built.n_epochs == 6
    built.n_epochs = before


def test_built_refuses_a_bad_value_as_such(built):
    with refused(ValueError, "learning_rate=-1: a finite number above 0 is accepted"):
        built.set_params(learning_rate=-1)
    with pytest.raises(ValueError, match="^n_layers: no option of GRU4Rec; "):
        built.set_params(n_layers=1)


def test_a_loaded_model_is_built(own):
    with refused(RuntimeError, "learning_rate=0.2: the model is built with 0.1; a new model takes other options"):
        own.learning_rate = 0.2
    own.n_epochs = 7
    assert own.n_epochs == 7
