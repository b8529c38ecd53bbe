"""Engines against recorded reference runs (:mod:`parity.recordings`).

A recording is replayed free-running from its seeds: step by step, comparing all that was recorded, and once more by
``fit``, which is what people run. Beside it runs the harness's own program, which tells how far rounding may have
carried by each step (:class:`parity.checks.trajectory.Spread`): the scale of every comparison. Metrics are compared
from the recorded last weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gru4rec.engines import EngineSpec, device_of
from parity.bounds import forced
from parity.checks.data import check_frame_kept, equal_all
from parity.checks.recorded_metrics import check_recorded_metrics
from parity.checks.trajectory import Spread, horizon_passed
from parity.measure import Check, Checks, Scale, norm
from parity.plain import Plain
from parity.protocol import Batch, Engine
from parity.recordings.manifest import owed
from parity.recordings.recording import Kept, Recording, Step
from parity.walk import Record, lanes_in_step, state_of, step_with_gradients

STEPWISE = ("batches", "negatives", "initial-weights", "forward", "loss", "gradients", "update", "trajectory")
MADE = (*STEPWISE, "fit", "dropout", "metrics")
PRINTED = 5e-7  # the reference printed its losses to 6 digits


@dataclass(frozen=True)
class Reach:
    """How far rounding may have carried by one recorded step: the scales of its figures."""

    cost: Scale
    before: dict[str, Scale]  # hidden states, by H0, H1, ...
    hidden: dict[str, Scale]
    gradients: dict[str, Scale]
    weights: dict[str, Scale]
    judged: bool  # false where chaos has taken over


def reach(recording: Recording) -> list[Reach]:
    """The scales of each step, on the harness's own program, from the recorded start with the recorded masks.

    Raises:
        NotImplementedError: an option that the harness's own program does not have.
    """
    s = recording.spec
    exact, shadow, coarse = (_plain(recording, dtype) for dtype in ("float64", "float64", "float32"))
    spread, found, judged = Spread(shadow, coarse, s.dtype), [], True
    for number, (epoch, batch) in enumerate(lanes_in_step(exact, dict(s.params), s.n_epochs)):
        if number >= recording.n_steps:
            break
        before, masks = state_of(exact), list(recording.steps[number].masks)
        cost, found_gradients = step_with_gradients(exact, batch, masks)
        record = Record(number, epoch, batch, masks, before, None, cost, found_gradients, state_of(exact))
        weights, of_cost = spread.after(record)
        judged = judged and not horizon_passed(weights, record.after.weights, s.dtype)
        kept = recording.steps[number].kept
        gradients = spread.scales(record, lambda r: r.gradients) if kept else {}
        found.append(
            Reach(
                of_cost,
                spread.scales(record, lambda r: _named(r.before.hidden)),
                spread.scales(record, lambda r: _named(r.after.hidden)),
                gradients,
                weights,
                judged,
            )
        )
    return found


def _plain(recording: Recording, dtype: str) -> Plain:
    s = recording.spec
    engine = Plain(dtype, s.seed, s.dropout_seed, **s.params)
    engine.prepare(recording.train, s.sample_store)
    engine.set_weights(recording.init)
    return engine


def _named(hidden: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"H{k}": H for k, H in enumerate(hidden)}


def replay(recording: Recording, spec: EngineSpec, scales: list[Reach] | None = None) -> Checks:
    """Run an engine as it was recorded, and compare all that was recorded. What is owed and is not compared is told.

    scales: those of :func:`reach`, where they are known already.
    """
    checks = Checks()
    for name in MADE:
        checks[name]
    engine = checks.attempt(MADE, _prepared, recording, spec)
    if engine is not None:
        checks.attempt((), _ask_device, engine)
        scales = scales or reach(recording)
        checks.attempt(("batches", "initial-weights"), _start, recording, engine)
        checks.attempt(STEPWISE, _steps, recording, engine, scales)
        checks.attempt(("forward",), _predictions, recording, engine, scales)
        checks.attempt(("fit",), _fit, recording, spec, scales)
        checks.attempt(("metrics",), check_recorded_metrics, recording, engine, spec.evaluation)
    _settle(checks, recording)
    return checks


def _settle(checks: Checks, recording: Recording) -> None:
    """What the recording has no part of does not apply; what it owes and nobody compared is not covered."""
    owes = owed(recording)
    for name in MADE:
        check, wanted = checks[name], owes.get(name, 0)
        if name != "fit" and not wanted:
            check.not_applicable.append("the recording has no such part")
        elif check.compared < wanted and not check.broken and not check.not_covered:
            check.not_covered.append(f"{wanted - check.compared} of {wanted} comparisons that the recording owes")


def _prepared(checks: Checks, recording: Recording, spec: EngineSpec) -> Engine:
    s = recording.spec
    engine = spec.create(dict(s.params), s.dtype, s.seed, s.dropout_seed)
    given = recording.train.copy()
    engine.prepare(given, s.sample_store)
    check_frame_kept(checks, recording.train, given, "prepare")
    return engine


def _ask_device(checks: Checks, engine: Engine) -> None:
    checks.computed_on = device_of(engine)


def _start(checks: Checks, recording: Recording, engine: Engine) -> None:
    checks["batches"].equal("itemidmap", np.asarray(engine.itemidmap.index), recording.itemidmap)
    equal_all(checks["initial-weights"], engine.get_weights(), recording.init)


def _steps(checks: Checks, recording: Recording, engine: Engine, scales: list[Reach]) -> None:
    """Every step from the engine's own state, by the program that returns gradients."""
    costs: list[float] = []
    lanes: list[int] = []
    epochs: list[int] = []
    done, with_gradients = 0, True
    for number, (epoch, batch) in enumerate(
        lanes_in_step(engine, dict(recording.spec.params), recording.spec.n_epochs)
    ):
        done = number + 1
        if number >= recording.n_steps:
            break
        step = recording.steps[number]
        _compare_batch(checks, step, batch)
        if len(batch.X) != step.lanes:
            break
        masks = _masks(checks, step, engine)
        hidden = engine.get_hidden()
        try:
            cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=with_gradients)
        except NotImplementedError as lacking:
            if not with_gradients:
                raise
            checks["gradients"].not_covered.append(str(lacking) or "the engine gives no gradients")
            with_gradients = False
            cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=False)
        costs, lanes, epochs = [*costs, cost], [*lanes, len(batch.X)], [*epochs, epoch]
        if not scales[number].judged:
            checks["trajectory"].not_covered.append("steps after chaos has taken over")
            continue
        checks["loss"].close("cost", cost, step.cost, forced(recording.spec.dtype), number, scales[number].cost)
        if step.kept:
            given = gradients if with_gradients else None
            _compare_kept(checks, recording, step, step.kept, engine, hidden, given, scales[number])
    checks["batches"].equal("number of steps", done, recording.n_steps)
    for epoch, wanted in enumerate(recording.epoch_loss):
        here = np.array(epochs) == epoch
        found = np.average(np.array(costs)[here], weights=np.array(lanes)[here]) if here.any() else np.nan
        _compare_loss(checks["loss"], recording, epoch, float(found), float(wanted), scales)
    _compare_last(checks["trajectory"], engine, recording, scales, " at the end")


