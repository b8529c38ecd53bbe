"""``python -m parity mutants``: small changes of the engines' mathematics, and which check is the first to see each."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

from rich.progress import Progress

from parity import tables
from parity.commands import common
from parity.mutants import book, processes, sample, sources, trial, tree
from parity.mutants.book import Book, Entry
from parity.recordings import manifest
from parity.recordings.reading import find

WANTED = 0.97  # of the mutants that are not equivalent, by golden alone
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
        "files", nargs="*", type=Path, metavar="FILE", help="recordings or folders of them (default: those shipped)"
    )
    common.add_engines(parser, "keras and original-jax")
    parser.add_argument(
        "--sample", type=common.positive, default=300, help="mutants of all engines together (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument(
        "--configs", type=int, default=8, help="of the matrix, for what golden did not catch (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=common.positive, default=120, help="of CPU for a recording (default: %(default)s)"
    )
    parser.add_argument("--retry", action="store_true", help="try the survivors of --out again")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mutants.json"), metavar="FILE", help="default: %(default)s"
    )
    common.add_jobs(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    console, names = tables.console(), options.engine or ["keras", "original-jax"]
    common.check_two(names)
    known = book.equivalents()
    paths = find(options.files)
    for path in paths:
        manifest.check_shipped(path)
    about = {
        "seed": options.seed,
        "sample": options.sample,
        "recordings": [path.stem for path in paths],
        "configs": options.configs,
        "sources": {name: sources.fingerprint(name) for name in names},
    }
    found = Book(about)
    if options.out.exists():
        found = Book.read(options.out)
        found.check_goes_on(options.out, about)
    with processes.prepared([*names, *map(_reference_of, names)]), Progress(console=console, transient=True) as progress:
        for name in names:
            _baseline(found, name, paths, options, progress)
        if not found.entries:
            found.entries = [Entry(name, mutant) for name in names for mutant in _sampled(found, name, options, len(names))]
        found.write(options.out)
        _try_all(found, paths, options, progress)
    for table in _tables(found, known):
        console.print(table)
    print(_summary(found, known, options.out), flush=True)
    return 1 if book.unexplained(found.entries, known) else 0


def _reference_of(engine: str) -> str:
    """The engine that the matrix compares a mutant of ``engine`` with: the other of the pair, unfaulted."""
    return "keras" if engine.startswith("original") else "original-jax"


def _baseline(found: Book, name: str, paths: list[Path], options: argparse.Namespace, progress: Progress) -> None:
    """The unfaulted engine on every recording. Raises RuntimeError where it fails one: nothing could be said then."""
    if name in found.baselines:
        return
    bar = progress.add_task(f"{name} without a mutant", total=len(paths))
    tasks, cleans = [(name, path, options.seconds) for path in paths], []
    for done in processes.run_each(trial.clean, tasks, options.jobs, SILENCE * options.seconds):
        if isinstance(done.result, trial.Outcome) or done.result.failed:
            why = done.result.where if isinstance(done.result, trial.Outcome) else done.result.failed
            raise RuntimeError(f"{name} without a mutant fails {paths[done.at].stem}: {why}")
        cleans.append(done.result)
        progress.advance(bar)
    cleans = [clean for clean in cleans if "held" in clean.verdicts.values()]
    found.baselines[name] = [clean._asdict() for clean in sorted(cleans)]


def _cleans(found: Book, name: str) -> list[trial.Clean]:
    return sample.order([trial.Clean(**each) for each in found.baselines[name]])


def _sampled(found: Book, name: str, options: argparse.Namespace, engines: int) -> list[tree.Mutant]:
    imported = {module for clean in _cleans(found, name) for module in clean.imported}
    modules = sources.mathematics_of(name, imported)
    every = [mutant for module in modules for mutant in tree.mutants_of(module.name, module.source)]
    return sample.sampled(every, -(-options.sample // engines), options.seed)


def _try_all(found: Book, paths: list[Path], options: argparse.Namespace, progress: Progress) -> None:
    """Every mutant without an outcome; the file is written after each."""
    left = [
        at for at, each in enumerate(found.entries) if each.outcome is None or (options.retry and each.survived)
    ]
    bar = progress.add_task("mutants", total=len(left))
    tasks = list(_tasks(found, left, paths, options))
    for done in processes.run_each(trial.try_mutant, tasks, options.jobs, SILENCE * options.seconds):
        at = left[done.at]
        found.entries[at] = Entry(found.entries[at].engine, found.entries[at].mutant, done.result)
        found.write(options.out)
        progress.advance(bar)


def _tasks(found: Book, left: list[int], paths: list[Path], options: argparse.Namespace) -> Iterator[tuple]:
    names = dict.fromkeys(found.entries[at].engine for at in left)
    ordered = {name: _cleans(found, name) for name in names}
    text = {module.name: module.source for name in names for module in sources.modules_of(name)}
    by_name, configs = {path.stem: path for path in paths}, sample.few_configs(options.configs)
    for at in left:
        name, mutant = found.entries[at].engine, found.entries[at].mutant
        recordings = sample.reaching(mutant, ordered[name], by_name)
        verdicts = {clean.recording: clean.verdicts for clean in ordered[name]}
        plan = trial.Plan(recordings, verdicts, configs, _reference_of(name), options.seconds)
        yield name, mutant, text[mutant.module], plan


# ---- what is printed

_COLUMNS = ("mutants", "golden", "matrix, run", "equivalent", "survived", "golden's share")


def _tables(found: Book, known: dict) -> Iterator[Any]:
    for title, key in (("module", lambda each: each.mutant.module), ("operator", lambda each: each.mutant.operator)):
        made = tables.table(f"Mutants by {title}", title, *_COLUMNS, right=_COLUMNS)
        for name in sorted({key(each) for each in found.entries}):
            made.add_row(name, *_row([each for each in found.entries if key(each) == name], known))
        made.add_row("all", *_row(found.entries, known))
        yield made
    yield _by_check(found)
    rest = [e for e in found.entries if e.outcome and not e.by_golden]
    if rest:
        made = tables.table("Not caught by golden", "engine", "module, function, line", "change", "what became of it")
        for each in rest:
            place = f"{each.mutant.module} {each.mutant.function} {each.mutant.line}"
            made.add_row(each.engine, place, difference(each.mutant), _fate(each, known))
        yield made


def _row(entries: list[Entry], known: dict) -> list[str]:
    tried = [each for each in entries if each.outcome]
    golden = sum(each.by_golden for each in tried)
    survived = [each for each in tried if each.survived]
    open_ones = len(book.unexplained(tried, known))
    later = sum(each.outcome.result == "caught" for each in tried) - golden  # type: ignore[union-attr]
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
    made = tables.table("The first to see it", "check", "golden", "matrix, run", right=("golden", "matrix, run"))
    caught = [e for e in found.entries if e.outcome and e.outcome.result == "caught"]
    labels = Counter((_first(each), each.by_golden) for each in caught)
    for label in sorted({label for label, _ in labels}, key=lambda label: -labels[label, True] - labels[label, False]):
        made.add_row(label, str(labels[label, True]), str(labels[label, False]))
    return made


def _first(each: Entry) -> str:
    out = each.outcome
    return {
        "bound": out.check,  # type: ignore[union-attr]
        "error": "the engine raised an error",
        "not covered": "no longer covered",
        "time": "its time ran out",
        "memory": "its memory ran out",
        "crash": "its process died",
    }[out.by]  # type: ignore[union-attr]


def _fate(each: Entry, known: dict) -> str:
    out = each.outcome
    if out.result == "caught":  # type: ignore[union-attr]
        return f"{out.stage}: {_first(each)}: {out.where} ({out.within})"  # type: ignore[union-attr]
    if out.result == "not in force":  # type: ignore[union-attr]
        return "its module was not imported"
    reason = known.get(each.mutant.key[:4])
    reached = f"survived {out.ran} recordings" if out.ran else "survived; no recording comes past it"  # type: ignore[union-attr]
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
    golden, caught = sum(e.by_golden for e in tried), sum(e.outcome.result == "caught" for e in tried)  # type: ignore[union-attr]
    left, survived = book.unexplained(tried, known), sum(each.survived for each in tried)
    stale = sum(each.mutant.key[:4] in known for each in tried if not each.survived)
    seconds = sum(each.outcome.seconds for each in tried)  # type: ignore[union-attr]
    rate = share(tried, known)
    met = "" if rate is None else f", {100 * rate:.1f} % of those that are not equivalent ({100 * WANTED:.0f} % wanted)"
    parts = [
        f"mutants: {engines}: {len(tried)} tried, {golden} caught by golden alone{met}",
        f"{caught - golden} by matrix or run",
        f"{survived - len(left)} equivalent, {len(left)} survived unexplained",
        f"{seconds:,.0f} s of CPU",
    ]
    if stale:
        parts.append(f"{stale} listed as equivalent, and caught")
    return "; ".join(parts) + f". All of them: {out}"
