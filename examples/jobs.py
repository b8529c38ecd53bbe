"""The trainings that a command has to do: planned before the data are prepared, then carried out one by one."""

import argparse
from dataclasses import dataclass
from typing import Any, Mapping

from rich.console import Console

from examples.checkpoints import Checkpoints
from examples.engines import ENGINES, Engine
from examples.results import Results
from examples.training import Run, progress_bar, train


@dataclass(frozen=True)
class Job:
    """One training to be done."""

    config: str
    engine: Engine
    params: dict[str, Any]
    overrides: dict[str, str]

    def start(self) -> tuple[Run, Any]:
        """A run without epochs, and a new model. Raises ValueError for an option that the model does not accept."""
        gru = self.engine.create(self.params, self.overrides)
        overridden = {name: getattr(gru, name) for name in self.overrides}
        return Run(self.engine.name, self.config, self.params | overridden), gru


def plan(
    configs: Mapping[str, dict[str, Any]], options: argparse.Namespace, overrides: dict[str, str], n_epochs: int | None
) -> list[Job]:
    """Config by config, engine by engine, with ``n_epochs`` instead of the configs' own unless it is None.

    Imports the engines. Raises ImportError where that fails, and what :meth:`Job.start` does.
    """
    engines = [Engine.named(name) for name in (ENGINES if options.engine == "both" else [options.engine])]
    changes = {"dtype": options.dtype, "seed": options.seed}
    if n_epochs is not None:
        changes["n_epochs"] = n_epochs
    own = {"original": {"backend": options.mode or "c"}}
    jobs = [
        Job(name, engine, params | changes | own.get(engine.name, {}), overrides)
        for name, params in configs.items()
        for engine in engines
    ]
    for job in jobs:
        job.start()  # a bad option shows here, before the data are prepared
    return jobs


def carry_out(job: Job, results: Results, options: argparse.Namespace, console: Console) -> None:
    """Train, evaluate and save one model; ``results`` and its file grow epoch by epoch."""
    result, gru = job.start()
    checkpoints = Checkpoints(options.out / "checkpoints", results.data.sha256)
    if options.resume and (earlier := checkpoints.load(result, job.engine)):
        n_epochs = gru.n_epochs
        result, gru = earlier
        gru.n_epochs = n_epochs
        console.print(f"{job.config} {job.engine.name}: {len(result.epochs)} epoch(s) from {checkpoints.folder}")
    results.runs.append(result)

    def after_epoch() -> None:
        if options.checkpoint or options.resume:
            checkpoints.save(result, gru)
        results.write(options.out / "results.json")

    with progress_bar(console=console, transient=True) as progress:
        train(job.engine, gru, result, results.data, progress, after_epoch)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        gru.save(options.save / f"{result.name}.safetensors")
