"""A comparison as a table in the terminal, 80 columns wide, and as a figure."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from gru4rec import terminal
from gru4rec.dwelltime.comparison import PLAIN, Comparison, Outcome, mean_and_deviation
from gru4rec.files import written_whole

PARTS = {"all": "all events", "without_repeats": "no repeats"}
METRICS = {"recall@20": "Recall@20", "mrr@20": "MRR@20"}
SHOWN = [(part, metric) for part in PARTS for metric in METRICS]

_ENGINE_STYLES: dict[str, dict[str, Any]] = {
    "original": dict(color="#4477aa", marker="o"),
    "keras": dict(color="#cc3311", marker="x"),
}


def table(comparison: Comparison) -> Table:
    """Mean and standard deviation over seeds, and of the differences to the plain run of the same seed."""
    data = comparison.data
    notes = [
        comparison.synthetic,
        (
            f"{data['repeats']:,} of the {data['predicted_events']:,} predicted events "
            f"({data['repeats'] / data['predicted_events']:.1%}) are repeats: of the item just seen."
        ),
        "- plain: differences to plain, seed by seed.",
    ]
    title = "After the last epoch: mean ± standard deviation over seeds"
    table = terminal.make_table(title, caption="\n".join(filter(None, notes)), padding=0, show_edge=False)
    table.add_column("")
    for part, metric in SHOWN:
        table.add_column(f"{METRICS[metric]}\n{PARTS[part]}", justify="right", no_wrap=True)
    for config, engine in comparison.groups:
        table.add_row(f"{config} {engine}", style="bold")
        variants = comparison.variants(config, engine)
        for variant, by_seed in variants.items():
            cells = ([outcome.figure(*shown) for outcome in by_seed.values()] for shown in SHOWN)
            table.add_row(
                f"{variant}, {len(by_seed)} seed{'s' * (len(by_seed) > 1)}", *(_cell(values, "") for values in cells)
            )
            if pairs := _pairs(variants, variant):
                cells = ([one.figure(*shown) - plain.figure(*shown) for one, plain in pairs] for shown in SHOWN)
                table.add_row("  - plain", *(_cell(values, "+") for values in cells), style="dim")
    return table


def _pairs(variants: dict[str, dict[int, Outcome]], variant: str) -> list[tuple[Outcome, Outcome]]:
    """The runs of a variant, each with the plain run of its seed."""
    plain = variants.get(PLAIN, {}) if variant != PLAIN else {}
    return [(outcome, plain[seed]) for seed, outcome in variants[variant].items() if seed in plain]


def _cell(values: list[float], sign: str) -> str:
    mean, deviation = mean_and_deviation(values)
    if np.isnan(mean):
        return "NaN"
    return f"{mean:{sign}.4f}" + ("" if np.isnan(deviation) else f"±{deviation:.4f}")


def write_figure(comparison: Comparison, path: Path) -> None:
    """Replace the PNG file ``path`` as a whole."""
    with written_whole(path) as temporary:
        draw(comparison).savefig(temporary, format="png", dpi=120)


def draw(comparison: Comparison) -> Figure:
    """A row of panels for each config: a point for each run, a line at the mean of a variant's seeds."""
    configs = list(dict.fromkeys(config for config, _ in comparison.groups))
    figure = Figure(figsize=(11, 1.1 + 2.5 * len(configs)), layout="constrained")
    axes = figure.subplots(len(configs), len(SHOWN), squeeze=False)
    names = list(dict.fromkeys(outcome.variant for outcome in comparison.outcomes))
    for row, config in zip(axes, configs):
        engines = [engine for each, engine in comparison.groups if each == config]
        for panel, (part, metric) in zip(row, SHOWN):
            for place, engine in enumerate(engines):
                style = _ENGINE_STYLES[engine]
                for variant, by_seed in comparison.variants(config, engine).items():
                    values = [outcome.figure(part, metric) for outcome in by_seed.values()]
                    x = names.index(variant) + 0.25 * (place - (len(engines) - 1) / 2)
                    panel.scatter([x] * len(values), values, s=28, **style)
                    panel.hlines(np.mean(values), x - 0.1, x + 0.1, color=style["color"], alpha=0.6)
            panel.set_title(f"{METRICS[metric]}, {PARTS[part]}", fontsize="small")
            panel.set_xticks(range(len(names)), names, fontsize="small", rotation=20)
            panel.set_xlim(-0.5, len(names) - 0.5)
            panel.grid(alpha=0.3, axis="y")
        row[0].set_ylabel(config)
    engines = list(dict.fromkeys(engine for _, engine in comparison.groups))
    marks = [Line2D([], [], linestyle="", **_ENGINE_STYLES[engine]) for engine in engines]
    figure.legend(marks, engines, loc="outside lower center", ncols=2, fontsize="small")
    note = "a point for each seed, a line at their mean; every panel has a scale of its own"
    figure.suptitle("\n".join(filter(None, (comparison.synthetic, note))), fontsize="medium")
    return figure
