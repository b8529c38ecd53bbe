"""Training of one model with progress, timing, and evaluation after each epoch."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Callable

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from examples.data import Dataset
from examples.engines import Engine

CUT_OFFS = (1, 5, 10, 20)
EVALUATION_LANES = 100

Metrics = dict[int, tuple[float, float]]  # N -> (Recall@N, MRR@N)


@dataclass
class Epoch:
    loss: float
    seconds: float  # of training; evaluation and start-up are not in it
    events: int  # trained on in these seconds
    evaluation_seconds: float
    metrics: Metrics


@dataclass
class Run:
    """A training: what was asked for, and what came of it."""

    engine: str
    config: str
    params: dict[str, Any]
    startup_seconds: float = 0.0  # until the first step was seen: sorting, first negative samples, compilation
    epochs: list[Epoch] = field(default_factory=list)
    diverged: bool = False

    @property
    def name(self) -> str:
        return f"{self.config}-{self.engine}"

    @property
    def training_seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def evaluation_seconds(self) -> float:
        return sum(epoch.evaluation_seconds for epoch in self.epochs)

    @property
    def events_per_second(self) -> float:
        return sum(epoch.events for epoch in self.epochs) / max(self.training_seconds, 1e-9)


def progress_bar(**options: Any) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(compact=True),
        **options,
    )


def train(
    engine: Engine,
    gru: Any,
    run: Run,
    data: Dataset,
    progress: Progress,
    after_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train ``gru`` up to its ``n_epochs``, after the epochs that ``run`` already has, and fill ``run`` in.

    After each epoch the model is evaluated on the test part, and ``after_epoch`` is called.
    """
    done = len(run.epochs)
    if done >= gru.n_epochs:
        return
    label = f"{run.config} {engine.name}"
    progress.console.print(label, style="bold")
    task = progress.add_task(f"{label}: starting", total=None, loss=float("nan"), rate=0.0)
    clock = _Clock()

    def on_step(step: Any) -> None:
        if clock.first_step(step.events):
            run.startup_seconds += clock.startup
        progress.update(
            task,
            description=f"{label} {step.epoch + 1}/{gru.n_epochs}",
            total=step.total_events,
            completed=step.events,
            loss=step.loss,
            rate=clock.rate(step.events),
        )
        clock.total_events = step.total_events

    def on_epoch_end(epoch: int, loss: float) -> None:
        seconds, events = clock.epoch()
        begin = perf_counter()
        metrics = evaluate(engine, gru, data)
        run.epochs.append(Epoch(float(loss), seconds, events, perf_counter() - begin, metrics))
        recall, mrr = metrics[20]
        figures = f"loss {loss:.4f}, Recall@20 {recall:.4f}, MRR@20 {mrr:.4f}, {seconds:.1f} s"
        progress.console.print(f"  epoch {epoch + 1}/{gru.n_epochs}: {figures}")
        after_epoch()
        clock.start_epoch()

    try:
        gru.fit(data.train, resume=done > 0, on_step=on_step, on_epoch_end=on_epoch_end)
    finally:
        progress.remove_task(task)
    run.diverged = bool(gru.error_during_train)


def evaluate(engine: Engine, gru: Any, data: Dataset) -> Metrics:
    metrics = engine.evaluate(
        gru,
        data.test,
        session_key=data.columns.session,
        item_key=data.columns.item,
        time_key=data.columns.time,
        cut_off=list(CUT_OFFS),
        batch_size=EVALUATION_LANES,
        mode="conservative",
    )
    return {N: (float(recall), float(mrr)) for N, (recall, mrr) in metrics.items()}


class _Clock:
    """Time of start-up and of the epochs. The events of the first call belong to start-up, since it compiles."""

    def __init__(self):
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
        return (events - self.skipped) / max(perf_counter() - self.begin, 1e-9)

    def epoch(self) -> tuple[float, int]:
        """Seconds and events of the epoch that has just ended."""
        return perf_counter() - self.begin, self.total_events - self.skipped
