"""What a study found, as figures: its history, and how much each parameter matters."""

import math
from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import TrialState

from gru4rec.files import written_whole
from gru4rec.tuning.study import completed, done, value

NAMES = ("history.png", "importance.png")
_BLUE, _GREY, _RED = "#4477aa", "0.55", "#cc3311"


def write(study: optuna.Study, metric: str, folder: Path) -> list[Path]:
    """Write those figures that the study's trials are enough for; returns their paths."""
    figures = dict(zip(NAMES, (history(study, metric), importance(study, metric))))
    written = []
    for name, figure in figures.items():
        if figure is not None:
            with written_whole(folder / name) as temporary:
                figure.savefig(temporary, format="png", dpi=120)
            written.append(folder / name)
    return written


def history(study: optuna.Study, metric: str) -> Figure | None:
    """Each trial's value by its number, and the best so far. A pruned trial stands at its last epoch's value."""
    trials = done(study)
    if not trials:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    if complete:
        numbers, values = [trial.number for trial in complete], [value(trial) for trial in complete]
        best = np.maximum.accumulate(values)
        axes.step([*numbers, trials[-1].number], [*best, best[-1]], where="post", color=_RED, label="best so far")
        axes.plot(numbers, values, "o", color=_BLUE, label="completed")
    if pruned:
        last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
        axes.plot([trial.number for trial in pruned], last, "x", color=_GREY, label="pruned, at its last epoch")
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title(f"{len(complete)} completed trials, {len(pruned)} pruned", fontsize="medium")
    return figure


def importance(study: optuna.Study, metric: str) -> Figure | None:
    """Share of each parameter in what makes trials good, by PED-ANOVA (Watanabe et al., arXiv 2304.10255)."""
    found = importances(study)
    if not found:
        return None
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(found)), layout="constrained")
    axes = figure.subplots()
    names = list(found)[::-1]
    bars = axes.barh(names, [found[name] for name in names], color=_BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel(f"importance for {metric}, of {len(completed(study))} completed trials")
    return figure


def importances(study: optuna.Study) -> dict[str, float]:
    """By parameter, the largest first, summing to 1; {} where the trials do not tell."""
    values = {trial.value for trial in completed(study)}
    if len(values) < 2:
        return {}
    found = optuna.importance.get_param_importances(study)
    return found if all(map(math.isfinite, found.values())) and any(found.values()) else {}