def _compare_last(check: Check, engine: Engine, recording: Recording, scales: list[Reach], suffix: str) -> None:
    """The last weights."""
    if scales[-1].judged:
        bound = forced(recording.spec.dtype)
        check.close_all(engine.get_weights(), recording.final, bound, None, scales[-1].weights, suffix)
    else:
        check.not_covered.append(f"weights{suffix}: chaos has taken over")


def _compare_loss(
    check: Check, recording: Recording, epoch: int, found: float, wanted: float, scales: list[Reach]
) -> None:
    """Recorded to 6 digits: what rounds to them is no distance away."""
    largest = max(each.cost.norm for each in scales)
    nearest = float(np.clip(found, wanted - PRINTED, wanted + PRINTED))
    check.within(f"loss of epoch {epoch + 1}", found, nearest, forced(recording.spec.dtype) * largest)


def _compare_batch(checks: Checks, step: Step, batch: Batch) -> None:
    M = len(batch.X)
    checks["batches"].equal("X", batch.X, step.X, step.number)
    checks["batches"].equal("Y", batch.Y[:M], step.targets, step.number)
    checks["batches"].equal("R", np.asarray(batch.R, bool), step.R, step.number)
    if len(step.samples) or len(batch.Y) > M:
        checks["negatives"].equal("samples", batch.Y[M:], step.samples, step.number)


