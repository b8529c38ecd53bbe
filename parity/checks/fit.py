"""What people run: ``fit``, on a prefix of sessions that is short enough to be judged strictly.

``fit`` is another program than a single step: many steps compiled into one, with its own loop, its own streams of
samples and masks, its own end of an epoch and start of the next. Every engine's ``fit`` is held against the reference
taken step by step, in float64.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd

from gru4rec.engines import EngineSpec
from parity.bounds import TRAJECTORY_CAP, forced
from parity.checks.data import check_frame_kept
from parity.checks.trajectory import Spread, horizon_passed, moved_by_rounding
from parity.data import COLUMNS, Dataset, fingerprint
from parity.measure import Check, Checks, Scale
from parity.scenario import Scenario
from parity.walk import Record, not_finite, walk

EPOCHS = 2  # what carries over from one epoch to the next is seen in the second
EVENTS = {"float64": (2, 3), "float32": (2, 2)}  # of the sessions that are trained on: fewest, most


def prefix(dataset: Dataset, batch_size: int, lengths: tuple[int, int]) -> Dataset:
    """A data set that ``fit`` goes through in a few steps, with every item of the training data.

    The first sessions of ``lengths`` events, one and a half times as many as lanes; then each item that they lack,
    once, as a session of one event, which yields no step but counts as support.
    """
    train = dataset.train[list(COLUMNS)]
    session, item, time = (train[column] for column in COLUMNS)
    events = session.map(session.value_counts())
    short = (
        session[(events >= lengths[0]) & (events <= lengths[1])].drop_duplicates().iloc[: batch_size + batch_size // 2]
    )
    kept = train[session.isin(short)]
    rest = train[~item.isin(kept["ItemId"])].drop_duplicates("ItemId").copy()
    if pd.api.types.is_numeric_dtype(session):
        rest["SessionId"] = np.arange(len(rest)) + session.max() + 1
    else:
        rest["SessionId"] = [f"~{number}" for number in range(len(rest))]
    rest["Time"] = time.max()
    frame = pd.concat([kept, rest], ignore_index=True).astype({"SessionId": session.dtype, "Time": time.dtype})
    title = f"{dataset.title}: {short.size} short sessions, and the other items once"
    return Dataset(frame, dataset.test, title, fingerprint(frame, dataset.test))


class Expected(NamedTuple):
    """The reference after a short training, step by step in float64, and how far rounding may carry."""

    epochs: int
    steps: int
    losses: list[float]  # by epoch
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    loss_scale: Scale
    weight_scales: dict[str, Scale]
    optimizer_scales: dict[str, Scale]


def scenario_of(scenario: Scenario, dataset: Dataset | None = None, epochs: int = EPOCHS) -> Scenario:
    """The scenario of this check: the same options, few epochs, a prefix of the data (or ``dataset``)."""
    lengths = EVENTS[scenario.dtype]
    made = dataset or prefix(scenario.dataset, scenario.params.get("batch_size", 32), lengths)
    return replace(scenario, dataset=made).with_params(n_epochs=epochs)


def expected(check: Check, short: Scenario, reference: EngineSpec) -> Expected | None:
    """Walk the reference through ``short``, a scenario of :func:`scenario_of`, as many epochs as can be judged.

    In float32 it starts from the initial weights of a float32 engine, in float64.

    Returns:
        None, with the reason in ``check``, where not even the first epoch can be judged.
    """
    exact = replace(short, dtype="float64")
    engine = exact.prepare(reference)
    if short.dtype != "float64":
        engine.set_weights({n: w.astype(np.float64) for n, w in short.prepare(reference).get_weights().items()})
    spread = Spread(exact.plain(), replace(short, dtype="float32").plain(rounds=True), short.dtype)
    found, why = None, "the prefix of sessions gives no step"
    for records in _epochs(walk(engine, exact.params, exact.params["n_epochs"], scores=False)):
        loss_scale = 0.0
        scales: dict[str, Scale] = {}
        for record in records:
            gone = not_finite(record)
            if gone:
                why = f"the reference's own {gone} is not finite after step {record.number}"
                break
            scales, of_cost = spread.after(record)
            loss_scale = max(loss_scale, of_cost.norm)
        else:
            if not horizon_passed(scales, records[-1].after.weights, short.dtype):
                losses = [*(found.losses if found else []), _loss(records)]
                after, steps = records[-1].after, records[-1].number + 1
                found = Expected(
                    len(losses), steps, losses, after.weights, after.optimizer, Scale(loss_scale), scales,
                    spread.scales(records[-1], lambda r: r.after.optimizer),
                )  # fmt: skip
                continue
            why = (
                f"chaotic: within {records[-1].number + 1} steps rounding alone may move a weight tensor by more than "
                f"{TRAJECTORY_CAP[short.dtype]:g} of it"
            )
        break
    if found is None:
        check.not_covered.append(why)
    else:
        reached = moved_by_rounding(found.weight_scales, found.weights, short.dtype)
        check.notes.append(
            f"fit was judged on {found.steps} steps in {found.epochs} of {exact.params['n_epochs']} epochs; rounding "
            f"alone may move a weight tensor by {reached:.1g} of it"
        )
    return found


def check_fit(checks: Checks, wanted: Expected, short: Scenario, spec: EngineSpec, who: str = "") -> None:
    """``fit`` of a new engine against ``wanted``: losses by epoch, weights, optimizer state, the caller's frame."""
    if not hasattr(spec.cls, "fit"):
        checks["fit"].not_covered.append("the engine has no fit")
        return
    check, engine, losses = checks["fit"], short.with_params(n_epochs=wanted.epochs).create(spec), []
    given = short.dataset.train.copy()
    engine.fit(given, short.store, on_epoch_end=lambda epoch, loss: losses.append(float(loss)))
    check_frame_kept(checks, short.dataset.train, given, "fit")
    suffix, bound = f", {who}" if who else "", forced(short.dtype)
    check.equal(f"number of epochs{suffix}", len(losses), len(wanted.losses))
    for epoch, (loss, other) in enumerate(zip(losses, wanted.losses)):
        check.close(f"loss of epoch {epoch + 1}{suffix}", loss, other, bound, None, wanted.loss_scale)
    check.close_all(engine.get_weights(), wanted.weights, bound, None, wanted.weight_scales, suffix)
    if wanted.optimizer:
        check.close_all(engine.get_optimizer_state(), wanted.optimizer, bound, None, wanted.optimizer_scales, suffix)


def _epochs(records: Iterable[Record]) -> Iterator[list[Record]]:
    for _, group in groupby(records, key=lambda record: record.epoch):
        yield list(group)


def _loss(records: list[Record]) -> float:
    """The loss that ``fit`` prints: the steps' costs weighted by their lanes."""
    return float(np.average([r.cost for r in records], weights=[len(r.batch.X) for r in records]))
