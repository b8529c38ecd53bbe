"""``python -m parity training``: are an engine's full runs equivalent to the stored runs of the reference?"""

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from gru4rec import engines, terminal
from gru4rec.options import choose
from parity import data, tables
from parity.checks.training import FAULTS, FEWEST, check_training, faulty
from parity.commands import common
from parity.convergence import equivalence, recording, sample
from parity.convergence.drawing import Drawn, Task, draw_all
from parity.convergence.sample import Runs, Sample
from parity.data import Dataset
from parity.measure import Checks

FIRST_SEED = 1001  # of drawn runs; the stored ones have small numbers
RUNS = 24
FAULTY_RUNS = 8
RECORDED_RUNS = 32
SPLITS = 1000


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "training",
        help="test whether full runs are equivalent to the stored runs of the reference",
        description="Draws full runs of an engine and tests their equivalence to stored runs of the reference: two "
        "one-sided tests of the last loss, Recall@20, MRR@20 and the shared items of top-20 lists, all by the "
        "harness's own evaluation. Exit status 0: equivalence shown, 1: a difference shown, 3: neither, 2: the runs "
        "cannot be compared.",
    )
    common.add_engines(parser, "original and keras")
    parser.add_argument(
        "--runs",
        type=common.positive,
        help=f"runs of each engine and setting (default: {RUNS}; with --selftest {FAULTY_RUNS})",
    )
    parser.add_argument(
        "--config", action="append", metavar="NAME", help="a stored setting, or a file of options; may be repeated "
        "(default: all that are stored)",
    )  # fmt: skip
    parser.add_argument(
        "--data", nargs="+", default=["embedded"], metavar="FILE",
        help="embedded (the default), or the two files TRAIN TEST that stored runs were made on",
    )  # fmt: skip
    parser.add_argument("--epochs", type=common.positive, help="epochs of a run (default: those of the stored runs)")
    parser.add_argument(
        "--seed", type=common.positive, help=f"of the first run (default: {FIRST_SEED}; with --record 1)"
    )
    parser.add_argument("--sample", type=Path, metavar="FILE", help="stored runs of your own: the .json of --record")
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="does the test fail faulty engines (runs of the first engine), and does it hold the stored runs "
        "themselves?",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="make stored runs of one engine there; goes on where it stopped"
    )
    parser.add_argument(
        "--judge", type=Path, metavar="FILE", help="judge runs that --record made elsewhere, by their .json: draw none"
    )
    parser.add_argument("--name", help="of what --record makes (default: embedded, or the folder of TRAIN)")
    common.add_device(parser)
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    dataset = _dataset(options.data)
    if options.record:
        return _record(options, dataset)
    stored = _stored(options, dataset)
    chosen = _chosen(options, stored)
    if options.selftest:
        return _selftest(options, stored, chosen, dataset)
    if options.judge:
        return _judge_recorded(options, stored, chosen)
    return _judge(options, stored, chosen, dataset)


def _dataset(given: list[str]) -> Dataset:
    if given == ["embedded"]:
        return data.embedded(2500, 400, 400)
    if len(given) != 2:
        raise ValueError(f"--data {' '.join(given)}: embedded, or two files TRAIN TEST are accepted")
    found = data.from_files(Path(given[0]), Path(given[1]))
    if found.train["ItemId"].nunique() < sample.LENGTH:
        raise ValueError(f"{given[0]}: at least {sample.LENGTH} items are needed")
    return found


def _stored(options: argparse.Namespace, dataset: Dataset) -> Sample:
    """The stored runs on this data. Raises ValueError where there are none, or where their epochs are others."""
    known = {options.sample.stem: sample.read(options.sample)} if options.sample else sample.shipped()
    fitting = [stored for stored in known.values() if stored.sha256 == dataset.sha256]
    if not fitting:
        have = "; ".join(f"{name} (SHA-256 {stored.sha256[:16]}...)" for name, stored in known.items()) or "none"
        raise ValueError(
            f"--data {' '.join(options.data)}: no runs are stored for this data (SHA-256 {dataset.sha256[:16]}...); "
            f"stored: {have}"
        )
    (stored,) = fitting
    if options.epochs not in (None, stored.epochs):
        raise ValueError(f"--epochs {options.epochs}: the stored runs have {stored.epochs} epochs")
    return stored


