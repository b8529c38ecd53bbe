"""The situations, by name."""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from parity import data
from parity.scenario import Scenario
from parity.situations.situation import Situation, Weights

_SMALL: dict[str, Any] = dict(
    layers=[5], batch_size=5, n_sample=6, sample_alpha=0.5, n_epochs=1, learning_rate=0.05, loss="top1",
    final_act="linear",
)  # fmt: skip


@lru_cache
def _small() -> data.Dataset:
    return data.embedded(sessions=30, items=26, test_sessions=16, seed=5)


@lru_cache
def _long() -> data.Dataset:
    return data.embedded(sessions=90, items=40, test_sessions=12, seed=3)


@lru_cache
def _short() -> data.Dataset:
    """Half of the sessions cut to one event, a quarter to two; times run backwards, so the lowest id comes last."""
    whole = data.embedded(sessions=60, items=26, test_sessions=6, seed=8)
    train = whole.train.sort_values(["SessionId", "Time"], kind="stable", ignore_index=True)
    number, place = pd.factorize(train["SessionId"])[0], train.groupby("SessionId").cumcount()
    train = train[(place == 0) | (number % 4 == 0) | ((number % 4 == 1) & (place < 2))].copy()
    start = train.groupby("SessionId")["Time"].transform("min")
    train["Time"] += 2 * (start.max() - start) // 3000 * 1000 - start
    return data.Dataset(train, whole.test, "short sessions", data.fingerprint(train, whole.test))


def _zero_rows(weights: Weights) -> Weights:
    """Half of the rows of the item tables are zero, so that scores and candidates lie at the activations' kink."""
    changed = {name: np.array(values) for name, values in weights.items()}
    for name in changed.keys() & {"E", "Wx0", "Wy"}:
        changed[name][::2] = 0
    return changed


def _large(times: float) -> Any:
    """All but the biases times a factor."""

    def start(weights: Weights) -> Weights:
        return {name: values if name.startswith("B") else values * times for name, values in weights.items()}

    return start


