"""Results as tables in the terminal, 80 columns wide."""

from rich.console import Console
from rich.table import Table

from gru4rec import terminal
from gru4rec.jobs.results import Results
from gru4rec.metrics import CUT_OFFS, Metrics
from gru4rec.published import Published
from gru4rec.training import Run


def print_results(results: Results, console: Console) -> None:
    for table in (quality_table(results), time_table(results.runs)):
        console.print(table)
        console.print()
    for text in filter(None, (conclusion(results), why_engines_differ(results))):
        console.print(text)


def quality_table(results: Results) -> Table:
    """Recall@N and MRR@N after the last epoch: config by config, engine by engine, then the baselines."""
    notes = [results.data.warning] if results.data.warning else []
    evaluated, of = results.baseline_sessions
    if evaluated < of:
        notes.append(f"Baselines on {evaluated:,} of the {of:,} {results.data.evaluated_part} sessions")
    # the widest config and eight figures of four decimals just fit
    table = terminal.make_table("Recall@N and MRR@N after the last epoch", caption="\n".join(notes), padding=0)
    table.add_column("", no_wrap=True)
    for metric in ("Rec", "MRR"):
        for N in CUT_OFFS:
            table.add_column(f"{metric}@{N}", justify="right", no_wrap=True)
    for config in results.configs:
        table.add_row(config, style="bold")
        for run in results.of_config(config):
            table.add_row(f"  {run.engine}", *_after_last_epoch(run))
        if published := results.published(config):
            table.add_row("  published", *_at_20(published), style="dim")
    if results.baselines:
        table.add_row("baselines", style="bold")
        for result in results.baselines:
            table.add_row(f"  {result.name}", *_numbers(result.metrics))
    return table


def _numbers(metrics: Metrics) -> list[str]:
    return [f"{metrics[N][which]:.4f}" for which in (0, 1) for N in CUT_OFFS]


def _after_last_epoch(run: Run) -> list[str]:
    return ["NaN"] * (2 * len(CUT_OFFS)) if run.diverged else _numbers(run.epochs[-1].metrics)


def _at_20(published: Published) -> list[str]:
    blank = [""] * (len(CUT_OFFS) - 1)
    return [*blank, f"{published.recall:.4f}", *blank, f"{published.mrr:.4f}"]


def time_table(runs: list[Run]) -> Table:
    table = terminal.make_table("Seconds; start-up is all before the first step, compilation included", padding=0)
    table.add_column("", no_wrap=True)
    for heading in ("epochs", "start-up", "training", "events/s", "evaluation"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            f"{run.config} {run.engine}",
            str(len(run.epochs)),
            f"{run.startup_seconds:.1f}",
            f"{run.training_seconds:.1f}",
            f"{run.events_per_second:,.0f}",
            f"{run.evaluation_seconds:.1f}",
        )
    return table


def conclusion(results: Results) -> str | None:
    """The best model beside the best popularity baseline, where both were evaluated on all sessions."""
    popular = results.best_popularity
    finished = [run for run in results.runs if run.epochs and not run.diverged]
    evaluated, of = results.baseline_sessions
    if not popular or not finished or evaluated < of:
        return None

    def recall(run: Run) -> float:
        return run.epochs[-1].metrics[20][0]

    best = max(finished, key=recall)
    note = " on SYNTHETIC data" if results.data.synthetic else ""
    return (
        f"Recall@20{note}: {recall(best):.4f} by {best.config} ({best.engine}); "
        f"{popular.metrics[20][0]:.4f} by {popular.name}, the best popularity baseline."
    )


def why_engines_differ(results: Results) -> str | None:
    """A word on two engines that started from the same seeds, on embedded data, where it has been tried."""
    if not results.data.synthetic or len({run.engine for run in results.runs}) < 2:
        return None
    return (
        "Both engines start from the same seeds. Where their figures differ, rounding has led them apart: with these "
        "learning rates the first steps are chaotic. With --dtype float64 --set learning_rate=0.01 --set momentum=0 "
        "they agree in every digit shown."
    )
