"""``python -m parity mutants``: small changes of the engines' mathematics, and which check is the first to see each."""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from gru4rec import terminal
from parity import situations
from parity.commands import common
from parity.mutants import book, processes, recorded, sample, sources, tree, trial
from parity.mutants.book import Book, Entry
from parity.mutants.trial import Case, Clean, Outcome
from parity.recordings import manifest
from parity.recordings.reading import find

WANTED = 0.97  # of the mutants that are not equivalent, by golden alone
# Of the recordings: both types, dropout, random order, repeated rows, columns of other names, sessions of one event.
FAST = (
    "columns-renamed", "data-one-event-sessions-unknown-items", "dropout-both-constrained", "first-paper-top1",
    "loss-xe_logit-softmax_logit", "opt-duplicates-momentum", "order-random", "rsc15-bpr-max-constrained",
)  # fmt: skip
FEW = 4  # cases that a mutant known to be equivalent goes through
SILENCE = 20  # times the CPU seconds that a recording may take: how long a process may say nothing


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "mutants",
        help="change the engines' mathematics a little, again and again, and see it caught",
        description="Puts a seeded sample of syntax-tree mutants of the engines in force, one after the other, and "
        "replays recordings until a comparison is past its bound. Exit status 0 only if every survivor is known to be "
        "equivalent. What was found is kept in --out; a second start goes on.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="recordings or folders of them, and no situations (default: a fast part of golden: all situations, and "
        f"{len(FAST)} of the recordings shipped)",
    )
    common.add_engines(parser, "keras and original-jax")
    parser.add_argument(
        "--sample", type=common.positive, default=300, help="mutants of all engines together (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument(
        "--configs",
        type=int,
        default=8,
        help="of the matrix, for what golden did not catch, besides the self-test's settings; 0: neither "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=common.positive, default=120, help="of CPU for a recording (default: %(default)s)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="do not put the unfaulted engines through the cases first, which golden does, to see that they hold and "
        "which lines each case executes: every mutant goes through every case, in the order of golden",
    )
    parser.add_argument("--retry", action="store_true", help="try the survivors of --out again")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mutants.json"), metavar="FILE", help="default: %(default)s"
    )
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    console, names = terminal.console(), options.engine or ["keras", "original-jax"]
    common.check_two(names)
    known = book.equivalents()
    paths = find(options.files)
    for path in paths:
        manifest.check_shipped(path)
    whats: dict[str, Path | str] = {p.stem: p for p in paths if options.files or p.stem in FAST}
    whats |= {} if options.files else {name: name for name in situations.SITUATIONS}
    about = {
        "seed": options.seed,
        "sample": options.sample,
        "cases": list(whats),
        "quick": options.quick,
        "sources": {name: sources.fingerprint(name) for name in names},
    }
    found = Book(about)
    if options.out.exists():
        found = Book.read(options.out)
        found.check_goes_on(options.out, about)
    if options.retry:
        found.entries = [Entry(e.engine, e.mutant) if e.survived else e for e in found.entries]
    every = [*names, *map(_reference_of, names)]
    with (
        processes.prepared(every),
        Progress(console=console, transient=True) as progress,
        tempfile.TemporaryDirectory(prefix="parity-mutants-") as folder,
    ):
        run = _Run(found, options, progress, known)
        golden = run.prepared(whats, Path(folder))
        for name in names:
            if name not in found.baselines:
                cleans = run.taken_on_trust(name, golden) if options.quick else run.unfaulted(name, golden)
                found.baselines[name] = [clean._asdict() for clean in cleans]
        if not found.entries:
            found.entries = [Entry(name, mutant) for name in names for mutant in run.sampled(name, len(names))]
        found.write(options.out)
        run.try_all("golden", {name: (golden, run.cleans(name)) for name in names})
        for name in names if options.configs else ():
            run.try_survivors(name)
    for table in _tables(found, known):
        console.print(table)
    print(_summary(found, known, options.out), flush=True)
    return 1 if book.unexplained(found.entries, known) else 0


def _programs(case: str) -> int:
    """About how many programs an engine compiles for a case of golden."""
    if case not in situations.SITUATIONS:
        return 3
    parts = situations.situation(case).parts
    return sum({"start": 0, "masks": 0, "new items": 0, "predictions": 2, "ranks": 4}.get(part, 1) for part in parts)


def _reference_of(engine: str) -> str:
    """The engine that is recorded for those that golden does not tell: the other of the pair, unfaulted."""
    return "keras" if engine.startswith("original") else "original-jax"


