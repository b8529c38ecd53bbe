"""The runs of a comparison, over seeds; and ``results.json``, from which it can be taken up."""

import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gru4rec import files
from gru4rec.checkpoints import differences
from gru4rec.dwelltime.metrics import Measured
from gru4rec.environment import environment, machine, versions
from gru4rec.terminal import shortened

PLAIN = "plain"


@dataclass
class Outcome:
    """What came of one training, on so many events an epoch.

    epochs: loss, seconds of training, and metrics over all test events after each. metrics: after the last epoch, by
    part of the test events; None when the loss became no number.
    """

    config: str
    engine: str
    variant: str
    seed: int
    params: dict[str, Any]
    train_events: int = 0
    epochs: list[Measured] = field(default_factory=list)
    metrics: dict[str, Measured] | None = None

    def check(self) -> None:
        """Raise TypeError where a file gave it values of other kinds."""
        texts = (self.config, self.engine, self.variant)
        numbers = [value for figures in (*self.epochs, *(self.metrics or {}).values()) for value in figures.values()]
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.params, dict):
            raise TypeError("names and parameters of a run")
        if not all(isinstance(value, int | float) for value in (self.seed, self.train_events, *numbers)):
            raise TypeError("numbers of a run")

    @property
    def name(self) -> str:
        return f"{self.config} {self.variant} {self.engine}, seed {self.seed}"

    def figure(self, part: str, metric: str) -> float:
        """Of the last epoch; NaN where there is none."""
        return (self.metrics or {}).get(part, {}).get(metric, float("nan"))


@dataclass
class Comparison:
    """data: what every run was trained and evaluated on, as plain JSON values. synthetic: a warning, or None."""

    data: dict[str, Any]
    synthetic: str | None
    command: list[str]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(config, engine), in the order of the runs."""
        return list(dict.fromkeys((outcome.config, outcome.engine) for outcome in self.outcomes))

    def variants(self, config: str, engine: str) -> dict[str, dict[int, Outcome]]:
        """Of a config and an engine the outcomes by variant and seed; plain first."""
        found: dict[str, dict[int, Outcome]] = {}
        for outcome in self.outcomes:
            if (outcome.config, outcome.engine) == (config, engine):
                found.setdefault(outcome.variant, {})[outcome.seed] = outcome
        return dict(sorted(found.items(), key=lambda pair: pair[0] != PLAIN))

    def find(self, wanted: Outcome) -> Outcome | None:
        """The outcome of the same run. Raises ValueError where one is of other settings."""
        for outcome in self.outcomes:
            if outcome.name != wanted.name:
                continue
            differences(outcome.params, wanted.params, wanted.name, extendable=())
            return outcome
        return None

    def write(self, path: Path) -> None:
        """Replace the JSON file ``path`` as a whole."""
        content = {
            "synthetic": self.synthetic,
            "command": self.command,
            "data": self.data,
            "runs": [asdict(outcome) for outcome in self.outcomes],
            "versions": {"python": platform.python_version()} | versions(),
            "machine": machine(),
            "environment": environment(),
        }
        files.write_json(path, content)

    def rows(self) -> list[dict[str, Any]]:
        """The metrics after the last epoch, tidy: a row for each run, part of the test events and metric."""
        return [
            {"config": run.config, "engine": run.engine, "variant": run.variant, "seed": run.seed, "part": part,
             "metric": metric, "value": value}
            for run in self.outcomes for part, found in (run.metrics or {}).items() for metric, value in found.items()
        ]  # fmt: skip

    def take_up(self, path: Path) -> None:
        """Take over the runs of a results file; where there is none, nothing.

        Raises:
            ValueError: when the file is of other data, or no results file.
        """
        if not path.exists():
            return
        saved = files.read_json(path, "results file")
        try:
            runs = [Outcome(**run) for run in saved["runs"]]
            for run in runs:
                run.check()
            same_data = saved["data"]["sha256"] == self.data["sha256"]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            said = shortened(repr(error))
            raise ValueError(f"--resume: {path} is no results file of this command ({said})") from None
        if not same_data:
            raise ValueError(f"--resume: {path} is of other data; give another --out, or leave out --resume")
        self.outcomes = runs


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The standard deviation is that of a sample; NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
