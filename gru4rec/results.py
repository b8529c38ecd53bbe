"""What ``gru4rec PATH`` found: a table in the terminal, a JSON or a TSV file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from gru4rec import files, terminal
from gru4rec.environment import environment
from gru4rec.metrics import Metrics, by_metric
from gru4rec.published import Params
from gru4rec.training import Run

SUFFIXES = (".json", ".tsv")


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
        """Replace ``path`` as a whole: everything as ``.json``, or the table as ``.tsv``, a row a file and cut-off."""
        if path.suffix.lower() == ".tsv":
            files.write_text(path, self._as_tsv())
        else:
            files.write_json(path, self._as_json())

    def _as_tsv(self) -> str:
        rows = [("test", "N", "recall", "mrr")]
        rows += [
            (_cell(file), str(N), repr(recall), repr(mrr))
            for file, metrics in self.metrics.items()
            for N, (recall, mrr) in metrics.items()
        ]
        return "".join("\t".join(row) + "\n" for row in rows)

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


def _cell(name: str) -> str:
    """A file's name as a cell that no spreadsheet takes for a formula, and no reader for two cells."""
    shown = terminal.plain(name).replace("\t", "\\t").replace("\n", "\\n")
    return f"./{shown}" if shown[:1] in "=+-@" else shown
