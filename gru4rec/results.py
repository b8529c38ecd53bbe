"""What ``gru4rec PATH`` found: a table in the terminal, a JSON file or a tidy table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from gru4rec import files, tables, terminal
from gru4rec.environment import environment
from gru4rec.metrics import Metrics, by_metric
from gru4rec.published import Params
from gru4rec.training import Run

SUFFIXES = (".json", *tables.SUFFIXES)


@dataclass
class Results:
    """What there is to tell.

    Attributes:
        command: the arguments.
        engine, mode: as used.
        device: what computed, in words.
        params: every option of the model.
        sha256: of the files that were read.
        run: the training, None where a saved model was loaded.
        metrics: by test file.
    """

    command: list[str]
    engine: str
    device: str
    mode: str
    params: Params
    sha256: dict[str, str] = field(default_factory=dict)
    run: Run | None = None
    metrics: dict[str, Metrics] = field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        return self.run is not None and self.run.diverged

    def table(self) -> Table:
        """Recall@N and MRR@N, a row a test file."""
        cut_offs = list(next(iter(self.metrics.values())))
        headings = [f"{name}@{N}" for name in ("Recall", "MRR") for N in cut_offs]
        made = terminal.make_table(f"Ranks: {self.mode}", "test file", *headings, right=headings)
        for file, metrics in self.metrics.items():
            made.add_row(file, *(f"{metrics[N][which]:.6f}" for which in (0, 1) for N in cut_offs))
        return made

    def write(self, path: Path) -> None:
        """Replace ``path`` as a whole: everything as ``.json``, or the metrics as a table, a row a file and cut-off."""
        if path.suffix.lower() == ".json":
            files.write_json(path, self._as_json())
        else:
            tables.write(path, self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The metrics, tidy."""
        return [
            {"test": file, "N": N, "recall": recall, "mrr": mrr}
            for file, metrics in self.metrics.items()
            for N, (recall, mrr) in metrics.items()
        ]

    def _as_json(self) -> dict[str, Any]:
        epochs = [] if self.run is None else self.run.epochs
        return {
            "command": self.command,
            "engine": self.engine,
            "device": self.device,
            "mode": self.mode,
            "params": self.params,
            "sha256": self.sha256,
            "epochs": [
                {"number": epoch.number, "loss": epoch.loss, "seconds": epoch.seconds,
                 "events_per_second": epoch.events_per_second if epoch.events else None}
                for epoch in epochs
            ],
            "metrics": {file: by_metric(found) for file, found in self.metrics.items()},
            "diverged": self.diverged,
            "fault": self.run.fault if self.run else "",
            "environment": environment(),
        }  # fmt: skip

