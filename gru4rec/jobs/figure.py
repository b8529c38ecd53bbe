"""Loss and Recall@20 by epoch, as a figure."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from gru4rec.files import written_whole
from gru4rec.jobs.results import Results

# The curves of two engines that agree lie on each other: a wide one below, a dashed one above.
ENGINE_STYLES = {
    "original": dict(color="#4477aa", linewidth=4, alpha=0.45, marker="o", markersize=8, markeredgewidth=0),
    "keras": dict(color="#cc3311", linewidth=1.5, linestyle="--", marker="x", markersize=6),
}


def write_figure(results: Results, path: Path) -> None:
    """Replace the PNG file ``path`` as a whole."""
    with written_whole(path) as temporary:
        draw(results).savefig(temporary, format="png", dpi=120)


def draw(results: Results) -> Figure:
    """A column for each config: loss above, Recall@20 below; losses of different configs are not comparable."""
    configs = results.configs
    lines = {"ItemKNN": "-."}
    if popular := results.best_popularity:
        lines[popular.name] = ":"
    figure = Figure(figsize=(max(3.6 * len(configs), 5.5), 6.2), layout="constrained")
    axes = figure.subplots(2, len(configs), squeeze=False, sharex="col")
    for (loss, recall), config in zip(axes.T, configs):
        for run in results.of_config(config):
            epochs = range(1, len(run.epochs) + 1)
            style = ENGINE_STYLES[run.engine] | {"label": run.engine}
            loss.plot(epochs, [epoch.loss for epoch in run.epochs], **style)
            recall.plot(epochs, [epoch.metrics[20][0] for epoch in run.epochs], **style)
        for result in results.baselines:
            if result.name in lines:
                recall.axhline(result.metrics[20][0], color="0.4", linestyle=lines[result.name], label=result.name)
        if published := results.published(config):
            label = f"published, {published.n_epochs} epochs"
            recall.axhline(published.recall, color="black", linewidth=0.8, label=label)
        loss.set_title(config)
        loss.set_yscale("log")  # a first epoch may be a hundred times the others
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6, 8)))
        loss.yaxis.set_minor_locator(NullLocator())
        loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        recall.set_xlabel("epoch")
        recall.xaxis.set_major_locator(MaxNLocator(integer=True))
        recall.set_ylim(bottom=0)
        for panel in (loss, recall):
            panel.grid(alpha=0.3)
    top = max(recall.get_ylim()[1] for recall in axes[1])
    for recall in axes[1]:
        recall.set_ylim(0, top)
    axes[0, 0].set_ylabel("training loss")
    axes[1, 0].set_ylabel(f"Recall@20 on the {results.data.evaluated_part} sessions")
    axes[1, 0].legend(fontsize="small", loc="lower right")
    figure.suptitle(results.data.warning or results.data.name, fontsize="medium")
    return figure
