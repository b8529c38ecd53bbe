"""What the examples' commands do once their data are there, and how they end."""

import argparse
import logging
import sys
from typing import Callable

from rich.console import Console
from rich.logging import RichHandler

from examples.baselines import evaluate_baselines, evenly_chosen_sessions
from examples.data import Dataset
from examples.figure import write_figure
from examples.jobs import Job, carry_out
from examples.results import Results
from examples.tables import print_results


def main(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace, list[str], Console], None],
    arguments: list[str] | None = None,
) -> int:
    """Call ``run(options, arguments, console)``; return the exit status.

    What the user can mend (ValueError, OSError, ImportError) becomes a message on stderr and status 2, Ctrl-C 130.
    """
    options = parser.parse_args(arguments)
    console, problems = (Console(stderr=stderr, markup=False, highlight=False) for stderr in (False, True))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=problems, show_path=False)],
    )
    try:
        run(options, sys.argv[1:] if arguments is None else arguments, console)
    except (ValueError, OSError, ImportError) as error:
        if options.verbose:
            raise
        problems.print(f"error: {error}", style="red", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        problems.print(f"stopped; what was finished is in {options.out}", style="red")
        return 130
    return 0


def train_and_report(
    jobs: list[Job], data: Dataset, options: argparse.Namespace, command: list[str], console: Console
) -> None:
    """Evaluate the baselines where wanted, carry out the ``jobs``, write results and figure, print the tables."""
    describe(data, console)
    results = Results(data, command)
    if options.baselines or (options.baselines is None and data.synthetic):
        test = evenly_chosen_sessions(data.test, data.columns, options.baseline_sessions)
        results.baseline_sessions = test[data.columns.session].nunique(), data.counts[data.evaluated_part].sessions
        results.baselines = evaluate_baselines(data, test, options.seed, console)
    for job in jobs:
        carry_out(job, results, options, console)

    results.write(options.out / "results.json")
    write_figure(results, options.out / "results.png")
    print_results(results, console)
    console.print(f"Written: {options.out / 'results.json'}, {options.out / 'results.png'}")


def describe(data: Dataset, console: Console) -> None:
    console.print(data.title, style="bold yellow" if data.synthetic else "bold")
    for part, counts in data.counts.items():
        numbers = ", ".join(f"{number:,} {what}" for what, number in counts._asdict().items())
        console.print(f"  {part}: {numbers}")
    if data.unknown_events:
        share = f"{data.unknown_events:,} of the {len(data.test):,} events of {data.evaluated_part}"
        console.print(f"  {share} are of items that training does not have: evaluation leaves them out.")
    if data.published:
        console.print("  These are the published counts: results stand beside the published ones.")
    elif data.published is not None and not data.synthetic:
        console.print("  These are not the published counts: results are not comparable with the published ones.")
