"""``python -m parity doctor``: what an engine offers, part by part, with advice."""

import argparse
import logging
from typing import Any

from rich.table import Table
from rich.text import Text

from gru4rec import engines, terminal
from parity import doctor
from parity.commands import common
from parity.doctor import Outcome

log = logging.getLogger(__name__)
_STYLES = {Outcome.OK: "green", Outcome.MISSING: "yellow", Outcome.WRONG: "bold red"}


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="look an engine over before it is compared: members, options, shapes, conventions, with advice",
        description="Looks an engine over on small embedded data, against the harness's own NumPy program; no "
        "reference program is needed. Exit status 0: nothing is wrong; 1: something is; 2: it could not be run.",
    )
    parser.add_argument("engine", metavar="ENGINE", help=f"{', '.join(engines.NAMES)} or package.module:Class")
    common.add_device(parser)
    parser.add_argument("--all", action="store_true", help="show what is ok, too, and the table of all options")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    device, remark = engines.choose_device(options.device, [options.engine])
    engines.make_deterministic([options.engine], device)
    spec = engines.for_device(engines.named(options.engine), device)
    console = terminal.console()
    console.print(f"engine {options.engine}, device {device} ({remark}), embedded synthetic data")
    found = doctor.examine(spec)
    for table in (_options_table, _values_table, _findings_table):
        made = table(found, options.all)
        if made.row_count:
            console.print(made)
    for each in found.findings:
        if each.traceback:
            log.debug("%s, %s:\n%s", each.topic, each.what, each.traceback)
    print(_summary(options.engine, found.findings), flush=True)  # one line, whatever the width
    return 1 if found.wrong else 0


def _options_table(found: doctor.Doctor, everything: bool) -> Table:
    title = "Options of the constructor" + ("" if everything else " (those that are not as published; --all: all)")
    made = terminal.make_table(title, "option", "published default", "its default", "outcome", "remark")
    for each in found.options:
        if everything or each.outcome != Outcome.OK:
            made.add_row(each.name, each.published, each.default, _styled(each.outcome), each.remark)
    return made


def _values_table(found: doctor.Doctor, everything: bool) -> Table:
    made = terminal.make_table("Values of the options, each tried alone", "option", "taken", "refused: not covered")
    for name, tries in found.values.items():
        texts = [[text for text, taken in tries if taken is wanted] for wanted in (True, False)]
        if everything or texts[1]:
            made.add_row(name, *("; ".join(each) for each in texts))
    return made


def _findings_table(found: doctor.Doctor, everything: bool) -> Table:
    title = "Findings" + ("" if everything else " (what is ok is counted; --all shows it)")
    made = terminal.make_table(title, "part", "what", "outcome", "found", "advice, or what it costs")
    for topic, each in doctor.by_topic(found.findings):
        shown = [one for one in each if everything or one.outcome != Outcome.OK]
        fine = len(each) - len(shown)
        if fine:
            made.add_row(topic, f"{fine} of {len(each)}", _styled(Outcome.OK), "", "")
        for one in shown:
            made.add_row(topic, one.what, _styled(one.outcome), one.found, one.advice)
    return made


def _styled(outcome: Outcome) -> Text:
    return Text(outcome, style=_STYLES[outcome])


def _summary(name: str, findings: list[doctor.Finding]) -> str:
    counts = {outcome: sum(each.outcome == outcome for each in findings) for outcome in Outcome}
    parts = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
    if counts[Outcome.WRONG]:
        return f"doctor: {name}: {parts}. Mend what is wrong, from the top: later findings may follow from it."
    return f"doctor: {name}: {parts}. Nothing is wrong; `python -m parity golden --engine {name}` gives a verdict."
