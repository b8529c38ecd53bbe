"""``python -m parity smallest``: the smallest fault that the bounds still catch, by place and type."""

import argparse
from typing import Any

from gru4rec import terminal
from parity import sensitivity
from parity.bounds import ULPS, UNIT


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "smallest",
        help="the smallest fault that the bounds still catch",
        description="Spoils the harness's own program by 1 + epsilon in one place at a time, and prints the smallest "
        "epsilon that the check catches, in a small setting of bpr-max.",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    found = {dtype: list(sensitivity.smallest(dtype)) for dtype in UNIT}
    made = terminal.make_table(
        "The smallest fault that is caught", "times 1 + epsilon", "check", *UNIT, right=tuple(UNIT)
    )
    for at, (place, _) in enumerate(found["float64"]):
        caught = (found[dtype][at][1] for dtype in UNIT)
        shown = ("none" if k is None else f"{2.0**-k:.0e}" for k in caught)
        made.add_row(place.name, place.check, *shown)
    made.add_row("bound", f"{ULPS} units", *(f"{ULPS * unit:.0e}" for unit in UNIT.values()))
    terminal.console().print(made)
    return 0 if all(k is not None for each in found.values() for _, k in each) else 1
