"""Full runs by ``fit`` from one seed: losses by epoch, and the final Recall@N and MRR@N."""

from typing import NamedTuple

import numpy as np

from parity.checks.ranking import CUT_OFFS
from parity.engine import Engine
from parity.engines import EngineSpec
from parity.measure import Checks
from parity.scenario import Scenario

# Runs of one program on two compilers part after some dozen steps (chaos, not error), so final figures are compared as
# figures.
# Two runs that chaos has parted are two draws: their shares may be apart by some standard errors of a difference.
STANDARD_ERRORS = 3
LOSS_TOLERANCE = 0.02


class Training(NamedTuple):
    """What a full run ended with."""

    losses: list[float]  # by epoch
    metrics: dict[int, tuple[float, float]]  # N -> (Recall@N, MRR@N)
    weights: dict[str, np.ndarray]
    events: int  # predicted in the test


def train(spec: EngineSpec, scenario: Scenario) -> Training:
    """Fit a new engine. Raises NotImplementedError where the engine has no ``fit`` or no evaluation."""
    if not hasattr(spec.cls, "fit") or spec.evaluation is None:
        raise NotImplementedError("the engine has no fit, or no evaluation with evaluate_gpu")
    engine: Engine = scenario.create(spec)
    losses = []
    engine.fit(scenario.dataset.train, scenario.store, on_epoch_end=lambda epoch, loss: losses.append(float(loss)))
    metrics = spec.evaluation.evaluate_gpu(engine, scenario.dataset.test, cut_off=CUT_OFFS)
    metrics = {N: tuple(map(float, values)) for N, values in metrics.items()}
    known = scenario.dataset.test[scenario.dataset.test["ItemId"].isin(engine.itemidmap.index)]
    return Training(losses, metrics, engine.get_weights(), len(known) - known["SessionId"].nunique())


def check_training(checks: Checks, wanted: Training, found: Training, weights_tolerance: float | None = None) -> None:
    """Losses (relative) and metrics (absolute); within ``weights_tolerance``, if given, the last weights too."""
    check = checks["training"]
    check.close("loss by epoch", found.losses, wanted.losses, LOSS_TOLERANCE)
    for at, what in enumerate(("Recall@20", "MRR@20")):
        # the variance of a reciprocal rank within [0, 1] is at most that of a share of the same mean
        share = wanted.metrics[20][at]
        tolerance = STANDARD_ERRORS * np.sqrt(2 * max(share * (1 - share), 1 / wanted.events) / wanted.events)
        check.within(what, found.metrics[20][at], share, float(tolerance))
    if weights_tolerance is not None:
        check.close_all(found.weights, wanted.weights, weights_tolerance, prefix="final ")
