"""``python -m parity selftest``: is every fault caught by the check that has to catch it?"""

import argparse
import importlib.util

from rich.progress import Progress

from parity import engines, tables
from parity.commands import common
from parity.workers import run_all


def add(commands) -> None:
    parser = commands.add_parser(
        "selftest", help="put faults into the Keras engine and see them caught", description=__doc__
    )
    parser.add_argument(
        "--reference",
        default="original-jax" if importlib.util.find_spec("jax") else "original",
        help="the engine whose values are the reference (default: %(default)s)",
    )
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def try_setting(setting: str, reference: str):
    """(checks of the unfaulted engine, outcomes of the faults) in one setting."""
    from parity import selftest
    from parity.faults import FAULTS

    spec = engines.named("keras")
    recorded = selftest.Reference(engines.named(reference), setting)
    clean = selftest.run_checks(recorded, spec)
    return clean, [selftest.try_fault(fault, recorded, spec) for fault in FAULTS if fault.setting == setting]


def execute(options: argparse.Namespace) -> int:
    from parity import selftest
    from parity.faults import FAULTS

    console, names = tables.console(), [options.reference, "keras"]
    engines.choose_device("cpu", names)
    common.check_engines(names)
    settings = selftest.settings_used()
    results = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("trying faults", total=len(settings))
        for at, result in run_all(try_setting, [(s, options.reference) for s in settings], options.jobs, "cpu", names):
            results[settings[at]] = result
            progress.advance(bar)
    outcomes = {out.fault: out for _, tried in results.values() for out in tried}
    console.print(_faults_table([(fault, outcomes[fault.name]) for fault in FAULTS]))
    for setting in settings:
        clean = results[setting][0]
        if not clean.held:
            console.print(tables.checks_table(f"the unfaulted engine, setting {setting}", clean))
    caught = sum(out.caught for out in outcomes.values())
    whole = [setting for setting in settings if results[setting][0].held]
    compared = sum(results[setting][0].compared for setting in settings)
    print(
        f"selftest: {caught} of {len(outcomes)} faults caught; the unfaulted engine held in {len(whole)} of "
        f"{len(settings)} settings ({compared:,} comparisons)",
        flush=True,
    )
    return 0 if caught == len(outcomes) and len(whole) == len(settings) else 1


def _faults_table(outcomes):
    right = ("error", "bound")
    made = tables.table(
        "Faults put into the Keras engine", "", "fault", "check", "verdict", *right, "where", right=("", *right)
    )
    for number, (fault, out) in enumerate(outcomes, 1):
        figures = ("", "")
        if out.worst is not None:
            figures = tables.number(out.worst.error.relative), tables.bound(out.worst.tolerance)
        where = out.problem or (out.worst.where if out.worst is not None else "nothing compared")
        verdict = tables.status("caught" if out.caught else "NOT CAUGHT")
        name = f"{fault.name} (own)" if fault.own else fault.name
        made.add_row(str(number), name, fault.check, verdict, *figures, where)
    return made
