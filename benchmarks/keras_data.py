"""Events and settings that the benchmarks of keras_port/ share."""

import time

import numpy as np
import pandas as pd

SETTINGS = {
    "bpr-max": {
        "loss": "bpr-max",
        "final_act": "elu-0.5",
        "learning_rate": 0.2,
        "momentum": 0.3,
        "sample_alpha": 0.0,
        "bpreg": 1.0,
    },
    "bpr-max-constrained": {
        "loss": "bpr-max",
        "final_act": "elu-0.5",
        "learning_rate": 0.2,
        "momentum": 0.1,
        "sample_alpha": 0.0,
        "bpreg": 0.5,
        "constrained_embedding": True,
    },
    "cross-entropy": {
        "loss": "cross-entropy",
        "final_act": "softmax",
        "dropout_p_hidden": 0.3,
        "learning_rate": 0.1,
        "momentum": 0.7,
        "sample_alpha": 0.0,
    },
}


def events(n_items, n_sessions, seed=1):
    """A synthetic frame: a Zipf-like popularity, sessions of 2 to 12 events, every item at least once."""
    rng = np.random.RandomState(seed)
    lengths = np.minimum(2 + rng.geometric(0.4, n_sessions), 12)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.8
    cdf = np.cumsum(popularity) / popularity.sum()
    items = np.searchsorted(cdf, rng.rand(lengths.sum()) * 0.999999)
    items[: min(n_items, len(items))] = np.arange(min(n_items, len(items)))
    session = np.repeat(np.arange(n_sessions), lengths)
    return pd.DataFrame({"SessionId": session, "ItemId": items, "Time": np.arange(len(items), dtype=float)})


def read(path):
    """A prepared, tab separated file of events."""
    return pd.read_csv(path, sep="\t")


def with_items(frame, n_items):
    """``frame`` with later sessions of ten events that fill its item set up to ``n_items``."""
    missing = np.arange(max(n_items - frame["ItemId"].nunique(), 0))
    filling = pd.DataFrame(
        {
            "SessionId": frame["SessionId"].max() + 1 + missing // 10,
            "ItemId": frame["ItemId"].max() + 1 + missing,
            "Time": frame["Time"].max() + 1.0 + missing,
        }
    )
    return pd.concat([frame[list(filling.columns)], filling], ignore_index=True)


def seconds(function, at_least):
    """(seconds, calls) of calling ``function`` until ``at_least`` seconds have passed."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < at_least:
        function()
        calls += 1
    return time.perf_counter() - start, calls
