"""Training of one model with progress, timing, evaluation after each epoch, and checkpoints."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Callable

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from examples.files import written_whole
from examples.rsc15.data import Dataset
from examples.rsc15.engines import Engine

CUT_OFFS = (1, 5, 10, 20)
EVALUATION_LANES = 100
EXTENDABLE = "n_epochs"  # the one setting that may change when a training is taken up again

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


class Checkpoints:
    """The last epoch of a run in a folder: ``NAME-epochK.safetensors``, and ``NAME.json``, which names it.

    The JSON file is replaced after the model file is whole: a run that is cut off at any moment can be taken up.
    """

    def __init__(self, folder: Path, sha256: dict[str, str]):
        self.folder = folder
        self.sha256 = sha256

    def save(self, run: Run, gru: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        model = self.folder / f"{run.name}-epoch{len(run.epochs)}.safetensors"
        gru.save(model)
        record = {"model": model.name, "sha256": self.sha256, "run": asdict(run)}
        with written_whole(self.folder / f"{run.name}.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1))
        for earlier in self.folder.glob(f"{run.name}-epoch*.safetensors"):
            if earlier != model:
                earlier.unlink()

    def load(self, run: Run, engine: Engine) -> tuple[Run, Any] | None:
        """The run as far as it came, and its model; None when there is no checkpoint.

        Raises ValueError when the checkpoint belongs to other data or other settings.
        """
        path = self.folder / f"{run.name}.json"
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        if record["sha256"] != self.sha256:
            raise ValueError(f"--resume: {path} was made on other data; give another --out, or leave out --resume")
        saved = record["run"]
        for name, value in run.params.items():
            if name != EXTENDABLE and saved["params"].get(name) != value:
                raise ValueError(
                    f"--resume: {path} was made with {name}={saved['params'].get(name)!r}, not {value!r}; "
                    "give another --out, or leave out --resume"
                )
        epochs = [
            Epoch(**epoch | {"metrics": {int(N): tuple(pair) for N, pair in epoch["metrics"].items()}})
            for epoch in saved["epochs"]
        ]
        earlier = Run(run.engine, run.config, run.params, saved["startup_seconds"], epochs)
        return earlier, engine.model.load(self.folder / record["model"])


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
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train ``gru`` up to its ``n_epochs``, after the epochs that ``run`` already has; fill ``run`` in, and return it.

    After each epoch the model is evaluated on the test part, a checkpoint written if wanted, and ``on_epoch`` called.
    """
    done = len(run.epochs)
    if done >= gru.n_epochs:
        return run
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
        if checkpoints:
            checkpoints.save(run, gru)
        recall, mrr = metrics[CUT_OFFS[-1]]
        figures = f"loss {loss:.4f}, Recall@20 {recall:.4f}, MRR@20 {mrr:.4f}, {seconds:.1f} s"
        progress.console.print(f"  epoch {epoch + 1}/{gru.n_epochs}: {figures}")
        on_epoch(run)
        clock.start_epoch()

    try:
        gru.fit(data.train, resume=done > 0, on_step=on_step, on_epoch_end=on_epoch_end)
    finally:
        progress.remove_task(task)
    run.diverged = bool(gru.error_during_train)
    return run


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
