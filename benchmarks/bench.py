"""One table of how fast everything is: ``make bench``, or ``python -m benchmarks.bench [options]``.

Every contender is a process of its own, and works while the others wait; they take turns, round after round, so that a
machine whose speed drifts slows all of them alike. Shares and times are taken round by round, and their median is
shown. "start" is from the start of the process to the end of its first 32 steps: imports, data, weights, compilation.
Both engines are timed as ``fit`` runs them: batches, samples and masks are drawn within the time; the plain ones
are given arrays that are ready. "products and rows alone" is what a step cannot do without, measured here by NumPy: the
matrix products, forward and for the gradients, and the rows of weights, sums and velocities read and written once; a
row says how much of that speed it reaches. Evaluation is Recall and MRR at 1, 5, 10 and 20 of the whole test file, its
yardstick the products of the scores. Recommending: 20 items for each of 100 running sessions.
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import keras_data
from benchmarks.contenders import FIRST, KINDS, Contender, Task
from gru4rec import environment, terminal

PARTS = ("train", "evaluate", "recommend")
SETTINGS = ("bpr-max", "cross-entropy")


def installed() -> list[str]:
    """The contenders whose libraries are there."""
    return [name for name, kind in KINDS.items() if importlib.util.find_spec(kind.module) is not None]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--all", action="store_true", help="every setting, 2,933 and 37,483 items, 100 and 512 units")
    made.add_argument("--setting", nargs="+", choices=list(keras_data.SETTINGS), help=f"default: {' '.join(SETTINGS)}")
    made.add_argument("--items", nargs="+", type=int, metavar="N", help="filled up to with rare items (default: 2933)")
    made.add_argument("--units", nargs="+", type=int, metavar="N", help="default: 100")
    made.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    made.add_argument("--contender", nargs="+", choices=list(KINDS), help="default: those whose libraries are there")
    made.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    made.add_argument("--seconds", type=float, default=1.0, help="of a turn of training, about (default: %(default)s)")
    made.add_argument("--train", help="prepared training file, with --test; synthetic events without them")
    made.add_argument("--test", help="prepared test file")
    made.add_argument("--out", type=Path, metavar="FILE", help="the figures of every turn, as JSON")
    return made


def measured(task: Task, given: argparse.Namespace, console: Any) -> list[dict[str, Any]]:
    """Rows of one cell: the seconds of every turn, by part."""
    names = [name for name in given.contender if task.setting in KINDS[name].settings]
    contenders, rows = {}, {}
    for name in names:
        with console.status(f"{task.setting}, {task.n_items:,} items, {task.units} units: starting {name}"):
            try:
                contenders[name] = Contender(name, task)
            except RuntimeError as problem:
                console.print(f"left out: {problem}")
                continue
        rows[name] = {**task._asdict(), "contender": name, "start": contenders[name].start}
    try:
        for part in given.part:
            able = {name: c for name, c in contenders.items() if part in c.parts}
            steps = {}
            for name, contender in able.items():  # the first turn is not counted
                if part == "train":
                    spent = contender.do("train", FIRST)
                    steps[name] = FIRST * max(1, round(given.seconds / max(spent, 1e-4)))
                    rows[name]["steps"] = steps[name]
                else:
                    contender.do(part)
                rows[name][part] = []
            for number in range(given.rounds):
                with console.status(f"{task.setting}, {task.n_items:,} items, {task.units} units: {part} {number + 1}"):
                    for name, contender in able.items():
                        values = (steps[name],) if part == "train" else ()
                        rows[name][part].append(contender.do(part, *values) / (steps[name] if values else 1))
    finally:
        for name, contender in contenders.items():
            rows[name]["peak_mib"] = contender.stop()
    return list(rows.values())


def share(rows: list[dict[str, Any]], row: dict[str, Any], part: str) -> str:
    """How much of the yardstick's speed a contender reaches, round by round: the median."""
    best = next((other for other in rows if other["contender"] == "roofline"), None)
    if best is None or not row.get(part) or not best.get(part):
        return ""
    return f"{np.median(np.array(best[part]) / np.array(row[part])):.2f}"


def line(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[str]:
    """Of the table."""
    train, evaluate, recommend = (np.median(row[part]) if row.get(part) else None for part in PARTS)
    return [
        row["setting"],
        f"{row['n_items']:,}",
        str(row["units"]),
        KINDS[row["contender"]].title,
        f"{row['start']:.1f}",
        "" if train is None else f"{1 / train:,.0f}",
        share(rows, row, "train"),
        "" if evaluate is None else f"{evaluate:.3f}",
        share(rows, row, "evaluate"),
        "" if recommend is None else f"{recommend * 1e3:.1f}",
        f"{row['peak_mib']:,.0f}",
    ]


def main(argv: list[str] | None = None) -> int:
    """Exit status: 2 for wrong use, or where nothing could be timed."""
    made = parser()
    given = made.parse_args(argv)
    if (given.train is None) != (given.test is None):
        made.error("--train and --test go together")
    if given.rounds < 1 or given.seconds <= 0:
        made.error("--rounds of at least 1 and --seconds above 0 are accepted")
    missing = [name for name in given.contender or [] if name not in installed()]
    if missing:
        made.error(f"--contender {missing[0]}: {KINDS[missing[0]].module} is not installed")
    given.contender = given.contender or installed()
    settings = given.setting or (tuple(keras_data.SETTINGS) if given.all else SETTINGS)
    items = given.items or ([2933, 37483] if given.all else [2933])
    units = given.units or ([100, 512] if given.all else [100])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console, progress = terminal.console(), terminal.console(stderr=True)
    headings = ("setting", "items", "units", "contender", "start, s", "steps/s", "of that", "evaluate, s", "of that",
                "recommend, ms", "peak, MiB")  # fmt: skip
    table = terminal.make_table(
        f"Speed, float32, {given.rounds} rounds: {cores()}",
        *headings, right=(*headings[1:3], *headings[4:]),
        caption="of that: median share of the speed of the products and rows alone",
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    for setting in settings:
        for n_items in items:
            for width in units:
                task = Task(setting, n_items, width, train=given.train, test=given.test)
                rows = measured(task, given, progress)
                found += rows
                for row in rows:
                    table.add_row(*line(rows, row))
                table.add_section()
    if not found:
        return 2
    console.print(table)
    if given.out:
        given.out.write_text(
            json.dumps({"environment": environment.environment(), "rows": found}, indent=1, default=str)
        )
    return 0


def cores() -> str:
    """How many this process may use, in words."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{count} cores, no GPU used"


if __name__ == "__main__":
    sys.exit(main())
