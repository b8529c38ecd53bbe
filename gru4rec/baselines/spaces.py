"""What ``gru4rec tune --engine NAME`` searches where no space is given, in the form of a space's file."""

from typing import Any

_DECAYS = ["same", "linear", "div", "quadratic", "log"]
_RULES: dict[str, Any] = {"name": "rules", "dtype": "categorical", "values": [20, 50, 100, 200, 1000]}
_NEIGHBOURS: list[dict[str, Any]] = [
    {"name": "k", "dtype": "int", "values": [50, 1500], "step": 50},
    {"name": "sample_size", "dtype": "int", "values": [500, 10000], "step": 500},
]
_TOP_N: dict[str, Any] = {"name": "top_n", "dtype": "int", "values": [20, 2000], "log": True}

OF_BASELINES: dict[str, list[dict[str, Any]]] = {
    "vsknn": [
        *_NEIGHBOURS,
        {"name": "weighting", "dtype": "categorical", "values": _DECAYS},
        {"name": "scoring", "dtype": "categorical", "values": _DECAYS},
        {"name": "idf", "dtype": "categorical", "values": [0, 1, 2, 5, 10]},
    ],
    "sknn": _NEIGHBOURS,
    "sr": [
        {"name": "steps", "dtype": "int", "values": [1, 30]},
        {"name": "weighting", "dtype": "categorical", "values": _DECAYS},
        _RULES,
    ],
    "ar": [_RULES],
    "markov": [_RULES],
    "itemknn": [
        {"name": "n_sims", "dtype": "categorical", "values": [20, 50, 100, 200, 500]},
        {"name": "lmbd", "dtype": "float", "values": [0.0, 100.0], "step": 5.0},
        {"name": "alpha", "dtype": "float", "values": [0.0, 1.0], "step": 0.05},
    ],
    "spop": [_TOP_N],
    "pop": [_TOP_N],
}
