"""Faults to be put into the Keras engine, each a small patch of one of its functions or classes.

The first 29 were found in reimplementations of GRU4Rec that people use (Hidasi and Czapp, "The effect of third party
implementations on reproducibility", arXiv 2307.14956) or by use; ``own``, ``program`` and ``precision`` are this
project's. The engine has no switch for any of them.
"""

from typing import Any

from parity.faults import dropout, evaluation, gru, losses, optimizers, own, precision, program, sampling, sessions
from parity.faults.fault import Fault

__all__ = ["FAULTS", "SETTINGS", "Fault"]

_SMALL = dict(layers=[6], batch_size=6, n_sample=7, n_epochs=1, learning_rate=0.1, sample_alpha=0.5)

# The small settings that the faults are tried in: each shows its fault where it would do harm.
SETTINGS: dict[str, dict[str, Any]] = {
    "bpr-max": _SMALL | dict(loss="bpr-max", final_act="elu-0.5", bpreg=0.8),
    "momentum": _SMALL | dict(loss="bpr-max", final_act="linear", momentum=0.4, n_sample=25),
    "dropout": _SMALL
    | dict(
        loss="cross-entropy", final_act="softmax", layers=[6, 5], embedding=7, dropout_p_hidden=0.3, dropout_p_embed=0.2
    ),
    "extreme": _SMALL | dict(loss="cross-entropy", final_act="softmax", sigma=11.0),
    "regularised": _SMALL | dict(loss="xe_logit", final_act="softmax_logit", smoothing=0.2, lmbd=0.05, grad_cap=0.3),
    "logq": _SMALL | dict(loss="bpr-max", final_act="linear", layers=[6, 5], embedding="layersize", logq=0.7),
}

FAULTS: tuple[Fault, ...] = tuple(
    fault
    for family in (sessions, losses, dropout, optimizers, sampling, gru, evaluation, own, program, precision)
    for fault in family.FAMILY
)