def _masks(checks: Checks, step: Step, engine: Engine) -> list[np.ndarray]:
    """The recorded masks; the engine's own stream is compared with them where it has one."""

    def compare(checks: Checks) -> None:
        found = engine.draw_masks(step.lanes)
        for j, (mask, own) in enumerate(zip(step.masks, found, strict=True)):
            checks["dropout"].equal(f"mask {j}", np.asarray(own, bool), mask, step.number)

    if step.masks and not checks["dropout"].not_covered and not checks["dropout"].broken:
        checks.attempt(["dropout"], compare)
    return list(step.masks)


def _compare_kept(
    checks: Checks,
    recording: Recording,
    step: Step,
    kept: Kept,
    engine: Engine,
    hidden: list[np.ndarray],
    gradients: Any,
    scales: Reach,
) -> None:
    bound, number = forced(recording.spec.dtype), step.number
    checks["forward"].close_all(_named(engine.get_hidden()), _named(kept.Hnext), bound, number, scales.hidden)
    checks["trajectory"].close_all(_named(hidden), _named(kept.H), bound, number, scales.before)
    if gradients is not None:
        checks["gradients"].close_all(gradients, kept.gradients, bound, number, scales.gradients)
    checks["update"].close_all(engine.get_weights(), kept.after, bound, number, scales.weights)


def _predictions(checks: Checks, recording: Recording, engine: Engine, scales: list[Reach]) -> None:
    """Successive predictions, through ``scores``: a lane whose session changes starts from zeros."""
    before, hidden = None, []
    # scores are as far away as the weights that they are made of may be
    reached = max(scale.norm / max(norm(recording.final[name]), 1e-30) for name, scale in scales[-1].weights.items())
    for j, each in enumerate(recording.predictions):
        if before is None:
            hidden = [np.zeros((len(each.session_ids), units)) for units in recording.spec.layers]
        else:
            hidden = [np.where((before == each.session_ids)[:, None], H, 0) for H in hidden]
        positions = engine.itemidmap.index.get_indexer(pd.Index(each.input_item_ids))
        scores, hidden = engine.scores(positions, hidden)
        wanted = np.asarray(each.scores).T
        scale = Scale(reached * norm(wanted))
        bound = forced(recording.spec.dtype)
        checks["forward"].close(f"scores of prediction {j + 1}", scores, wanted, bound, None, scale)
        if hasattr(engine, "predict_next_batch"):  # which need not be there, and keeps its sessions itself
            found = engine.predict_next_batch(each.session_ids, each.input_item_ids, batch=len(each.session_ids))
            label = f"prediction {j + 1} by predict_next_batch"
            checks["forward"].close(label, found.to_numpy().T, wanted, bound, None, scale)
        before = each.session_ids


def _fit(checks: Checks, recording: Recording, spec: EngineSpec, scales: list[Reach]) -> None:
    """The whole run by ``fit``: losses by epoch and last weights."""
    if not hasattr(spec.cls, "fit"):
        checks["fit"].not_covered.append("the engine has no fit")
        return
    s, check, losses = recording.spec, checks["fit"], []
    engine = spec.create(dict(s.params), s.dtype, s.seed, s.dropout_seed)
    given = recording.train.copy()
    engine.fit(given, s.sample_store, on_epoch_end=lambda epoch, loss: losses.append(float(loss)))
    check_frame_kept(checks, recording.train, given, "fit")
    check.equal("number of epochs", len(losses), len(recording.epoch_loss))
    for epoch, (found, wanted) in enumerate(zip(losses, recording.epoch_loss)):
        _compare_loss(check, recording, epoch, found, float(wanted), scales)
    _compare_last(check, engine, recording, scales, " after fit")
