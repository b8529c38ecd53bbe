"""``python -m parity matrix``: a designed sweep over the options, every pair of values, teacher-forced."""

import argparse
import importlib.util
from typing import Any

from rich.progress import Progress

from gru4rec import engines, terminal
from parity import matrix, pairwise, tables
from parity.commands import common
from parity.measure import Verdict
from parity.workers import run_all


def add(commands: Any) -> None:
    parser = commands.add_parser("matrix", help="compare engines in every pair of option values", description=__doc__)
    default = "original-jax" if importlib.util.find_spec("jax") else "original"
    common.add_engines(parser, f"{default} and keras; the first is the reference")
    parser.add_argument("--configs", type=common.positive, default=matrix.LEAST, help="at least (default: %(default)s)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the design (default: %(default)s)")
    common.add_device(parser, "cpu")
    common.add_jobs(parser)
    parser.set_defaults(execute=execute, default_engines=[default, "keras"])


def try_config(config, reference: str, candidate: str, dtype: str, device: str) -> matrix.Tried:
    first, second = (engines.for_device(engines.named(name), device) for name in (reference, candidate))
    return matrix.try_config(config, first, second, dtype)


def execute(options: argparse.Namespace) -> int:
    console, names = terminal.console(), options.engine or options.default_engines
    common.check_two(names)
    if len(names) != 2:
        raise ValueError(f"--engine {' '.join(names)}: two are needed, the first is the reference")
    device, _ = engines.choose_device(options.device, names)
    common.check_engines(names)
    configs = matrix.design(options.configs, options.seed)
    results: list = [None] * len(configs)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("configurations", total=len(configs))
        tasks = [(config, *names, options.dtype, device) for config in configs]
        for at, tried in run_all(try_config, tasks, options.jobs, device, names):
            results[at] = tried
            progress.advance(bar)
    console.print(_by_option(results))
    for tried in results:
        if tried.checks.verdict not in (Verdict.HELD, Verdict.NOT_APPLICABLE):
            console.print(tables.checks_table(str(matrix.params_of(tried.config)), tried.checks))
    print(_summary(results), flush=True)
    return common.exit_status([tried.checks for tried in results])


def _by_option(results) -> object:
    right = ("configurations", "failed", "not covered", "worst error", "bound")
    made = terminal.make_table(
        "Worst error of each option value, teacher-forced and by fit", "option", "value", *right, "where", right=right
    )
    for name, values in matrix.FACTORS.items():
        for value in values:
            here = [tried for tried in results if tried.config[name] == value]
            failed = sum(bool(tried.checks.failed) for tried in here)
            uncovered = sum(tried.checks.verdict == Verdict.NOT_COVERED for tried in here)
            figures = ("", "", "")
            worst = _worst(here)
            if worst:
                check, comparison = worst
                where = f"{check.name}: {comparison.where}"
                figures = tables.number(comparison.error.relative), tables.bound(comparison.bound), where
            shown = "/".join(map(str, value)) if isinstance(value, list) else str(value)
            made.add_row(name, shown, str(len(here)), str(failed), str(uncovered), *figures)
    return made


def _worst(results):
    found = None
    for tried in results:
        if tried.checks.worst and tried.checks.worst[1].worse_than(found and found[1]):
            found = tried.checks.worst
    return found


def _summary(results) -> str:
    covered = set().union(*(pairwise.pairs_of(tried.config) for tried in results))
    wanted = pairwise.all_pairs(matrix.FACTORS, matrix.allowed)
    worst = _worst(results)
    error = "none"
    if worst:
        check, found = worst
        error = (
            f"{tables.number(found.error.relative)} (bound {tables.bound(found.bound)}, {check.name}: {found.where})"
        )
    compared = sum(tried.checks.compared for tried in results)
    counts = tables.counted((tried.checks.verdict for tried in results), "configurations")
    return (
        f"matrix: {counts}; {len(wanted & covered)} of {len(wanted)} pairs of option values; {compared:,} comparisons; "
        f"nearest to its bound: {error}. {tables.sentence(Verdict.of(tried.checks.verdict for tried in results))}"
    )