class _Run:
    """The trials of a command. What they find goes into ``found``, which is written after each."""

    def __init__(self, found: Book, options: argparse.Namespace, progress: Progress, known: dict):
        self.found, self.options, self.progress, self.known = found, options, progress, known

    def _each(self, title: str, job: Callable, tasks: list[tuple]) -> Iterator[processes.Done]:
        bar = self.progress.add_task(title, total=len(tasks))
        for done in processes.run_each(job, tasks, self.options.jobs, SILENCE * self.options.seconds):
            yield done
            self.progress.advance(bar)

    def prepared(self, whats: dict[str, Path | str], folder: Path) -> list[Case]:
        """Recordings and situations by name, with what they expect in files of ``folder``."""
        cases = [Case("golden", name, folder / f"{number}.pickle") for number, name in enumerate(whats)]
        tasks = [(what, case.path) for case, what in zip(cases, whats.values())]
        for done in self._each("what is expected", trial.prepare, tasks):
            if isinstance(done.result, Outcome):
                raise RuntimeError(f"{cases[done.at].name} cannot be prepared: {done.result.where}")
        return cases

    def unfaulted(self, name: str, cases: list[Case]) -> list[Clean]:
        """The unfaulted engine in every case that it covers, the most telling first.

        Raises RuntimeError where it fails one: nothing could be said of its mutants then.
        """
        tasks, cleans = [(name, case, self.options.seconds) for case in cases], []
        for done in self._each(f"{name} without a mutant", trial.clean, tasks):
            died = isinstance(done.result, Outcome)
            if died or done.result.failed:
                why = done.result.where if died else done.result.failed
                raise RuntimeError(f"{name} without a mutant fails {cases[done.at].name}: {why}")
            cleans.append(done.result)
        return sample.order(sorted(clean for clean in cleans if "held" in clean.verdicts.values()))

    def taken_on_trust(self, name: str, cases: list[Case]) -> list[Clean]:
        """The cases without a run of the unfaulted engine, those that compile least first."""
        (done,) = self._each(f"{name}: its modules", trial.imported, [(name,)])
        if isinstance(done.result, Outcome):
            raise RuntimeError(f"{name} cannot be imported: {done.result.where}")
        ordered = sorted(cases, key=lambda case: _programs(case.name))
        return [Clean(case.name, {}, "", 0.0, {}, done.result) for case in ordered]

    def sampled(self, name: str, engines: int) -> list[tree.Mutant]:
        """This engine's part of the sample."""
        imported = {module for each in self.found.baselines[name] for module in each["imported"]}
        modules = sources.mathematics_of(name, imported)
        every = [mutant for module in modules for mutant in tree.mutants_of(module.name, module.source)]
        return sample.sampled(every, -(-self.options.sample // engines), self.options.seed)

    def cleans(self, name: str) -> list[Clean]:
        """What the unfaulted engine gave in golden."""
        return [Clean(**each) for each in self.found.baselines[name]]

    def try_all(self, stage: str, through: dict[str, tuple[list[Case], list[Clean]]]) -> None:
        """Every mutant that has not been through this stage, in an order by chance: a part of them is a sample too.

        through: by engine the cases, and the unfaulted engine in them, the most telling first. One that is known to be
        equivalent goes through the first few only: its reason is looked after, not proved.
        """
        entries = self.found.entries
        left = [at for at, e in enumerate(entries) if e.engine in through and e.waits_for(stage)]
        left.sort(key=lambda at: entries[at].mutant.digest)
        text = {module.name: module.source for name in through for module in sources.modules_of(name)}
        tasks = []
        for at in left:
            mutant, (cases, cleans) = entries[at].mutant, through[entries[at].engine]
            by_name, verdicts = {case.name: case for case in cases}, {clean.name: clean.verdicts for clean in cleans}
            names = sample.reaching(mutant, cleans)[: FEW if mutant.key[:4] in self.known else None]
            chosen = [(by_name[name], verdicts[name]) for name in names]
            tasks.append((entries[at].engine, mutant, text[mutant.module], chosen, stage, self.options.seconds))
        for done in self._each(f"mutants, {stage}", trial.try_mutant, tasks):
            entries[left[done.at]] = entries[left[done.at]].after(done.result)
            self.found.write(self.options.out)

    def try_survivors(self, name: str) -> None:
        """Those that golden did not catch, in settings in which the other engine was recorded."""
        if not any(each.engine == name and each.waits_for("matrix") for each in self.found.entries):
            return
        settings, seconds = recorded.settings_of(self.options.configs), self.options.seconds
        with tempfile.TemporaryDirectory(prefix="parity-mutants-") as folder:
            paths = [Path(folder) / f"{number}.pickle" for number in range(len(settings))]
            reference = _reference_of(name)
            tasks = [(reference, which, path, seconds) for which, path in zip(settings, paths)]
            for done in self._each(f"{reference}, recorded for {name}", trial.record, tasks):
                if isinstance(done.result, Outcome):
                    raise RuntimeError(f"{reference} cannot be recorded: {done.result.where}")
            there = [(which, path) for which, path in zip(settings, paths) if path.exists()]
            cases = [Case("matrix", recorded.words(which), path) for which, path in there]
            self.try_all("matrix", {name: (cases, self.unfaulted(name, cases))})


# What is printed.

_COLUMNS = ("mutants", "golden", "matrix", "equivalent", "survived", "golden's share")


def _tables(found: Book, known: dict) -> Iterator[Any]:
    for title, key in (("module", lambda each: each.mutant.module), ("operator", lambda each: each.mutant.operator)):
        made = terminal.make_table(f"Mutants by {title}", title, *_COLUMNS, right=_COLUMNS)
        for name in sorted({key(each) for each in found.entries}):
            made.add_row(name, *_row([each for each in found.entries if key(each) == name], known))
        made.add_row("all", *_row(found.entries, known))
        yield made
    yield _by_check(found)
    rest = [e for e in found.entries if e.outcome and not e.by_golden]
    if rest:
        made = terminal.make_table(
            "Not caught by golden", "engine", "module, function, line", "change", "what became of it"
        )
        for each in rest:
            place = f"{each.mutant.module} {each.mutant.function} {each.mutant.line}"
            made.add_row(each.engine, place, difference(each.mutant), _fate(each, known))
        yield made


def _row(entries: list[Entry], known: dict) -> list[str]:
    tried = [each for each in entries if each.outcome]
    golden = sum(each.by_golden for each in tried)
    survived = [each for each in tried if each.survived]
    open_ones = len(book.unexplained(tried, known))
    later = sum(each.tried.result == "caught" for each in tried) - golden
    counts = len(tried), golden, later, len(survived) - open_ones, open_ones
    return [*map(str, counts), _share(entries, known)]


def share(entries: list[Entry], known: dict) -> float | None:
    """Of the mutants that are not known to be equivalent, the part that golden caught alone; None without any."""
    counted = [e for e in entries if e.outcome and e.outcome.result != "not in force"]
    counted = [e for e in counted if not (e.survived and e.mutant.key[:4] in known)]
    return sum(each.by_golden for each in counted) / len(counted) if counted else None


def _share(entries: list[Entry], known: dict) -> str:
    found = share(entries, known)
    return "" if found is None else f"{100 * found:.1f} %"


def _by_check(found: Book) -> Any:
    """Which check was the first past its bound, and what else ended a mutant."""
    made = terminal.make_table("The first to see it", "check", "golden", "matrix", right=("golden", "matrix"))
    caught = [e for e in found.entries if e.outcome and e.outcome.result == "caught"]
    labels = Counter((_first(each), each.by_golden) for each in caught)
    for label in sorted({label for label, _ in labels}, key=lambda label: -labels[label, True] - labels[label, False]):
        made.add_row(label, str(labels[label, True]), str(labels[label, False]))
    return made


def _first(each: Entry) -> str:
    out = each.tried
    return {
        "bound": out.check,
        "error": "the engine raised an error",
        "not covered": "no longer covered",
        "time": "its time ran out",
        "memory": "its memory ran out",
        "crash": "its process died",
    }[out.by]


def _fate(each: Entry, known: dict) -> str:
    out = each.tried
    if out.result == "caught":
        return f"{out.stage}: {_first(each)}: {out.where} ({out.within})"
    if out.result == "not in force":
        return "its module was not imported in any of its cases"
    reason = known.get(each.mutant.key[:4])
    reached = f"survived {out.ran} cases" if out.ran else "survived: nothing comes past it"
    return f"equivalent: {reason}" if reason else reached


def difference(mutant: tree.Mutant, around: int = 30) -> str:
    """The part of a statement that changes, with a little before and after it."""
    a, b = mutant.original, mutant.mutated
    start = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    same = next((i for i, (x, y) in enumerate(zip(a[start:][::-1], b[start:][::-1])) if x != y), None)
    same = min(len(a), len(b)) - start if same is None else same
    first, before, after = max(0, start - around), "… " if start > around else "", " …" if same > around else ""
    ends = (len(text) - same + min(same, around) for text in (a, b))
    return " → ".join(f"{before}{text[first:end]}{after}" for text, end in zip((a, b), ends))


def _summary(found: Book, known: dict, out: Path) -> str:
    tried = [each for each in found.entries if each.outcome]
    engines = ", ".join(dict.fromkeys(each.engine for each in found.entries))
    golden, caught = sum(e.by_golden for e in tried), sum(e.tried.result == "caught" for e in tried)
    left, survived = book.unexplained(tried, known), sum(each.survived for each in tried)
    stale = sum(each.mutant.key[:4] in known for each in tried if not each.survived)
    seconds = sum(each.tried.seconds for each in tried)
    rate = share(tried, known)
    met = "" if rate is None else f", {100 * rate:.1f} % of those that are not equivalent ({100 * WANTED:.0f} % wanted)"
    parts = [
        f"mutants: {engines}: {len(tried)} tried, {golden} caught by golden alone{met}",
        f"{caught - golden} by matrix",
        f"{survived - len(left)} equivalent, {len(left)} survived unexplained",
        f"{seconds:,.0f} s of CPU",
    ]
    if stale:
        parts.append(f"{stale} listed as equivalent, and caught")
    return "; ".join(parts) + f". All of them: {out}"
