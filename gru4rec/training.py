"""Training of one model with progress and timing, the same in every command.

The training ends as diverged where the engine says so, where the loss of an epoch is no number, and where a weight is
none at an epoch's end. Nothing is evaluated or saved then: what was saved last is the last good epoch.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from rich.progress import Progress

from gru4rec import models, signals
from gru4rec.metrics import Metrics
from gru4rec.published import Params

SAMPLE_STORE = 10_000_000  # negative samples drawn ahead


@dataclass
class Epoch:
    """What an epoch came to.

    Attributes:
        number: from 1.
        loss: mean over the epoch's events.
        seconds: of training; evaluation and start-up are not in it.
        events: trained on in these seconds.
        evaluation_seconds: of the evaluation after it.
        metrics: found by that, none where there was none.
    """

    number: int
    loss: float
    seconds: float
    events: int
    evaluation_seconds: float = 0.0
    metrics: Metrics = field(default_factory=dict)

    @property
    def events_per_second(self) -> float:
        return self.events / max(self.seconds, 1e-9)

    @classmethod
    def from_json(cls, epoch: dict[str, Any]) -> "Epoch":
        """From what ``asdict`` gave, after JSON made texts of its keys. Raises TypeError or ValueError otherwise."""
        metrics = {int(N): (float(recall), float(mrr)) for N, (recall, mrr) in dict(epoch.get("metrics", {})).items()}
        return cls(**epoch | {"metrics": metrics})


@dataclass
class Run:
    """A training: what was asked for, and what came of it.

    Attributes:
        engine, config: names.
        params: the options that were given.
        startup_seconds: until the first step was seen: sorting, first negative samples, compilation.
        epochs: as far as it came.
        diverged: whether the loss or a weight became no number.
        fault: what became no number, in words.
    """

    engine: str
    config: str
    params: Params
    startup_seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    diverged: bool = False
    fault: str = ""

    @property
    def name(self) -> str:
        return f"{self.config}-{self.engine}" if self.config else self.engine

    @property
    def training_seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def evaluation_seconds(self) -> float:
        return sum(epoch.evaluation_seconds for epoch in self.epochs)

    @property
    def events_per_second(self) -> float:
        return sum(epoch.events for epoch in self.epochs) / max(self.training_seconds, 1e-9)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class _Diverged(Exception):
    """Ends a training from within a callback of the engine."""


def fit(
    gru: Any,
    data: Any,
    run: Run,
    bar: Progress,
    evaluate: Callable[[], Metrics] | None = None,
    after_epoch: Callable[[Epoch], None] = lambda epoch: None,
    sample_store: int = SAMPLE_STORE,
    resume: bool = False,
    label: str = "",
) -> None:
    """Train ``gru`` up to its ``n_epochs``, and fill ``run`` in.

    Args:
        gru: a new model, or with ``resume`` one that was saved after the epochs of ``run``, which then goes on exactly.
        data: the training events, as the engine takes them.
        run: grows by an epoch at a time.
        bar: shows loss and events a second, in a task of its own.
        evaluate: called after each good epoch, for its metrics.
        after_epoch: called then; what it raises ends the training.
        sample_store: negative samples drawn ahead; 0 draws them step by step.
        resume: go on; the data must be the same.
        label: stands before the number of the epoch.

    Raises:
        KeyboardInterrupt: at the next step after a signal, whatever a library did of it.
    """
    if resume and len(run.epochs) >= gru.n_epochs:
        return
    task = bar.add_task(f"{label}starting", total=None, figures="")
    clock, first = _Clock(), len(run.epochs)

    def on_step(step: Any) -> None:
        signals.check()
        if clock.first_step(step.events):
            run.startup_seconds += clock.startup or 0.0
        rate = clock.rate(step.events)
        figures = f"loss {step.loss:.4f}" + (f"  {rate:,.0f} events/s" if rate else "")
        title = f"{label}epoch {step.epoch + 1}/{gru.n_epochs}"
        # the bar is of the whole training, so that the time left is, too
        seen, total = (step.epoch - first) * step.total_events + step.events, (gru.n_epochs - first) * step.total_events
        bar.update(task, description=title, completed=seen, total=total, figures=figures)
        clock.total_events = step.total_events

    def on_epoch_end(epoch: int, loss: float) -> None:
        seconds, events = clock.epoch()
        if not math.isfinite(loss):
            raise _Diverged(f"the loss of epoch {epoch + 1} is {loss}")
        if name := models.not_finite(gru):
            raise _Diverged(f"a weight of {name} is no finite number after epoch {epoch + 1}")
        found = Epoch(epoch + 1, float(loss), seconds, events)
        if evaluate:
            begin = perf_counter()
            found.metrics = evaluate()
            found.evaluation_seconds = perf_counter() - begin
        run.epochs.append(found)
        after_epoch(found)
        clock.start_epoch()

    more = {"resume": True} if resume else {}
    try:
        gru.fit(data, sample_store=sample_store, on_step=on_step, on_epoch_end=on_epoch_end, **more)
        if gru.error_during_train:
            unsaid = f"the loss became no number in epoch {len(run.epochs) + 1}"
            raise _Diverged(getattr(gru, "fault", "") or unsaid)
    except _Diverged as problem:
        run.diverged, run.fault = True, str(problem)
    finally:
        bar.remove_task(task)


class _Clock:
    """Time of start-up and of the epochs. The events of the first call belong to start-up, since it compiles."""

    def __init__(self) -> None:
        self.begin = perf_counter()
        self.startup: float | None = None
        self.total_events = self.skipped = 0

    def first_step(self, events: int) -> bool:
        if self.startup is not None:
            return False
        self.startup = perf_counter() - self.begin
        self.start_epoch()
        self.skipped = events
        return True

    def start_epoch(self) -> None:
        self.begin, self.skipped = perf_counter(), 0

    def rate(self, events: int) -> float:
        return max(0, events - self.skipped) / max(perf_counter() - self.begin, 1e-9)

    def epoch(self) -> tuple[float, int]:
        """Seconds and events of the epoch that has just ended."""
        return perf_counter() - self.begin, max(0, self.total_events - self.skipped)
