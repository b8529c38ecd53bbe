"""The distribution of dwell times, as a figure."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from gru4rec.dwelltime.tally import Statistics
from gru4rec.files import written_whole

BINS = 60
WHISKERS = (0.05, 0.95)
_MARKS = {1e-3: "1 ms", 1e-2: "10 ms", 0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"} | {
    86_400 * days: f"{days:,} d" for days in (1, 10, 100, 1000)
}
COLOUR = "#4477aa"


def write_figure(statistics: Statistics, threshold: float, title: str, path: Path) -> None:
    """Replace the PNG file ``path`` as a whole."""
    with written_whole(path) as temporary:
        draw(statistics, threshold, title).savefig(temporary, format="png", dpi=120)


def draw(statistics: Statistics, threshold: float, title: str) -> Figure:
    """Histogram below, box plot above, over one logarithmic axis of seconds: dwell times range over decades."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    box, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    shortest, longest = statistics.quantile(0), statistics.quantile(1)

    quartiles = {name: statistics.quantile(share) for name, share in (("q1", 0.25), ("med", 0.5), ("q3", 0.75))}
    low, high = (statistics.quantile(share) for share in WHISKERS)
    box.bxp(
        [quartiles | {"mean": statistics.mean, "whislo": low, "whishi": high, "fliers": [shortest, longest]}],
        orientation="horizontal",
        widths=0.5,
        showmeans=True,
        patch_artist=True,
        boxprops=dict(facecolor=COLOUR, alpha=0.5),
        medianprops=dict(color="black"),
        meanprops=dict(marker="D", markerfacecolor="white", markeredgecolor="black"),
        flierprops=dict(marker="|", markeredgecolor="0.4"),
    )
    box.set_yticks([])
    box.set_title("box: quartiles; whiskers: 5% and 95%; diamond: mean; ticks: least and longest", fontsize="small")

    edges = (
        np.geomspace(shortest, longest * (1 + 1e-9), BINS + 1) if longest > shortest else [shortest / 2, longest * 2]
    )
    histogram.hist(statistics.seconds, edges, weights=statistics.counts, color=COLOUR, alpha=0.7)
    histogram.set_xscale("log")
    histogram.set_xlabel("dwell time (zero left out)")
    histogram.set_ylabel("events")
    histogram.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    marks = {at: text for at, text in _MARKS.items() if edges[0] <= at <= edges[-1]}
    if len(marks) > 1:
        histogram.set_xticks(list(marks), marks.values())
        histogram.xaxis.set_minor_locator(NullLocator())
    for panel in (box, histogram):
        panel.axvline(threshold, color="#cc3311", linestyle="--", linewidth=1.2, label=f"threshold, {threshold:g} s")
        panel.grid(alpha=0.3, axis="x")
    histogram.legend(fontsize="small")
    figure.suptitle(title, fontsize="medium")
    return figure
