"""``python -m parity selftest``: is every fault caught by the check that has to catch it?"""

import argparse
import importlib.util
from typing import Any

from rich.progress import Progress

from gru4rec import engines, terminal
from parity import tables
from parity.commands import common
from parity.measure import Verdict
from parity.workers import run_all


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "selftest", help="put faults into the Keras engine and see them caught", description=__doc__
    )
    parser.add_argument(
        "--reference",
        default="original-jax" if importlib.util.find_spec("jax") else "original",
        help="the engine whose values are the reference (default: %(default)s)",
    )
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: %(default)s")
    parser.add_argument("--no-golden", action="store_true", help="do not put the faults through the recordings too")
    common.add_device(parser, "cpu")
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def try_setting(setting: str, reference: str, dtype: str, by_golden: bool, device: str):
    """(checks of the unfaulted engine, outcomes of the faults) in one setting."""
    from parity import selftest
    from parity.faults import FAULTS

    spec = engines.named("keras")
    recorded = selftest.Reference(engines.for_device(engines.named(reference), device), setting, dtype)
    clean = selftest.run_checks(recorded, spec)
    faults = [fault for fault in FAULTS if fault.setting == setting and dtype in fault.dtypes]
    return clean, [selftest.try_fault(fault, recorded, spec, by_golden) for fault in faults]


def execute(options: argparse.Namespace) -> int:
    from parity import selftest
    from parity.faults import FAULTS

    console, names = terminal.console(), [options.reference, "keras"]
    device, _ = engines.choose_device(options.device, names)
    common.check_engines(names)
    faults = [fault for fault in FAULTS if options.dtype in fault.dtypes]
    settings = selftest.settings_used(faults)
    by_golden = options.dtype == "float64" and not options.no_golden
    results = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("trying faults", total=len(settings))
        tasks = [(setting, options.reference, options.dtype, by_golden, device) for setting in settings]
        for at, result in run_all(try_setting, tasks, options.jobs, device, names):
            results[settings[at]] = result
            progress.advance(bar)
    outcomes = {out.fault: out for _, tried in results.values() for out in tried}
    console.print(_faults_table([(fault, outcomes[fault.name]) for fault in faults], by_golden))
    whole = [setting for setting in settings if results[setting][0].verdict == Verdict.HELD]
    for setting in settings:
        if setting not in whole:
            console.print(tables.checks_table(f"the unfaulted engine, setting {setting}", results[setting][0]))
    caught = sum(out.caught for out in outcomes.values())
    compared = sum(results[setting][0].compared for setting in settings)
    parts = [
        f"selftest: {caught} of {len(outcomes)} faults caught by the check named for each, in {options.dtype}",
        f"the unfaulted engine held in {len(whole)} of {len(settings)} settings ({compared:,} comparisons)",
    ]
    unseen = []
    if by_golden:
        possible = [out for out in outcomes.values() if out.fault not in selftest.NOT_IN_GOLDEN]
        unseen = [out.fault for out in possible if not out.seen_by_golden]
        parts.insert(
            1,
            f"{len(possible) - len(unseen)} of {len(possible)} by golden too ({len(outcomes) - len(possible)} that no "
            "recorded run can show)",
        )
    print("; ".join(parts), flush=True)
    return 0 if caught == len(outcomes) and len(whole) == len(settings) and not unseen else 1


def _faults_table(outcomes, by_golden: bool):
    right = ("error", "bound")
    more = ("golden",) if by_golden else ()
    made = terminal.make_table(
        "Faults put into the Keras engine", "", "fault", "check", "verdict", *right, "where", *more, right=("", *right)
    )
    for number, (fault, out) in enumerate(outcomes, 1):
        figures = ("", "")
        if out.worst is not None:
            figures = tables.number(out.worst.error.relative), tables.bound(out.worst.bound)
        where = out.problem or (out.worst.where if out.worst is not None else "nothing compared")
        verdict = tables.status("caught" if out.caught else "NOT CAUGHT")
        name = f"{fault.name} (own)" if fault.own else fault.name
        told = (out.by_golden or "",) if by_golden else ()
        made.add_row(str(number), name, fault.check, verdict, *figures, where, *told)
    return made