def _chosen(options: argparse.Namespace, stored: Sample) -> list[str]:
    """Names of stored settings. A file has to be one of them, option by option."""
    names = []
    for name in options.config or ["all"]:
        if name == "all":
            names += list(stored.runs)
        elif name in stored.runs:
            names.append(name)
        else:
            ((_, params),) = choose([name]).items()
            same = [known for known in stored.runs if stored.params(known) == params]
            if not same:
                raise ValueError(
                    f"--config {name}: runs are stored for {', '.join(stored.runs)} with "
                    f"n_epochs={stored.epochs}; these options are none of them"
                )
            names += same
    return list(dict.fromkeys(names))


# Judging.


def _draw_all(tasks: list[Task], jobs: int, console, done=lambda at, drawn: None) -> list[Drawn]:
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("full runs", total=len(tasks))

        def tell(at: int, drawn: Drawn) -> None:
            done(at, drawn)
            progress.advance(bar)

        found = draw_all(tasks, jobs, tell)
    common.log_raised(drawn.traceback for drawn in found)
    return found


def _checked(reference: Runs, drawn: list[Drawn]) -> tuple[Checks, list[equivalence.Equivalence]]:
    checks = Checks()
    check = checks["training"]
    check.broken = next((part.broken for part in drawn if part.broken), None)
    lacking = next((part.lacks for part in drawn if part.lacks), None)
    if check.broken or lacking:
        check.not_covered += [lacking] if lacking else []
        return checks, []
    runs = Runs.joined([part.runs for part in drawn if part.runs is not None])
    return checks, check_training(checks, reference, runs)


def _verdict(checks: Checks, tests: list[equivalence.Equivalence]) -> str:
    check = checks["training"]
    return check.verdict if not tests else equivalence.verdict(tests)


def _judge(options: argparse.Namespace, stored: Sample, chosen: list[str], dataset: Dataset) -> int:
    names, runs = options.engine or ["original", "keras"], options.runs or RUNS
    if runs < FEWEST:
        raise ValueError(f"--runs {runs}: at least {FEWEST} are needed, and more for a verdict")
    if len(set(names)) < len(names):
        raise ValueError(f"--engine {' --engine '.join(names)}: each engine once is accepted")
    device, remark = engines.choose_device(options.device, names)
    common.check_engines(names)
    console, first = terminal.console(), options.seed or FIRST_SEED
    console.print(_who("stored", stored, chosen), markup=False)
    console.print(
        f"{', '.join(names)}: {runs} runs of each setting, seeds {first} to {first + runs - 1}, "
        f"{stored.about['dtype']}, {stored.epochs} epochs, device {device} ({remark})"
    )
    pairs = [(name, setting) for setting in chosen for name in names]
    tasks = [
        Task(name, device, stored.params(setting), dataset, first + k, stored.prefixes)
        for name, setting in pairs
        for k in range(runs)
    ]
    drawn = _draw_all(tasks, options.jobs, console)
    verdicts = {}
    for at, (name, setting) in enumerate(pairs):
        checks, tests = _checked(stored.runs[setting], drawn[at * runs : (at + 1) * runs])
        verdicts[name, setting] = _told(console, stored, name, setting, range(first, first + runs), checks, tests)
    return _conclude(stored, verdicts)


def _judge_recorded(options: argparse.Namespace, stored: Sample, chosen: list[str]) -> int:
    """Runs that ``--record`` made, here or elsewhere."""
    given = sample.read(options.judge)
    name = str(given.about["made_by"].get("engine", given.name))
    if (given.sha256, given.epochs, given.prefixes.tolist()) != (
        stored.sha256,
        stored.epochs,
        stored.prefixes.tolist(),
    ):
        raise ValueError(f"--judge {options.judge}: its data, epochs or prefixes are not those of the stored runs")
    same = {setting: key for setting in chosen for key in given.runs if given.params(key) == stored.params(setting)}
    if not same:
        raise ValueError(f"--judge {options.judge}: no setting of it is one of {', '.join(chosen)}")
    console, verdicts = terminal.console(), {}
    console.print(_who("stored", stored, chosen), markup=False)
    console.print(_who("judged", given, list(same.values())), markup=False)
    for setting, key in same.items():
        checks = Checks()
        tests = check_training(checks, stored.runs[setting], given.runs[key])
        verdicts[name, setting] = _told(console, stored, name, setting, given.runs[key].seeds, checks, tests)
    return _conclude(stored, verdicts)


