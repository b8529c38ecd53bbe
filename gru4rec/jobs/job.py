"""The trainings that a job has to do: planned before the data are prepared, then carried out one by one."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gru4rec import checkpoints, engines, files, metrics, models, remarks, tables, terminal, training
from gru4rec.baselines.of_the_papers import evaluate_baselines, evenly_chosen_sessions
from gru4rec.checkpoints import Checkpoint
from gru4rec.datasets.prepared import Dataset
from gru4rec.engines import EngineSpec
from gru4rec.jobs.arguments import ENGINES
from gru4rec.jobs.figure import write_figure
from gru4rec.jobs.results import Results
from gru4rec.jobs.tables import print_results
from gru4rec.published import Params
from gru4rec.training import Epoch, Run


@dataclass(frozen=True)
class Job:
    """One training to be done: the config of this name, by this engine, whose own options are in it."""

    config: str
    engine: EngineSpec
    params: Params
    overrides: Params

    @classmethod
    def of(cls, config: str, engine: EngineSpec, params: Params, overrides: Params) -> "Job":
        """params, overrides: the options, the latter as the user gave them; of the engine's program some, too."""
        program = {name: value for name, value in (params | overrides).items() if name in models.COMPUTED}
        return cls(config, engine.with_options(**program), params, overrides)

    def start(self) -> tuple[Run, Any]:
        """A run without epochs, and a new model.

        Raises:
            ValueError: for an option that the model does not accept.
            NotImplementedError: for one that the engine lacks.
        """
        params = {k: value for k, value in (self.params | self.overrides).items() if k not in self.engine.options}
        own = {name: params.pop(name) for name in ("dtype", "seed", "dropout_seed") if name in params}
        gru = self.engine.create(params, **own)
        return Run(self.engine.name, self.config, self.params | self.overrides), gru

    @property
    def name(self) -> str:
        return f"{self.config}-{self.engine.name}"


def plan(
    configs: Mapping[str, Params], given: argparse.Namespace, overrides: Params, n_epochs: int | None
) -> list[Job]:
    """Config by config, engine by engine, with ``n_epochs`` instead of the configs' own unless it is None.

    Imports the engines. Raises ImportError where that fails, and what :meth:`Job.start` does.
    """
    specs = [engines.named(name) for name in (ENGINES if given.engine == "both" else [given.engine])]
    changes: Params = {"dtype": given.dtype, "seed": given.seed}
    if n_epochs is not None:
        changes["n_epochs"] = n_epochs
    own = {"original": {"backend": given.mode or "c"}}
    jobs = [
        Job.of(name, spec, params | changes | own.get(spec.name, {}), overrides)
        for name, params in configs.items()
        for spec in specs
    ]
    for spec in specs:
        models.check_interface(spec)
    for job in jobs:
        job.start()  # a bad option shows here, before the data are prepared
    return jobs


@dataclass(frozen=True)
class Outputs:
    """Where a job writes.

    Attributes:
        out: the folder of results and data.
        checkpoints: that of the models after each epoch, None for none.
        models: that of ``--save``, None for none.
    """

    out: Path
    checkpoints: Path | None
    models: Path | None

    @classmethod
    def of(cls, given: argparse.Namespace) -> "Outputs":
        kept = given.out / "checkpoints" if given.checkpoint or given.resume else None
        return cls(given.out, kept, given.save)

    @property
    def results(self) -> Path:
        return self.out / "results.json"

    @property
    def tables(self) -> list[Path]:
        return [self.out / "results.csv", self.out / "results.parquet"]

    @property
    def figure(self) -> Path:
        return self.out / "results.png"

    def checkpoint(self, name: str, data: Dataset | None = None) -> Checkpoint | None:
        if not self.checkpoints:
            return None
        return Checkpoint(self.checkpoints / f"{name}.safetensors", data.sha256 if data else {}, training.SAMPLE_STORE)

    def model(self, name: str) -> Path | None:
        return self.models / f"{name}.safetensors" if self.models else None

    def prepare(self, jobs: Iterable[Job], inputs: files.Named, may_replace: bool) -> None:
        """Make the folders, and see that all files can be written, before any work.

        Raises:
            ValueError: where an input would be replaced, or a model unasked.
            OSError: where a folder cannot be made, or nothing can be written to it.
        """
        for option, folder in (("--out", self.out), ("--out", self.checkpoints), ("--save", self.models)):
            if folder:
                files.make_folder(option, folder)
        own = (self.results, *self.tables, self.figure)
        outputs: list[tuple[str, Path | None]] = [("--out", path) for path in own]
        for job in jobs:
            checkpoint, model = self.checkpoint(job.name), self.model(job.name)
            outputs += [("--save", model)]
            if checkpoint:
                outputs += [("--checkpoint", checkpoint.model), ("--checkpoint", checkpoint.record)]
            if not may_replace:
                for option, path in (("--checkpoint", checkpoint and checkpoint.model), ("--save", model)):
                    if path:
                        checkpoints.check_new(option, path)
        files.check_outputs(outputs, inputs)


