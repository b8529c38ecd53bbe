"""Full runs by ``fit``, judged by their equivalence to the stored runs of the reference.

A run is evaluated by the harness itself (:mod:`parity.evaluator`), never by the engine. The test, its margin and its
power are those of :mod:`parity.convergence.equivalence`.
"""

from typing import Any

import numpy as np
import pandas as pd

from gru4rec.engines import EngineSpec
from parity import evaluator
from parity.convergence import equivalence
from parity.convergence.equivalence import Equivalence
from parity.convergence.sample import LENGTH, PREFIXES, Runs, dropout_seed
from parity.data import Dataset
from parity.measure import Checks
from parity.protocol import Engine

FEWEST = 4  # runs of a candidate; the deviation of fewer is not known well enough for any claim

# Options that a faulty engine acts as if it had been given, by the name of the fault; a callable changes the value.
FAULTS: dict[str, dict[str, Any]] = {
    "learning rate halved": {"learning_rate": lambda rate: rate / 2},
    "momentum ignored": {"momentum": lambda _: 0.0},
    "dropout left out": {"dropout_p_hidden": lambda _: 0.0},
    "samples by popularity, not uniform": {"sample_alpha": lambda _: 1.0},
}
_DEFAULTS = {"learning_rate": 0.1, "momentum": 0.0, "dropout_p_hidden": 0.0, "sample_alpha": 0.75}


def faulty(params: dict[str, Any], fault: str) -> dict[str, Any] | None:
    """``params`` as the fault makes them; None where the setting has no such part."""
    if not params.get("n_sample", 2048) and "sample_alpha" in FAULTS[fault]:
        return None
    given = _DEFAULTS | params
    changed = {name: change(given[name]) for name, change in FAULTS[fault].items()}
    return params | changed if any(given[name] != value for name, value in changed.items()) else None


def draw(
    spec: EngineSpec,
    params: dict[str, Any],
    dataset: Dataset,
    seed: int,
    prefixes: np.ndarray | None,
    dtype: str = "float32",
) -> tuple[Runs, Engine]:
    """One full run of a new engine by ``fit``, as a user calls it: no store and no other option is given.

    The figures of a run that has diverged are NaN. prefixes: numbers of the predictions whose lists are kept; None for
    those of the rule. Raises NotImplementedError where the engine has no ``fit``, RuntimeError where its catalogue is
    not that of the training data, or it told of more epochs than it was asked for.
    """
    if not hasattr(spec.cls, "fit"):
        raise NotImplementedError("the engine has no fit")
    engine = spec.create(params, dtype, seed, dropout_seed(seed))
    losses = []
    engine.fit(dataset.train, on_epoch_end=lambda epoch, loss: losses.append(float(loss)))
    ids, catalogue = dataset.train["ItemId"].unique(), pd.Index(engine.itemidmap.index)
    if set(ids) != set(catalogue):
        raise RuntimeError(f"the engine has {len(catalogue)} items, and not the {len(ids)} of the training data")
    events = evaluator.read_events(dataset.test, catalogue)
    predictions = len(events.predicted)
    prefixes = evaluator.spread_over(predictions, PREFIXES) if prefixes is None else prefixes
    epochs = params.get("n_epochs", 10)
    if len(losses) > epochs:
        raise RuntimeError(f"the engine told of {len(losses)} epochs; {epochs} were asked for")
    losses = np.r_[losses, np.full(epochs - len(losses), np.nan)]  # a training that was stopped is one that diverged
    if np.isfinite(losses).all() and all(np.isfinite(values).all() for values in engine.get_weights().values()):
        found = evaluator.evaluate(engine, events, lists_of=prefixes, length=LENGTH, widths=params.get("layers", [100]))
        metrics = np.array([found.metrics[N] for N in evaluator.CUT_OFFS])
        assert found.lists is not None  # lists_of asks for them
        lists, scores = pd.Index(ids).get_indexer(catalogue)[found.lists.items], found.lists.scores
    else:
        metrics = np.full((len(evaluator.CUT_OFFS), 2), np.nan)
        lists, scores = np.full((len(prefixes), LENGTH), -1), np.full((len(prefixes), LENGTH), np.nan)
    run = Runs(
        np.array([seed]), losses[None], metrics[None], lists[None].astype(np.int32), scores[None].astype(np.float32)
    )
    return run, engine


def check_training(checks: Checks, reference: Runs, candidate: Runs) -> list[Equivalence]:
    """Put the verdicts of a candidate's runs into ``checks["training"]``; returns the tests behind them.

    A figure whose equivalence is shown is within its margin; one whose difference is shown, or a run that is not
    finite, is not; one for which neither is shown is not covered.
    """
    check = checks["training"]
    if candidate.losses.shape[1] != reference.losses.shape[1]:
        check.equal("number of epochs", candidate.losses.shape[1], reference.losses.shape[1])
        return []
    diverged = candidate.seeds[~candidate.finite]
    if len(diverged):
        check.equal(f"finite runs of {len(candidate)}", len(candidate) - len(diverged), len(candidate))
        check.notes.append(f"not finite: the runs of seeds {', '.join(map(str, diverged))}")
        return []
    if len(candidate) < FEWEST:
        check.not_covered.append(f"{len(candidate)} run: at least {FEWEST} are needed")
        return []
    if _one_draw(candidate):
        check.not_covered.append(f"{len(candidate)} runs of different seeds are the same run, which is one draw")
        return []
    found = equivalence.compare(reference, candidate)
    for test in found:
        if test.status == "not covered":
            check.not_covered.append(f"{test.figure}: {undecided(test)}")
        else:
            check.within(test.figure, test.candidate.mean, test.reference.mean, test.margin)
            if test.status == "held" and test.p_zero <= equivalence.LEVEL:
                check.notes.append(
                    f"{test.figure}: there is a difference, {test.delta:+.3g} (p {test.p_zero:.2g}), within the margin"
                )
    return found


def undecided(test: Equivalence) -> str:
    """Why neither equivalence nor a difference was shown, and how many runs would show one."""
    runs, least = test.candidate.count, test.decides
    if least is None:
        more = "no number of runs decides against the stored ones, if that is the true difference"
    else:
        more = f"about {least} runs decide, if that is the true difference"
    return f"a difference of {test.delta:+.3g} by {runs} runs, margin {test.margin:.3g}, is not decided; {more}"


def _one_draw(runs: Runs) -> bool:
    return bool((runs.losses == runs.losses[:1]).all() and (runs.metrics == runs.metrics[:1]).all())
