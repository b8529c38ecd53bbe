"""What an engine is put through in a situation, one part after the other.

A part is expected once, from the harness's own program, and checked on any engine.
"""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from gru4rec.engines import EngineSpec
from parity.bounds import forced
from parity.checks.data import check_batches, check_frame_kept, check_initial_weights, check_items, epochs_of, start_of
from parity.checks.dropout import Masks, check_dropout, masks_of, rows_to_draw
from parity.checks.ranking import Ranking, check_lists, check_ranking, expected_ranking, level_items
from parity.checks.steps import NAMES as FORCED
from parity.checks.steps import check_steps
from parity.measure import Checks
from parity.scale import Conditioning
from parity.scenario import Scenario
from parity.situations.outcome import Expected, Outcome, Run, expected_of
from parity.situations.predicting import predicted
from parity.situations.situation import Situation
from parity.situations.training import diverged, extended, fitted, resumed, retrained
from parity.walk import walk

STEPS = 12  # single steps of a situation


class Part(NamedTuple):
    """names: of the checks that it fills. expect: by the harness's own program. check: an engine against that."""

    names: tuple[str, ...]
    expect: Callable[[Situation], Any]
    check: Callable[[Checks, Situation, Any, EngineSpec], None]


def _start(situation: Situation) -> Any:
    engine = situation.scenario.plain()
    return start_of(engine), list(epochs_of(engine))


def _check_start(checks: Checks, situation: Situation, wanted: Any, spec: EngineSpec) -> None:
    s = situation.scenario
    engine, given = s.create(spec), s.dataset.train.copy()
    engine.prepare(given, s.store)
    check_frame_kept(checks, s.dataset.train, given, "prepare")
    check_items(checks, wanted[0], start_of(engine))
    check_initial_weights(checks, wanted[0], start_of(engine))
    check_batches(checks, wanted[1], epochs_of(engine))


def _steps(situation: Situation) -> Any:
    s = situation.scenario
    engine = s.plain()
    if situation.start:
        engine.set_weights(situation.start(engine.get_weights()))
    records = list(islice(walk(engine, s.params, s.params["n_epochs"]), STEPS))
    scales = Conditioning(s.plain(), Scenario(s.name, s.params, s.dataset, "float32").plain(rounds=True))
    return records, {record.number: scales.of(record) for record in records}


def _check_steps(checks: Checks, situation: Situation, wanted: Any, spec: EngineSpec) -> None:
    records, scales = wanted
    engine = situation.scenario.prepare(spec)
    check_steps(checks, records, engine, forced("float64"), lambda record: scales[record.number])


def _masks(situation: Situation) -> Masks:
    s = situation.scenario
    return masks_of(s.plain(), rows_to_draw(s.params["batch_size"]))


def _check_masks(checks: Checks, situation: Situation, wanted: Masks, spec: EngineSpec) -> None:
    check_dropout(checks, wanted, situation.scenario.prepare(spec))


def _weights(situation: Situation) -> dict[str, np.ndarray]:
    """Those after the harness's own training, with items that are level."""
    s = situation.scenario
    engine = s.plain()
    engine.fit(s.dataset.train, s.store)
    return level_items(engine.get_weights())


def _ranks(situation: Situation) -> Ranking:
    s, ids = situation.scenario, situation.scenario.plain().itemidmap.index
    return expected_ranking(_weights(situation), ids, s.params, s.dataset.test, s.dtype)


def _check_ranks(checks: Checks, situation: Situation, wanted: Ranking, spec: EngineSpec) -> None:
    s = situation.scenario
    engine = s.prepare(spec)
    check_ranking(checks, wanted, engine, spec.evaluation, s.dataset.test)
    check_lists(checks, wanted, engine, spec.evaluation, s.dataset.test)


def _run(names: tuple[str, ...], function: Callable[..., Outcome], needs: Callable = lambda cls: None):
    """A part that is one run of an engine from its start to an outcome."""

    def expect(situation: Situation) -> Expected:
        run: Run = partial(function, situation=situation)
        return expected_of(run)

    def check(checks: Checks, situation: Situation, wanted: Expected, spec: EngineSpec) -> None:
        needs(spec.cls)
        found = function(lambda s: s.create(spec), situation=situation)
        check, first = checks[names[0]], function.__name__
        for name, value in wanted.outcome.exact.items():
            check.equal(f"{first}: {name}", found.exact.get(name, "missing"), value)
        bound = forced("float64")
        check.close_all(
            {f"{first}: {name}": value for name, value in found.floats.items()},
            {f"{first}: {name}": value for name, value in wanted.outcome.floats.items()},
            bound, None, {f"{first}: {name}": scale for name, scale in wanted.scales.items()},
        )  # fmt: skip

    return Part(names, expect, check)


def _fits(cls: type) -> None:
    if not hasattr(cls, "fit"):
        raise NotImplementedError("the engine has no fit")


def _retrains(cls: Any) -> None:
    _fits(cls)
    _takes(cls, "retrain")


def _resumes(cls: Any) -> None:
    _fits(cls)
    _takes(cls, "resume")
    if not hasattr(cls, "set_params"):
        raise NotImplementedError("the engine has no set_params")


def _takes(cls: Any, option: str) -> None:
    accepted = inspect.signature(cls.fit).parameters.values()
    if not any(each.name == option or each.kind is each.VAR_KEYWORD for each in accepted):
        raise NotImplementedError(f"the engine's fit has no {option}")


def _predicts(cls: type) -> None:
    lacking = [name for name in ("predict_next_batch", "reset_sessions") if not hasattr(cls, name)]
    if lacking:
        raise NotImplementedError(f"the engine has no {lacking[0]}")


PARTS = {
    "start": Part(("batches", "negatives", "initial-weights"), _start, _check_start),
    "masks": Part(("dropout",), _masks, _check_masks),
    "steps": Part(FORCED, _steps, _check_steps),
    "fit": _run(("fit",), fitted, _fits),
    "resuming": _run(("fit",), resumed, _resumes),
    "new items": _run(("initial-weights",), extended, _retrains),
    "retraining": _run(("fit",), retrained, _retrains),
    "divergence": _run(("fit",), diverged, _retrains),
    "predictions": _run(("forward",), predicted, _predicts),
    "ranks": Part(("ranks", "metrics"), _ranks, _check_ranks),
}
