"""Full runs by ``fit`` from one seed: losses by epoch, and the final Recall@N and MRR@N.

Runs of one program on two compilers part after some dozen steps (chaos, not error), and are then two draws of the same
training. Whether a setting is tame enough to be judged is measured: the reference is run again from learning rates one
or two units of float32's last place away. A figure by which these runs miss the bound among themselves says nothing
about a candidate: it is not covered, and never held.
"""

from typing import NamedTuple, Sequence

import numpy as np

from parity.checks.ranking import CUT_OFFS
from parity.engines import EngineSpec
from parity.measure import Check, Checks
from parity.protocol import Engine
from parity.scenario import Scenario

LOSS_TOLERANCE = 0.02  # relative
STANDARD_ERRORS = 3  # of the difference of two shares of that many test events
RERUNS = 4


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


def moved(scenario: Scenario, units: int) -> Scenario:
    """The scenario with its learning rate moved by ``units`` of float32's last place: about 1e-7 of it each."""
    rate = np.float32(scenario.params.get("learning_rate", 0.1))
    return scenario.with_params(learning_rate=float(rate + units * np.spacing(rate)))


def rerun(spec: EngineSpec, scenario: Scenario, count: int) -> list[Training]:
    """``count`` further full runs, from learning rates next to the scenario's: +1, -1, +2, -2, ... units."""
    return [train(spec, moved(scenario, (k // 2 + 1) * (1 if k % 2 == 0 else -1))) for k in range(count)]


def check_training(
    checks: Checks,
    wanted: Training,
    found: Training,
    weights_tolerance: float | None = None,
    reruns: Sequence[Training] = (),
) -> None:
    """Losses and metrics within the tolerances above, where the reference's own ``reruns`` are within them.

    Within ``weights_tolerance``, if given, the last weights too.
    """
    check, runs = checks["training"], [wanted, *reruns]
    if len(found.losses) != len(wanted.losses):
        check.equal("number of epochs", len(found.losses), len(wanted.losses))
        return
    for epoch, losses in enumerate(zip(*(run.losses for run in runs), strict=True)):
        _judge(check, f"loss of epoch {epoch + 1}", found.losses[epoch], losses, LOSS_TOLERANCE * abs(losses[0]))
    for at, what in enumerate(("Recall@20", "MRR@20")):
        shares = [run.metrics[20][at] for run in runs]
        # the variance of a reciprocal rank within [0, 1] is at most that of a share of the same mean
        error = np.sqrt(2 * max(shares[0] * (1 - shares[0]), 1 / wanted.events) / wanted.events)
        _judge(check, what, found.metrics[20][at], shares, float(STANDARD_ERRORS * error))
    if weights_tolerance is not None:
        check.close_all(found.weights, wanted.weights, weights_tolerance, prefix="final ")


def _judge(check: Check, what: str, found: float, reference: Sequence[float], bound: float) -> None:
    """Compare a figure with the first of ``reference``, unless the runs of the reference are further apart."""
    low, high = min(reference), max(reference)
    if high - low > bound:
        check.not_covered.append(
            f"{what}: chaotic here, the reference's own runs reach from {low:.4g} to {high:.4g}, past the bound of "
            f"{bound:.2g}"
        )
    else:
        check.within(what, found, reference[0], bound)
