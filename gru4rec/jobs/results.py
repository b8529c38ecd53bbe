"""All results of one job, and ``results.json``."""

import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gru4rec import files
from gru4rec.baselines.of_the_papers import POPULARITY, BaselineResult
from gru4rec.datasets.prepared import Dataset
from gru4rec.environment import environment, machine, versions
from gru4rec.metrics import by_metric
from gru4rec.published import Published
from gru4rec.training import Run


@dataclass
class Results:
    """The runs and baselines of one command, as far as they have come."""

    data: Dataset
    command: list[str]
    runs: list[Run] = field(default_factory=list)
    baselines: list[BaselineResult] = field(default_factory=list)
    baseline_sessions: tuple[int, int] = (0, 0)  # evaluated, of all

    @property
    def diverged(self) -> bool:
        return any(run.diverged for run in self.runs)

    def of_config(self, config: str) -> list[Run]:
        return [run for run in self.runs if run.config == config]

    @property
    def configs(self) -> list[str]:
        return list(dict.fromkeys(run.config for run in self.runs))

    @property
    def best_popularity(self) -> BaselineResult | None:
        """The popularity baseline of the highest Recall@20."""
        popular = (result for result in self.baselines if result.name in POPULARITY)
        return max(popular, key=lambda result: result.metrics[20][0], default=None)

    def published(self, config: str) -> Published | None:
        """The published results of a config, where they can be compared: on the published data."""
        return (self.data.published or {}).get(config)

    def write(self, path: Path) -> None:
        """Replace the JSON file ``path`` as a whole."""
        files.write_json(path, self.as_json())

    def rows(self) -> list[dict[str, Any]]:
        """The metrics, tidy: a row for each epoch and cut-off of a run, and for each cut-off of a baseline."""
        of_runs = [
            {"config": run.config, "engine": run.engine, "epoch": epoch.number, "loss": epoch.loss,
             "seconds": epoch.seconds, "N": N, "recall": recall, "mrr": mrr}
            for run in self.runs for epoch in run.epochs for N, (recall, mrr) in epoch.metrics.items()
        ]  # fmt: skip
        of_baselines = [
            {"config": None, "engine": result.name, "epoch": None, "loss": None, "seconds": result.fit_seconds,
             "N": N, "recall": recall, "mrr": mrr}
            for result in self.baselines for N, (recall, mrr) in result.metrics.items()
        ]  # fmt: skip
        return of_runs + of_baselines

    def as_json(self) -> dict[str, Any]:
        return {
            "synthetic": self.data.synthetic,
            "command": self.command,
            "data": {
                "source": self.data.title,
                "sha256": self.data.sha256,
                "counts": {part: counts._asdict() for part, counts in self.data.counts.items()},
                "unknown_events": self.data.unknown_events,
            }
            | ({} if self.data.published is None else {"counts_equal_published": bool(self.data.published)}),
            "runs": [self._run_as_json(run) for run in self.runs],
            "baseline_sessions": dict(zip(("evaluated", "of"), self.baseline_sessions)),
            "baselines": [asdict(result) | {"metrics": by_metric(result.metrics)} for result in self.baselines],
            "versions": {"python": platform.python_version()} | versions(),
            "machine": machine(),
            "environment": environment(),
        }

    def _run_as_json(self, run: Run) -> dict[str, Any]:
        published = self.published(run.config)
        return run.as_json() | {
            "epochs": [asdict(epoch) | {"metrics": by_metric(epoch.metrics)} for epoch in run.epochs],
            "training_seconds": run.training_seconds,
            "evaluation_seconds": run.evaluation_seconds,
            "events_per_second": run.events_per_second,
            "published": asdict(published) if published else None,
        }
