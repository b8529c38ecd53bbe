"""``python -m parity golden``: engines against recorded reference runs, and in situations that no recording owes."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from gru4rec import engines, terminal
from parity import golden, situations, tables
from parity.commands import common
from parity.measure import Checks, Verdict
from parity.recordings import manifest
from parity.recordings.reading import find, read
from parity.workers import run_all


def add(commands: Any) -> None:
    parser = commands.add_parser("golden", help="replay recorded runs of the published program", description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="recordings or folders of them, and no situations (default: the recordings shipped, and all situations)",
    )
    common.add_engines(parser, "original and keras")
    common.add_device(parser)
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def replay(what: Path | str, engine: str, device: str) -> tuple[Checks, str]:
    """One recording, or the situation of a name, by one engine: its checks, and the dtype."""
    spec = engines.for_device(engines.named(engine), device)
    if isinstance(what, str):
        return situations.judge(what, spec), situations.situation(what).scenario.dtype
    recording = read(what)
    return golden.replay(recording, spec), recording.spec.dtype


def _title(what: Path | str) -> str:
    return f"situation {what}" if isinstance(what, str) else what.stem


def execute(options: argparse.Namespace) -> int:
    console = terminal.console()
    names = options.engine or ["original", "keras"]
    common.check_two(names)
    paths = find(options.files)
    if not options.files:
        manifest.check_complete()
    for path in paths:  # a bad file shows before the first run
        manifest.check_shipped(path)
        read(path)
    device, remark = engines.choose_device(options.device, names)
    common.check_engines(names)
    whats: list[Path | str] = [*paths, *(() if options.files else situations.SITUATIONS)]
    console.print(f"{_counted(whats)}, engines {', '.join(names)}, device {device} ({remark})")
    tasks = [(what, name, device) for what in whats for name in names]
    results: list = [None] * len(tasks)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("replaying", total=len(tasks))
        for at, result in run_all(replay, tasks, options.jobs, device, names):
            results[at] = result
            progress.advance(bar)
    console.print(_table(tasks, results))
    for name in names:
        told = (checks.computed_on for (_, engine, _), (checks, _) in zip(tasks, results) if engine == name)
        where = "; ".join(dict.fromkeys(filter(None, told)))
        console.print(f"{name}: {terminal.plain(where) or 'not made'}", markup=False, highlight=False)
    for (what, name, _), (checks, _) in zip(tasks, results):
        if checks.failed:
            console.print(tables.checks_table(f"{_title(what)}, {name}", checks))
    print(_summary(tasks, results), flush=True)  # one line, whatever the width
    return common.exit_status([checks for checks, _ in results])


def _counted(whats: Iterable[Path | str]) -> str:
    whats = list(whats)
    made = sum(isinstance(what, str) for what in whats)
    return f"{len(whats) - made} recordings" + (f" and {made} situations" if made else "")


def _table(tasks, results):
    right = ("compared", "worst error", "bound")
    made = terminal.make_table(
        "Recorded reference runs and situations", "which", "dtype", "engine", "verdict", *right, "where", right=right
    )
    for (what, name, _), (checks, dtype) in zip(tasks, results):
        figures, where = ("", ""), ""
        if checks.worst:
            check, comparison = checks.worst
            figures = tables.number(comparison.error.relative), tables.bound(comparison.bound)
            where = f"{check.name}: {comparison.where}"
        if checks.first_failure:
            check, comparison = checks.first_failure
            where = f"first past its bound: {check.name}: {comparison.where}; worst: {where}"
        about = situations.situation(what).about if isinstance(what, str) else ""
        missing = dict.fromkeys(reason for check in checks.values() for reason in check.reasons)
        where = "; ".join(filter(None, (about, where, *(f"not covered: {reason}" for reason in missing))))
        made.add_row(_title(what), dtype, name, tables.status(checks.verdict), f"{checks.compared:,}", *figures, where)
    return made


def _summary(tasks, results) -> str:
    whats, names = {what for what, *_ in tasks}, dict.fromkeys(name for _, name, _ in tasks)
    checks = [check for found, _ in results for check in found.values()]
    parts = [
        f"golden: {_counted(whats)}, engines {', '.join(names)}",
        tables.counted((found.verdict for found, _ in results), "replays"),
        tables.counted((check.verdict for check in checks), "checks"),
        f"{sum(check.compared for check in checks):,} comparisons",
    ]
    for dtype in dict.fromkeys(dtype for _, dtype in results):
        worst = None
        for (what, name, _), (found, kind) in zip(tasks, results):
            if kind == dtype and found.worst and found.worst[1].worse_than(worst and worst[1]):
                worst = f"{found.worst[0].name}: {found.worst[1].where}, {_title(what)}, {name}", found.worst[1]
        if worst:
            figures = f"{tables.number(worst[1].error.relative)} (bound {tables.bound(worst[1].bound)})"
            parts.append(f"nearest to its bound in {dtype}: {figures} in {worst[0]}")
    return "; ".join(parts) + ". " + tables.sentence(Verdict.of(found.verdict for found, _ in results))
