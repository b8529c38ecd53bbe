"""``python -m parity run``: engines beside each other, check by check."""

import argparse
import shlex
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.status import Status

from gru4rec import engines, terminal
from gru4rec.options import choose, parse_pair
from gru4rec.published import RSC15
from parity import data, tables
from parity.commands import common
from parity.compare import MODES, Result, compare
from parity.measure import Verdict
from parity.scenario import Scenario


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="compare engines on data",
        description="Compares engines check by check. The first engine is the reference of the others. Exit status "
        "0 only if every check held; what an engine does not support is reported as not covered.",
    )
    common.add_engines(parser, "original and keras")
    parser.add_argument(
        "--config",
        action="append",
        metavar="NAME",
        help=f"{', '.join(RSC15)}, all, or a file of options: TOML, JSON, or name=value lines; "
        "may be repeated (default: all)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of every config")
    parser.add_argument("--train", type=Path, help="tab-separated training events (default: embedded synthetic data)")
    parser.add_argument("--test", type=Path, help="tab-separated test events; goes with --train")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: %(default)s")
    common.add_device(parser)
    parser.add_argument(
        "--steps", type=common.positive, default=30, help="training steps compared (default: %(default)s)"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--teacher-forced", action="store_true", help="only steps from the reference's state")
    only.add_argument("--free-running", action="store_true", help="only steps from a common start")
    parser.add_argument("--seed", type=int, default=42, help="of weights, samples and orders (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where report.json and report.html are written")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    began, clock = datetime.now(UTC), time.monotonic()
    names = options.engine or ["original", "keras"]
    common.check_two(names)
    scenarios = _scenarios(options)
    if len(names) < 2:
        raise ValueError(f"--engine {names[0]}: two or more are needed, the first is the reference of the others")
    device, remark = engines.choose_device(options.device, names)
    determinism = engines.make_deterministic(names, device)
    specs = [engines.for_device(engines.named(name), device) for name in names]
    modes = MODES[:1] if options.teacher_forced else MODES[1:] if options.free_running else MODES
    console, results = terminal.console(), []
    console.print(
        f"reference {names[0]}, device {device} ({remark}), {options.dtype}, data: {scenarios[0].dataset.title}"
    )
    for scenario in scenarios:
        for candidate in specs[1:]:
            title = f"{scenario.name}, {candidate.name}"
            with console.status(title) as status:
                tell = partial(_tell, status, title)
                result = compare(scenario, specs[0], candidate, modes, options.steps, tell)
            results.append(result)
            print_result(console, result)
    if options.out:
        from parity import report

        made = report.build(
            results,
            command=shlex.join(["python", "-m", "parity", *sys.argv[1:]]),
            started=began,
            seconds=time.monotonic() - clock,
            device={"asked": options.device, "used": device, "remark": remark},
            determinism=determinism,
        )
        report.write(made, options.out)
        console.print(f"report: {options.out / 'report.json'}, {options.out / 'report.html'}")
    print(_summary(results), flush=True)
    return common.exit_status([result.checks for result in results])


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    chosen = choose(options.config or ["all"])
    try:
        changed = dict(map(parse_pair, options.set))
    except ValueError as problem:
        raise ValueError(f"--set {problem}") from None
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test go together: both or neither")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: a number of at least 0 is accepted")
    dataset = data.from_files(options.train, options.test) if options.train else data.embedded(2500, 400, 400)
    return [Scenario(name, params | changed, dataset, options.dtype, options.seed) for name, params in chosen.items()]


def print_result(console, result: Result) -> None:
    title = f"{result.scenario.name}: {result.candidate} against {result.reference}, {result.scenario.dtype}"
    console.print(tables.checks_table(title, result.checks))
    for name, where in result.devices.items():
        console.print(f"{name} computed on: {where}")
    notes = list(dict.fromkeys(note for check in result.checks.values() for note in check.notes))
    for note in notes:
        console.print(f"note: {note}")


def _tell(status: Status, title: str, what: str) -> None:
    status.update(f"{title}: {what}")


def _summary(results: list[Result]) -> str:
    checks = [check for result in results for check in result.checks.values()]
    compared = f"{sum(check.compared for check in checks):,} comparisons"
    failures = ((result, result.checks.first_failure) for result in results)
    first, failure = next(((result, found) for result, found in failures if found), (None, None))
    cause = ""
    if first and failure:
        check, comparison = failure
        cause = f"; first past its bound: {check.name}, {comparison.where} ({first.scenario.name}, {first.candidate})"
    verdict = Verdict.of(result.checks.verdict for result in results)
    counts = tables.counted((check.verdict for check in checks), "checks")
    return f"run: {len(results)} comparisons of engines, {counts}; {compared}{cause}. {tables.sentence(verdict)}"
