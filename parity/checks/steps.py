"""Teacher-forced steps: forward, loss, gradients, update. Before each step the engine is set to the reference's state.

Every step is taken twice from that state: by the program that returns gradients, and by the one that ``fit`` runs
(``train_step(gradients=False)``). They are two programs, and people run the second.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from parity.measure import Checks
from parity.protocol import Engine
from parity.scale import Scales
from parity.walk import Record, not_finite, set_state

NAMES = ("forward", "loss", "gradients", "update")
BY_FIT = " (fit's program)"
ScalesOf = Callable[[Record], Scales]


def check_steps(
    checks: Checks,
    records: Iterable[Record],
    engine: Engine,
    bound: float,
    scales_of: ScalesOf | None = None,
    gradients: bool = True,
    who: str = "",
) -> None:
    """Compare every step of the reference with the same step of ``engine``, from the same state.

    Args:
        checks: receives the comparisons. records: the reference's steps. engine: prepared as the reference was.
        bound: relative to the scales. scales_of: gives those of a step; without it the tensors' own norms serve.
        gradients: whether the program with gradients is run; it is not where the records came from it.
        who: a label for the engine, where several write into the same checks.
    """
    for _ in checked_steps(checks, records, {who: engine}, bound, scales_of, () if gradients else (who,)):
        pass


def checked_steps(
    checks: Checks,
    records: Iterable[Record],
    engines: Mapping[str, Engine],
    bound: float,
    scales_of: ScalesOf | None = None,
    only_fit: Iterable[str] = (),
) -> Iterator[Record]:
    """:func:`check_steps` of several engines by label, giving each record on once it is compared.

    only_fit: labels of the engines whose program with gradients made the records.
    """
    steppers = {who: _Stepper(checks, engine, bound, who, who not in only_fit) for who, engine in engines.items()}
    for record in records:
        gone = not_finite(record)
        if gone:
            for name in NAMES:
                checks[name].not_covered.append(
                    f"from step {record.number} on the reference's own figures are not finite (first: {gone})"
                )
            return
        scales = scales_of(record) if scales_of else Scales()
        for stepper in steppers.values():
            stepper.check(record, scales)
        yield record


class _Stepper:
    """One engine that is forced along; a program that has raised is not run again."""

    def __init__(self, checks: Checks, engine: Engine, bound: float, who: str, gradients: bool):
        self.checks, self.engine, self.bound = checks, engine, bound
        self.suffix = f", {who}" if who else ""
        self.programs = ([True] if gradients else []) + [False]
        self.scoring = gradients

    def check(self, record: Record, scales: Scales) -> None:
        if record.scores is not None and self.scoring:
            self.scoring = self._try(["forward"], self._scores, record, scales)
        for gradients in list(self.programs):
            names = NAMES if gradients else ("forward", "loss", "update")
            if not self._try(names, self._step, record, scales, gradients):
                self.programs.remove(gradients)

    def _try(self, names: Iterable[str], function: Callable, *arguments: Any) -> bool:
        return bool(self.checks.attempt(names, lambda checks: function(*arguments) or True))

    def _scores(self, record: Record, scales: Scales) -> None:
        self.engine.set_weights(record.before.weights)
        scores, _ = self.engine.scores(record.batch.X, record.before.hidden)
        self.checks["forward"].close(
            f"scores{self.suffix}", scores, record.scores, self.bound, record.number, scales.scores
        )

    def _step(self, record: Record, scales: Scales, gradients: bool) -> None:
        """One step by one program: hidden states, cost, gradients before the cap, and what it changes."""
        engine, checks, bound, step = self.engine, self.checks, self.bound, record.number
        set_state(engine, record.before)
        before = _Before(engine.get_weights(), engine.get_optimizer_state() if record.before.optimizer else {})
        batch = record.batch
        cost, found = engine.train_step(batch.X, batch.Y, batch.R, masks=record.masks, gradients=gradients)
        suffix = self.suffix if gradients else BY_FIT + self.suffix
        hidden = {f"H{k}": H for k, H in enumerate(engine.get_hidden())}
        wanted = {f"H{k}": H for k, H in enumerate(record.after.hidden)}
        checks["forward"].close_all(hidden, wanted, bound, step, scales.hidden, suffix)
        if record.masks:
            checks["dropout"].close_all(hidden, wanted, bound, step, scales.hidden, " given the masks" + suffix)
        checks["loss"].close("cost" + suffix, cost, record.cost, bound, step, scales.cost)
        if gradients:
            checks["gradients"].close_all(found or {}, record.gradients, bound, step, scales.gradients, self.suffix)
        weights = engine.get_weights()
        changes = _changes(before.weights, weights), _changes(record.before.weights, record.after.weights)
        checks["update"].close_all(*changes, bound, step, scales.weights, suffix)
        self._untouched(record, before.weights, weights, suffix)
        if record.after.optimizer:
            changes = (
                _changes(before.optimizer, engine.get_optimizer_state()),
                _changes(record.before.optimizer, record.after.optimizer),
            )
            checks["update"].close_all(*changes, bound, step, scales.optimizer, suffix)

    def _untouched(self, record: Record, before: Mapping, after: Mapping, suffix: str) -> None:
        """Rows of items that the step did not read stay as they are, to the last bit."""
        read = np.union1d(record.batch.X, record.batch.Y)
        for name, gradient in record.gradients.items():
            n = len(record.after.weights[name])
            if name in after and np.shape(gradient) != np.shape(record.after.weights[name]) and n > len(read):
                changed = np.delete(np.asarray(after[name]) != np.asarray(before[name]), read, axis=0)
                self.checks["update"].equal(
                    f"{name}: values changed unread{suffix}", int(changed.sum()), 0, record.number
                )


class _Before:
    """What the engine itself holds after it was set: the values in its own type."""

    def __init__(self, weights: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray]):
        self.weights, self.optimizer = weights, optimizer


def _changes(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
    """after - before in float64, by name; None where a side lacks the tensor, or has it in another shape."""
    return {
        name: np.asarray(values, np.float64) - np.asarray(before[name], np.float64)
        if name in before and np.shape(before[name]) == np.shape(values)
        else None
        for name, values in after.items()
    }