def _told(console, stored: Sample, name: str, setting: str, seeds, checks: Checks, tests) -> str:
    """Print the tests of one engine in one setting; returns the verdict."""
    reference = stored.runs[setting]
    both = set(reference.seeds.tolist()) & set(map(int, seeds))
    _print(console, f"{setting}: {name}, {len(seeds)} runs, against {len(reference)} stored", checks, tests, len(both))
    return _verdict(checks, tests)


def _who(what: str, stored: Sample, chosen: list[str]) -> str:
    made, counts = stored.about["made_by"], {len(stored.runs[name]) for name in chosen}
    return (
        f"{what}: {stored.name}, {'/'.join(map(str, sorted(counts)))} runs of each setting, {stored.epochs} epochs, by "
        f"{made.get('engine', '?')}, commit {made.get('commit', '?')}, {made.get('computed_on', '?')}; data: "
        f"{stored.about['data'].get('title', '?')}"
    )


def _print(console, title: str, checks: Checks, tests: list[equivalence.Equivalence], both: int) -> None:
    check = checks["training"]
    if not tests:
        console.print(f"{title}: {check.verdict}: {tables.explain(check)}", markup=False)
    else:
        console.print(_table(title, tests))
        runs, needed = tests[0].candidate.count, equivalence.runs_needed(tests)
        console.print(
            f"power to hold all figures at a true difference of 0: at least "
            f"{equivalence.power_of_all(tests, runs):.2f} by {runs} runs; {equivalence.POWER} by "
            f"{needed or 'no number of'} runs"
        )
    for reason in dict.fromkeys(check.not_covered if tests else []):
        console.print(f"not covered: {reason}", markup=False)
    for note in check.notes:
        console.print(f"note: {note}", markup=False)
    if both:
        console.print(f"note: {both} seeds are those of stored runs, so that the two samples are not independent")


def _table(title: str, tests: list[equivalence.Equivalence]):
    right = ("reference", "engine", "difference", "margin", "p same", "p beyond", "power")
    made = terminal.make_table(
        title, "figure", *right[:3], "90 % interval", *right[3:], "verdict", right=(*right, "90 % interval")
    )
    for test in tests:
        smallest = max(1e-3, min(test.margin, test.reference.deviation, test.candidate.deviation))
        digits = max(3, 1 - int(np.floor(np.log10(smallest))))
        show = f"{{:.{digits}f}}".format
        made.add_row(
            test.figure,
            *(f"{show(group.mean)} ± {show(group.deviation)}" for group in (test.reference, test.candidate)),
            f"{test.delta:+.{digits}f}",
            f"{test.interval[0]:+.{digits}f} to {test.interval[1]:+.{digits}f}",
            f"{show(test.margin)} ({test.margin / abs(test.reference.mean):.1%})" if test.reference.mean else "0",
            f"{test.p_equivalent:.2g}",
            f"{test.p_beyond:.2g}",
            f"{test.power:.2f}",
            tables.status(test.status),
        )
    return made


def _conclude(stored: Sample, verdicts: dict[tuple[str, str], str]) -> int:
    count = {status: sum(v == status for v in verdicts.values()) for status in ("held", "failed", "not covered")}
    parts = [
        f"{count['held']} of {len(verdicts)} held",
        f"{count['failed']} failed, {count['not covered']} not covered",
    ]
    for status in ("failed", "not covered"):
        if count[status]:
            parts.append(f"{status}: {', '.join(' in '.join(key) for key, v in verdicts.items() if v == status)}")
    engines_judged = ", ".join(dict.fromkeys(name for name, _ in verdicts))
    print(f"training: {engines_judged} against the stored runs of {stored.name}: {'; '.join(parts)}", flush=True)
    return 1 if count["failed"] else 3 if count["not covered"] else 0


# Does the test have power, and no false alarms?


