"""All results of one command, and ``results.json``."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from examples.baselines import POPULARITY, BaselineResult
from examples.data import Dataset, Published
from examples.training import Metrics, Run
from parity.files import written_whole

PACKAGES = ("numpy", "scipy", "pandas", "polars", "aesara", "jax", "keras", "tensorflow", "torch")


@dataclass
class Results:
    """The runs and baselines of one command, as far as they have come."""

    data: Dataset
    command: list[str]
    runs: list[Run] = field(default_factory=list)
    baselines: list[BaselineResult] = field(default_factory=list)
    baseline_sessions: tuple[int, int] = (0, 0)  # evaluated, of all

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
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(self.as_json(), indent=1) + "\n")

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
            "versions": versions(),
            "machine": {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()},
        }

    def _run_as_json(self, run: Run) -> dict[str, Any]:
        published = self.published(run.config)
        return asdict(run) | {
            "epochs": [asdict(epoch) | {"metrics": by_metric(epoch.metrics)} for epoch in run.epochs],
            "training_seconds": run.training_seconds,
            "evaluation_seconds": run.evaluation_seconds,
            "events_per_second": run.events_per_second,
            "published": asdict(published) if published else None,
        }


def by_metric(metrics: Metrics) -> dict[str, dict[int, float]]:
    """``{"recall": {N: value}, "mrr": {N: value}}``"""
    return {name: {N: pair[which] for N, pair in metrics.items()} for which, name in enumerate(("recall", "mrr"))}


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result may depend on, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
