"""A designed sweep over GRU4Rec's options: every pair of option values, teacher-forced, on small random data."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gru4rec.engines import EngineSpec
from parity import data, pairwise
from parity.checks.data import NAMES as DATA
from parity.checks.fit import scenario_of
from parity.checks.steps import NAMES as FORCED
from parity.compare import Pair, data_checks, fit_checks, forced_checks
from parity.measure import Checks
from parity.scenario import Scenario

# Options that belong together are one factor, so that a value is always a setting that means something.
FACTORS: dict[str, list] = {
    "loss": ["top1", "bpr", "cross-entropy", "xe_logit", "top1-max", "bpr-max"],
    "final_act": ["softmax", "softmax_logit", "linear", "relu", "tanh", "leaky-0.1", "elu-0.5", "selu-1.05-1.6"],
    "hidden_act": ["tanh", "linear", "relu", "leaky-0.2", "elu-1", "selu-1.05-1.6"],
    "embedding": ["none", "separate", "layersize", "constrained"],
    "layers": [[5], [6, 4], [4, 5, 3]],
    "adapt": [None, "adagrad", "rmsprop", "adadelta", "adam"],
    "momentum": [0.0, 0.3],
    "dropout": ["none", "hidden", "embed", "both"],
    "sampling": ["none", "uniform", "popularity"],
    "logq": [0.0, 0.5],
    "smoothing": [0.0, 0.15],
    "lmbd": [0.0, 0.02],
    "grad_cap": [0.0, 0.2],
    "time_sort": [True, False],
}
LEAST = 120
_DECAYS = {"rmsprop": [0.9], "adadelta": [0.95], "adam": [0.9, 0.99]}
_SAMPLING = {"none": (0, 0.0), "uniform": (9, 0.0), "popularity": (9, 0.7)}
_EMBEDDING = {"separate": 4, "layersize": "layersize"}
_P = {"none": (0.0, 0.0), "hidden": (0.3, 0.0), "embed": (0.0, 0.2), "both": (0.3, 0.2)}  # hidden, embed


def allowed(config: dict[str, Any]) -> bool:
    """cross-entropy takes the logarithm of its scores, so it is defined for a softmax only."""
    return config.get("loss") != "cross-entropy" or config.get("final_act", "softmax") == "softmax"


def design(least: int = LEAST, seed: int = 0) -> list[dict[str, Any]]:
    """At least ``least`` configurations (factor -> value) that hold every admitted pair of values."""
    return pairwise.design(FACTORS, least, allowed, seed)


def params_of(config: dict[str, Any]) -> dict[str, Any]:
    """Constructor options of a configuration."""
    n_sample, alpha = _SAMPLING[config["sampling"]]
    p_hidden, p_embed = _P[config["dropout"]]
    return dict(
        loss=config["loss"],
        final_act=config["final_act"],
        hidden_act=config["hidden_act"],
        layers=config["layers"],
        embedding=_EMBEDDING.get(config["embedding"], 0),
        constrained_embedding=config["embedding"] == "constrained",
        adapt=config["adapt"],
        adapt_params=_DECAYS.get(config["adapt"], []),
        learning_rate=1.0 if config["adapt"] == "adadelta" else 0.05,
        momentum=config["momentum"],
        lmbd=config["lmbd"],
        grad_cap=config["grad_cap"],
        smoothing=config["smoothing"],
        dropout_p_hidden=p_hidden,
        dropout_p_embed=p_embed,
        n_sample=n_sample,
        sample_alpha=alpha,
        logq=config["logq"],
        time_sort=config["time_sort"],
        batch_size=5,
        n_epochs=1,
    )


@lru_cache
def dataset() -> data.Dataset:
    return data.embedded(sessions=24, items=18, test_sessions=6, seed=11)


@dataclass(frozen=True)
class Tried:
    """One configuration and what its checks said."""

    config: dict[str, Any]
    checks: Checks


def try_config(config: dict[str, Any], reference: EngineSpec, candidate: EngineSpec, dtype: str = "float64") -> Tried:
    """Data checks; every step of an epoch teacher-forced, to the last, which has lost most of its lanes; ``fit``."""
    checks, scenario = Checks(), Scenario("matrix", params_of(config), dataset(), dtype)
    checks.attempt(DATA, data_checks, scenario, reference, candidate)
    checks.attempt(FORCED, forced_checks, Pair(scenario, reference, candidate))
    checks.attempt(["fit"], fit_checks, scenario_of(scenario), reference, candidate)
    return Tried(config, checks)