def _selftest(options: argparse.Namespace, stored: Sample, chosen: list[str], dataset: Dataset) -> int:
    """Exit status 0 where every fault fails in a setting at least, and false alarms are no more than LEVEL."""
    name, runs = (options.engine or ["original"])[0], options.runs or FAULTY_RUNS
    device, remark = engines.choose_device(options.device, [name])
    common.check_engines([name])
    console, first = terminal.console(), options.seed or FIRST_SEED
    console.print(_who("stored", stored, chosen), markup=False)
    made = terminal.make_table(
        f"Stored runs against each other, {SPLITS} random splits", "setting", "against the others", "held",
        "not covered", "false alarms", right=("held", "not covered", "false alarms"),
    )  # fmt: skip
    alarms = 0.0
    for setting in chosen:
        for count in (runs, len(stored.runs[setting]) // 2):
            shares = equivalence.resampled(stored.runs[setting], count, SPLITS)
            alarms = max(alarms, shares["failed"])
            made.add_row(setting, str(count), *(f"{shares[key]:.1%}" for key in ("held", "not covered", "failed")))
    console.print(made)
    changed = {
        (fault, s): params for fault in FAULTS for s in chosen if (params := faulty(stored.params(s), fault))
    }
    pairs = list(changed)
    tasks = [
        Task(name, device, params, dataset, first + k, stored.prefixes)
        for params in changed.values()
        for k in range(runs)
    ]
    drawn = _draw_all(tasks, options.jobs, console)
    console.print(f"faults: {name}, {runs} runs each, device {device} ({remark})")
    made = terminal.make_table("Faults", "fault", "setting", "verdict", "differences in margins")
    caught = dict.fromkeys((fault for fault, _ in pairs), 0)
    for at, (fault, setting) in enumerate(pairs):
        checks, tests = _checked(stored.runs[setting], drawn[at * runs : (at + 1) * runs])
        found = _verdict(checks, tests)
        caught[fault] += found == "failed"
        sizes = ", ".join(f"{t.figure} {t.delta / t.margin:+.1f}{' *' if t.status == 'failed' else ''}" for t in tests)
        made.add_row(fault, setting, tables.status(found), sizes or tables.explain(checks["training"]))
    console.print(made)
    missed = [fault for fault, times in caught.items() if not times]
    print(
        f"training, selftest: {len(caught) - len(missed)} of {len(caught)} faults failed in a setting at least, "
        f"{sum(caught.values())} of {len(pairs)} pairs of fault and setting; false alarms at most {alarms:.1%}"
        + (f"; NOT CAUGHT: {', '.join(missed)}" if missed else ""),
        flush=True,
    )
    return 1 if missed or alarms > equivalence.LEVEL else 0 if pairs else 3


# Recording.


def _record(options: argparse.Namespace, dataset: Dataset) -> int:
    names, runs, first = options.engine or ["original"], options.runs or RECORDED_RUNS, options.seed or 1
    if len(names) > 1:
        raise ValueError(f"--record with {len(names)} engines: one is accepted")
    chosen = choose(options.config or ["all"])
    chosen = {key: params | ({"n_epochs": options.epochs} if options.epochs else {}) for key, params in chosen.items()}
    if len({params.get("n_epochs", 10) for params in chosen.values()}) > 1:
        raise ValueError("--record: the settings have different numbers of epochs; --epochs gives them one")
    name = options.name or ("embedded" if options.data == ["embedded"] else Path(options.data[0]).resolve().parent.name)
    device, _ = engines.choose_device(options.device, names)
    common.check_engines(names)
    kind = {"engine": names[0], "device": device, "settings": chosen, "data": dataset.sha256}
    work, seeds = recording.Work(options.record / name, kind), range(first, first + runs)
    todo = [(setting, seed) for seed in seeds for setting in chosen if not work.has(setting, seed)]
    console = terminal.console()
    console.print(f"{len(todo)} of {runs * len(chosen)} runs of {names[0]} are to be made, in {work.folder}")
    tasks = [Task(names[0], device, chosen[setting], dataset, seed, None) for setting, seed in todo]

    def keep(at: int, one: Drawn) -> None:
        if one.runs:
            work.keep(*todo[at], one.runs)

    drawn = _draw_all(tasks, options.jobs, console, keep)
    problems = [part.broken or part.lacks for part in drawn if part.runs is None]
    if problems:
        raise RuntimeError(f"{len(problems)} runs were not made: {problems[0]}")
    made_by = {
        "engine": names[0],
        "computed_on": next((part.computed_on for part in drawn), "made before"),
        "command": shlex.join(["python", "-m", "parity", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "environment": engines.environment(),
    }
    made = {setting: work.joined(setting, seeds) for setting in chosen}
    path = sample.write(
        options.record, name, recording.about(chosen, made, dataset, made_by), recording.prefixes_of(dataset), made
    )
    print(f"training: {runs * len(chosen)} runs stored: {path}, {path.with_suffix('.npz')}", flush=True)
    return 0
