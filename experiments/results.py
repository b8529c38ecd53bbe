"""What an experiment found: a table in the terminal, a JSON or a TSV file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.models import Metrics
from experiments.training import Epoch
from parity import engines, tables
from parity.files import written_whole

SUFFIXES = (".json", ".tsv")


@dataclass
class Results:
    """command: the arguments. engine, mode: as used. device: what computed, in words.

    params: every option of the model. metrics: by test file. epochs: of this training, none where
    a saved model was loaded.
    """

    command: list[str]
    engine: str
    device: str
    mode: str
    params: dict[str, Any]
    epochs: list[Epoch] = field(default_factory=list)
    metrics: dict[str, Metrics] = field(default_factory=dict)
    diverged: bool = False

    def table(self) -> Table:
        """Recall@N and MRR@N, a row a test file."""
        cut_offs = list(next(iter(self.metrics.values())))
        headings = [f"{name}@{N}" for name in ("Recall", "MRR") for N in cut_offs]
        made = tables.table(f"Ranks: {self.mode}", "test file", *headings, right=headings)
        for file, metrics in self.metrics.items():
            made.add_row(file, *(f"{metrics[N][which]:.6f}" for which in (0, 1) for N in cut_offs))
        return made

    def write(self, path: Path) -> None:
        """Replace ``path`` as a whole: everything as ``.json``, or the table as ``.tsv``, a row a file and cut-off."""
        text = self._as_tsv() if path.suffix.lower() == ".tsv" else json.dumps(self._as_json(), indent=1) + "\n"
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _as_tsv(self) -> str:
        rows = [("test", "N", "recall", "mrr")]
        rows += [
            (file, str(N), repr(recall), repr(mrr))
            for file, metrics in self.metrics.items()
            for N, (recall, mrr) in metrics.items()
        ]
        return "".join("\t".join(row) + "\n" for row in rows)

    def _as_json(self) -> dict[str, Any]:
        metrics = {
            file: {name: {N: pair[which] for N, pair in found.items()} for which, name in enumerate(("recall", "mrr"))}
            for file, found in self.metrics.items()
        }
        return asdict(self) | {"metrics": metrics, "environment": engines.environment()}
