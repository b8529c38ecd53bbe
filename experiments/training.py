"""Training of one model, shown as it goes."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Callable

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Epoch:
    """number: from 1. loss: mean over the epoch's events. seconds: of training, without the start-up of the first one.

    events_per_second: None where the whole epoch was one call.
    """

    number: int
    loss: float
    seconds: float
    events_per_second: float | None

    def describe(self, n_epochs: int) -> str:
        rate = "" if self.events_per_second is None else f", {self.events_per_second:,.0f} events/s"
        return f"epoch {self.number}/{n_epochs}: loss {self.loss:.6f}{rate}, {self.seconds:.1f} s"


class _Pace:
    """Events a second since a mark. The mark of a first epoch is its first report: what is before it compiles."""

    def __init__(self):
        self.begin: float | None = None
        self.before = self.events = 0

    def mark(self, events: int) -> None:
        self.begin, self.before, self.events = perf_counter(), events, events

    def at(self, events: int) -> float | None:
        if self.begin is None:
            self.mark(events)
        self.events = events
        seconds = perf_counter() - self.begin
        return (events - self.before) / seconds if events > self.before and seconds > 0 else None


def progress(console: Console) -> Progress:
    """A bar that leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def fit(
    gru: Any,
    data: pd.DataFrame,
    sample_store: int,
    bar: Progress,
    after_epoch: Callable[[Epoch], None],
    label: str = "",
    **options: Any,
) -> None:
    """Train ``gru`` up to its ``n_epochs``, with a task of ``bar`` that shows loss and events a second.

    after_epoch: called with each epoch; what it raises ends the training. options: further ones of ``gru.fit``.
    """
    task = bar.add_task(f"{label}starting", total=None, figures="")
    pace = _Pace()

    def on_step(step: Any) -> None:
        rate = pace.at(step.events)
        figures = f"loss {step.loss:.4f}" + (f"  {rate:,.0f} events/s" if rate else "")
        title = f"{label}epoch {step.epoch + 1}/{gru.n_epochs}"
        bar.update(task, description=title, completed=step.events, total=step.total_events, figures=figures)

    def on_epoch_end(epoch: int, loss: float) -> None:
        rate = pace.at(pace.events)
        after_epoch(Epoch(epoch + 1, float(loss), perf_counter() - pace.begin, rate))
        pace.mark(0)

    try:
        gru.fit(data, sample_store=sample_store, on_step=on_step, on_epoch_end=on_epoch_end, **options)
    finally:
        bar.remove_task(task)