def train_and_report(
    jobs: list[Job], data: Dataset, given: argparse.Namespace, command: list[str], console: Console
) -> int:
    """Evaluate the baselines where wanted, carry out the ``jobs``, write results and figure, print the tables.

    Returns the exit status: 1 where a training diverged, else 0.
    """
    describe(data, console)
    n_items = next(iter(data.counts.values())).items or 0
    for note in dict.fromkeys(filter(None, (remarks.small_catalogue(n_items, job.start()[1]) for job in jobs))):
        console.print(f"  note: {note}")
    outputs = Outputs.of(given)
    results = Results(data, command)
    if given.baselines or (given.baselines is None and data.synthetic):
        test = evenly_chosen_sessions(data.test, data.columns, given.baseline_sessions)
        results.baseline_sessions = test[data.columns.session].nunique(), data.counts[data.evaluated_part].sessions
        results.baselines = evaluate_baselines(data, test, given.seed)
    for job in jobs:
        carry_out(job, results, outputs, given.resume, console)

    results.write(outputs.results)
    for path in outputs.tables:
        tables.write(path, results.rows())
    write_figure(results, outputs.figure)
    print_results(results, console)
    console.print(f"Written: {', '.join(map(str, (outputs.results, *outputs.tables, outputs.figure)))}")
    return 1 if results.diverged else 0


def carry_out(job: Job, results: Results, outputs: Outputs, resume: bool, console: Console) -> None:
    """Train, evaluate and save one model; ``results`` and its file grow epoch by epoch."""
    run, gru = job.start()
    checkpoint, model = outputs.checkpoint(job.name, results.data), outputs.model(job.name)
    resumed = False
    if resume and checkpoint and (earlier := checkpoint.load(job.engine, run, gru)):
        run, gru = earlier
        resumed = True
        console.print(f"{job.config} {job.engine.name}: {len(run.epochs)} epoch(s) from {checkpoint.model}")
    results.runs.append(run)

    def after_epoch(epoch: Epoch) -> None:
        if checkpoint:
            checkpoint.save(run, gru)
        if model:
            with files.naming(model):
                gru.save(model)
        results.write(outputs.results)

    done = len(run.epochs)
    train(job, gru, run, results.data, console, after_epoch, resumed)
    if model and not run.diverged and len(run.epochs) == done:
        with files.naming(model):
            gru.save(model)


def train(
    job: Job, gru: Any, run: Run, data: Dataset, console: Console,
    after_epoch: Any = lambda epoch: None, resume: bool = False,
) -> None:  # fmt: skip
    """Train one model, evaluated after each epoch, with a line for each."""

    def evaluate() -> metrics.Metrics:
        return metrics.evaluate(job.engine, gru, data.test, data.columns)

    def show(epoch: Epoch) -> None:
        recall, mrr = epoch.metrics[20]
        figures = f"loss {epoch.loss:.4f}, Recall@20 {recall:.4f}, MRR@20 {mrr:.4f}, {epoch.seconds:.1f} s"
        console.print(f"  epoch {epoch.number}/{gru.n_epochs}: {figures}")
        after_epoch(epoch)

    label = f"{run.config} {job.engine.name}"
    if not (resume and len(run.epochs) >= gru.n_epochs):
        console.print(label, style="bold")
    with terminal.progress() as bar:
        training.fit(gru, data.train, run, bar, evaluate, show, resume=resume, label=f"{label} ")
    if run.diverged:
        console.print(f"  the training diverged: {run.fault}. Try a smaller learning_rate")


def describe(data: Dataset, console: Console) -> None:
    """What the data are, and whether they are those that results were published for."""
    console.print(data.title, style="bold yellow" if data.synthetic else "bold")
    for part, counts in data.counts.items():
        numbers = ", ".join(f"{number:,} {what}" for what, number in counts._asdict().items())
        console.print(f"  {part}: {numbers}")
    for remark in data.remarks:
        console.print(f"  {remark}")
    if data.unknown_events:
        share = f"{data.unknown_events:,} of the {len(data.test):,} events of {data.evaluated_part}"
        console.print(f"  {share} are of items that training does not have: evaluation leaves them out.")
    if data.published:
        console.print("  These are the published counts: results stand beside the published ones.")
    elif data.published is not None and not data.synthetic:
        console.print("  These are not the published counts: results are not comparable with the published ones.")