def _made() -> list[Situation]:
    made = []

    def add(name: str, about: str, parts: str, start: Any = None, dataset=_small, store: int | None = None, **params):
        scenario = Scenario(name, _SMALL | params, dataset(), sample_store=store)
        made.append(Situation(about, scenario, tuple(parts.split(", ")), start))

    add(
        "long-epochs", "epochs of more steps than one call of a compiled program takes; every tie mode",
        "start, fit, ranks, predictions", dataset=_long, batch_size=3, n_epochs=2, learning_rate=0.02, layers=[5, 4],
        hidden_act="leaky-0.2",
    )  # fmt: skip
    add(
        "retraining", "further data with new items, which the rows of three tables are drawn for",
        "start, masks, new items, retraining, ranks", embedding=4, dropout_p_hidden=0.2, dropout_p_embed=0.2,
        momentum=0.1, n_epochs=2, final_act="tanh", loss="bpr-max", bpreg=0.5,
    )  # fmt: skip
    add(
        "retraining-constrained", "the same with one table for input and output, sessions in random order",
        "start, new items, retraining, predictions, ranks", constrained_embedding=True, loss="xe_logit",
        final_act="softmax_logit", smoothing=0.1, adapt="adam", adapt_params=[0.9, 0.99], learning_rate=0.01,
        sample_alpha=1.0, train_random_order=True, n_epochs=2, hidden_act="elu-1",
    )  # fmt: skip
    add(
        "retraining-sgd", "the same without samples, optimizer state or embedding; sigma and normal weights",
        "start, steps, new items, retraining", n_sample=0, adapt=None, sigma=0.3, init_as_normal=True, lmbd=0.02,
        time_sort=False, loss="bpr", store=0,
    )  # fmt: skip
    add(
        "going-on", "a training that is stopped after each epoch, saved, loaded, and goes on", "resuming", n_epochs=3,
        dropout_p_hidden=0.2, momentum=0.1, store=16, train_random_order=True,
    )  # fmt: skip
    add(
        "cost-is-nan", "a cost that is no number in the middle of an epoch, and of a compiled program's steps",
        "divergence", n_sample=0, batch_size=4, loss="bpr-max",
    )  # fmt: skip
    add(
        "scores-of-1e200", "finite weights whose squares are not: training goes on", "divergence", n_sample=0,
        batch_size=4, loss="top1",
    )  # fmt: skip
    add(
        "saturated-softmax", "probabilities of 0 and 1, below the 1e-24 of the logarithm too",
        "steps, ranks", start=_large(12.0), loss="cross-entropy", final_act="softmax", smoothing=0.0,
    )  # fmt: skip
    add(
        "saturated-smoothing", "the same with label smoothing", "steps", start=_large(12.0), loss="cross-entropy",
        final_act="softmax", smoothing=0.2, adapt="rmsprop", adapt_params=[0.9],
    )  # fmt: skip
    add(
        "saturated-bpr-max", "scores so far apart that bpr-max's logarithm is that of its 1e-24", "steps",
        start=_large(9.0), loss="bpr-max", adapt="adadelta", adapt_params=[0.95], learning_rate=1.0,
    )  # fmt: skip
    add(
        "kinks-relu", "pre-activations that are exactly 0", "steps", start=_zero_rows, hidden_act="relu",
        final_act="relu", loss="top1-max", momentum=0.3,
    )  # fmt: skip
    add(
        "kinks-elu", "the same for leaky and elu, with a cap that is reached", "steps", start=_zero_rows,
        hidden_act="leaky-0.2", final_act="elu-0.5", loss="bpr-max", grad_cap=0.05, lmbd=0.02, embedding="layersize",
        layers=[5, 4],
    )  # fmt: skip
    add(
        "kinks-selu", "the same for selu, constrained", "steps", start=_zero_rows, hidden_act="selu-1.05-1.6",
        final_act="selu-1.05-1.6", loss="top1", constrained_embedding=True, adapt="adam", adapt_params=[0.9, 0.99],
        grad_cap=0.05, momentum=0.3, lmbd=0.02, layers=[4, 5],
    )  # fmt: skip
    add(
        "logq", "the correction by the samples' probabilities", "start, steps, fit", logq=0.7, loss="cross-entropy",
        final_act="softmax", learning_rate=0.03, n_sample=15,
    )  # fmt: skip
    for n_sample, lanes in ((0, 2), (6, 4)):
        add(
            f"short-sessions-{lanes}", "sessions of one and two events beside long ones; the lowest id comes last",
            "start", dataset=_short, n_sample=n_sample, batch_size=lanes, time_sort=n_sample > 0,
        )  # fmt: skip
    add(
        "masks", "dropout masks of more numbers than the stream has substreams", "masks", dataset=_long, batch_size=88,
        layers=[190, 180], dropout_p_hidden=0.3, dropout_p_embed=0.1, embedding=178,
    )  # fmt: skip
    for number, (alpha, store, order) in enumerate(
        (
            (0.0, 40, {}),
            (1.0, 25, dict(train_random_order=True)),
            (0.25, 0, dict(time_sort=False)),
            (2.0, 6, dict(train_random_order=True)),
        )
    ):
        add(
            f"samples-{number + 1}", "supports that differ much, stores of odd sizes", "start", store=store,
            sample_alpha=alpha, layers=[3, 4, 2], **order, embedding=3 * (number == 2),
        )  # fmt: skip
    return made


@lru_cache
def _by_name() -> dict[str, Situation]:
    return {each.name: each for each in _made()}


def situation(name: str) -> Situation:
    """Raises ValueError for an unknown name."""
    if name not in _by_name():
        raise ValueError(f"situation {name!r}: {', '.join(_by_name())} are known")
    return _by_name()[name]


SITUATIONS = tuple(_by_name())
