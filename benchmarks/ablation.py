"""What each quickening of original/graphs buys, alone: python -m benchmarks.ablation.

Each contender lacks one part and has all the others: the flat elementwise loops, the precompiled header, the
compilation on all cores. A process of its own with an empty compile cache builds the model and trains; the contenders
take turns.
Printed are the seconds from the start of the process to the first step (of the clock, and of all processors), and
steps/s after that, each beside the whole program's of the same round (median over rounds).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

from rich.console import Console

from benchmarks.original_speed import SETTINGS, random_batches
from gru4rec.terminal import make_table

FIGURES = ("cold start, s", "processor, s", "steps/s")


def _without_loops(stack: ExitStack) -> None:
    from original.graphs import c_backend

    query = c_backend.RewriteDatabaseQuery

    def plain(include: list[str], **options: object) -> object:
        return query(include=[each for each in include if each != c_backend.FLAT], **options)

    stack.enter_context(patch.object(c_backend, "RewriteDatabaseQuery", plain))


def _without_header(stack: ExitStack) -> None:
    from original.graphs import compilation

    stack.enter_context(patch.object(compilation, "precompiled_headers", lambda folder: []))


def _one_by_one(stack: ExitStack) -> None:
    from original.graphs import compilation

    stack.enter_context(patch.object(compilation, "_compile_missing", lambda *given: {}))


def _neither(stack: ExitStack) -> None:
    _without_header(stack)
    _one_by_one(stack)


PARTS: dict[str, Callable[[ExitStack], None]] = {
    "all of it": lambda stack: None,
    "without the flat loops (elementwise.py)": _without_loops,
    "without the precompiled header": _without_header,
    "modules one by one": _one_by_one,
    "without compilation.py": _neither,
}


def measure(part: str, config: str, items: int, steps: int) -> dict[str, float]:
    """The figures of one contender, in this process. Aesara is imported here first."""
    begin = time.perf_counter()
    with ExitStack() as stack:
        PARTS[part](stack)
        from original.settings import Settings
        from original.state import of_size

        batches = random_batches(items, 64)
        trainer = of_size(Settings(**SETTINGS[config], backend="c"), items).built.trainer
        step = trainer.compiled_step()

        def train(count: int) -> None:
            for number in range(count):
                batch = batches[number % len(batches)]
                step([trainer.inputs(batch, trainer.masks(len(batch.X)))])

        train(1)
    cold = time.perf_counter() - begin
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(each.ru_utime + each.ru_stime for each in used)
    train(steps // 4)
    begin = time.perf_counter()
    train(steps)
    return dict(zip(FIGURES, (cold, processor, steps / (time.perf_counter() - begin)), strict=True))


def in_process(part: str, config: str, items: int, steps: int) -> dict[str, float]:
    """The same in a process of its own, with an empty compile cache."""
    with tempfile.TemporaryDirectory(prefix="gru4rec_ablation_") as folder:
        given = json.dumps([part, config, items, steps])
        environment = {**os.environ, "AESARA_FLAGS": f"base_compiledir={folder}"}
        command = [sys.executable, "-m", "benchmarks.ablation", "--one", given]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> None:
    """Run the contenders in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(SETTINGS), default="cross-entropy")
    parser.add_argument("--items", type=int, default=2933, metavar="N", help="items (2933)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of all contenders (3)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="steps timed (400)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    console = Console()
    if args.one:
        sys.stdout.write(json.dumps(measure(*json.loads(args.one))) + "\n")
        return
    rounds = []
    for number in range(args.rounds):
        with console.status(f"round {number + 1} of {args.rounds}"):
            rounds.append({part: in_process(part, args.config, args.items, args.steps) for part in PARTS})
    whole = next(iter(PARTS))
    table = make_table(f"{args.config}, {args.items:,} items, C, float32", "", *FIGURES, right=FIGURES)
    for part in PARTS:
        cells = []
        for figure in FIGURES:
            value = statistics.median(each[part][figure] for each in rounds)
            ratio = statistics.median(each[part][figure] / each[whole][figure] for each in rounds)
            cells.append(f"{value:.1f}" + ("" if part == whole else f" ({ratio:.2f} times)"))
        table.add_row(part, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
