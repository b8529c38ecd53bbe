"""What a reproduction came to: a table in the terminal, results.json, results.csv and one HTML page."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from rich.table import Table

from gru4rec import files, options, terminal
from gru4rec.environment import environment
from gru4rec.published import RSC15_RESULTS, Figures, Params
from gru4rec.reproduction.material import Material, Target
from gru4rec.reproduction.runs import NAMES, WITHIN, Outcome, Row, rows

TITLES = {"recall": "Recall", "mrr": "MRR"}
HEADINGS = ("mean", "deviation", "published", "ratio")
JSON, CSV, PAGE = "results.json", "results.csv", "report.html"


@dataclass
class Reproduction:
    """All there is to tell.

    Attributes:
        target: the data set.
        config: the name of the settings.
        params: the options, as they were given to the model.
        changed: those that are not as published.
        command: the arguments.
        engine: its name and device.
        material: the data.
        seeds: that are asked for.
        published: by N, None where nothing was published for these settings.
        outcomes: as far as they have come.
        environment: what the figures may depend on besides.
    """

    target: Target
    config: str
    params: Params
    changed: tuple[str, ...]
    command: list[str]
    engine: str
    material: Material
    seeds: tuple[int, ...]
    published: Mapping[int, Figures] | None
    outcomes: list[Outcome] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=environment)

    @property
    def diverged(self) -> bool:
        return any(outcome.run.diverged for outcome in self.outcomes)

    @property
    def finished(self) -> bool:
        """Whether every seed is trained, to the last epoch, and measured."""
        return len(self.outcomes) == len(self.seeds) and all(outcome.metrics for outcome in self.outcomes)

    @property
    def rows(self) -> list[Row]:
        return rows(self.outcomes, self.published)

    @property
    def judged(self) -> bool:
        """Whether these figures can be held against the published ones: the same settings on the same data."""
        return self.published is not None and not self.changed and self.material.comparable == "yes" and self.finished

    @property
    def reproduced(self) -> bool:
        return all(abs((row.ratio or 0) - 1) <= WITHIN for row in self.rows if row.published)

    @property
    def verdict(self) -> str:
        """In one sentence."""
        if self.diverged:
            return "a training diverged"
        if not self.finished:
            done = sum(bool(outcome.metrics) for outcome in self.outcomes)
            return f"not finished: {done} of {len(self.seeds)} seeds"
        if self.judged:
            worst = max((row for row in self.rows if row.published), key=lambda row: abs((row.ratio or 0) - 1))
            says = "reproduced" if self.reproduced else "NOT reproduced"
            figure = f"{TITLES[worst.metric]}@{worst.N}"
            return f"{says}: {figure}, the figure furthest from the published one, is {worst.ratio:.3f} of it"
        if self.published is None:
            return f"not compared: nothing was published for {self.config} on these cut-offs"
        if self.material.comparable == "no":
            return f"not comparable with the published figures: {self.material.why}"
        if self.changed:
            return f"not comparable with the published figures: {', '.join(self.changed)} not as published"
        return f"beside the published figures, which may be for other data: {self.material.why}"

    def shows_ratio(self) -> bool:
        """Whether a ratio would say something."""
        return self.published is not None and self.material.comparable != "no"

    def write(self, folder: Path) -> None:
        """Replace the three files, each as a whole."""
        files.write_json(folder / JSON, self.as_json())
        files.write_text(folder / CSV, self._as_csv())
        files.write_text(folder / PAGE, page(self))

    def as_json(self) -> dict[str, Any]:
        return {
            "set": self.target.key,
            "config": self.config,
            "command": self.command,
            "engine": self.engine,
            "options": self.params,
            "changed": list(self.changed),
            "synthetic": self.material.synthetic,
            "comparable": self.material.comparable,
            "why": self.material.why,
            "verdict": self.verdict,
            "data": self._data(),
            "findings": [each.as_json() for each in self.material.findings],
            "runs": [outcome.as_json() for outcome in self.outcomes],
            "figures": [asdict(row) | {"ratio": row.ratio, "interval": row.interval} for row in self.rows],
            "environment": self.environment,
        }

    def _data(self) -> dict[str, Any]:
        material = self.material
        both = {"train_full": material.train, "test": material.test}
        return {
            part: {"file": str(each.path), "sha256": each.sha256} | material.counts[part]._asdict()
            for part, each in both.items()
        }

    def _as_csv(self) -> str:
        """A row a seed, metric and cut-off; then a row a metric and cut-off with the mean of the seeds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("set", "config", "engine", "seed", "metric", "N", "value", "deviation", "published", "ratio"))
        about = (self.target.key, self.config, self.engine)
        for row in self.rows:
            named = (row.metric, row.N)
            for outcome, value in zip((each for each in self.outcomes if each.metrics), row.values):
                ratio = value / row.published if row.published else ""
                writer.writerow((*about, outcome.seed, *named, repr(value), "", row.published or "", ratio))
            if row.values:
                deviation = "" if row.deviation != row.deviation else repr(row.deviation)
                ends = (repr(row.mean), deviation, row.published or "", row.ratio or "")
                writer.writerow((*about, "mean", *named, *ends))
        return text.getvalue()


def published_for(
    target: Target, config: str, results: Mapping[str, Mapping[int, Figures]]
) -> Mapping[int, Figures] | None:
    """What was published for these settings, by N; None where nothing was."""
    if config == target.settings:
        return results[target.name]
    if config in RSC15_RESULTS:
        at_20 = RSC15_RESULTS[config]
        return {20: Figures(at_20.recall, at_20.mrr)}
    return None


def table(made: Reproduction) -> Table:
    """Recall and MRR at each cut-off: the mean of the seeds, their deviation, the published figure, the ratio."""
    note = made.material.why if made.material.comparable == "no" else ""
    shown = terminal.make_table(
        f"{made.target.name}, {made.config}, {len(made.outcomes)} seed(s)", "", *HEADINGS, right=HEADINGS, caption=note
    )  # fmt: skip
    for row in made.rows:
        shown.add_row(f"{TITLES[row.metric]}@{row.N}", *cells(row, made.shows_ratio()))
    return shown


def cells(row: Row, with_ratio: bool) -> tuple[str, str, str, str]:
    """Mean, deviation, published figure and ratio as they are shown."""
    ratio = f"{row.ratio:.3f}" if row.ratio is not None and with_ratio else ""
    return (number(row.mean), number(row.deviation), f"{row.published:.4f}" if row.published else "", ratio)


def number(value: float) -> str:
    """Four decimals; nothing for what is no number."""
    return "" if value != value else f"{value:.4f}"


def page(made: Reproduction) -> str:
    """One page: no script, nothing beside it, nothing fetched; every text is escaped."""
    style = resources("gru4rec.reproduction").joinpath("templates/style.css").read_text(encoding="utf-8")
    return _templates().get_template("page.html").render(
        made=made, content=made.as_json(), rows=made.rows, titles=TITLES, names=NAMES, cells=cells, number=number,
        options=options.in_words(made.params).replace(",", ", "), plain=terminal.plain,
        style=Markup(style),  # noqa: S704 - our own file; nothing else goes in unescaped
    )  # fmt: skip


@lru_cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("gru4rec.reproduction"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
