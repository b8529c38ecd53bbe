"""``gru4rec evaluate MODEL... -t TEST``: models measured side by side, and their lists written."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from gru4rec import baselines, engines, files, frames, lists, models, terminal
from gru4rec.commands import arguments
from gru4rec.commands.arguments import not_negative, positive
from gru4rec.comparison import SUFFIXES, Comparison
from gru4rec.statistics import RESAMPLES

EPILOG = """
Recall, MRR and NDCG of the next item at every N, with intervals by bootstrap over sessions; precision, recall, MAP and
NDCG of the session's remaining items; coverage, Gini index, diversity and popularity of the lists; by events seen
before, and for items that were in the session before or not. Two or more models are compared pairwise: differences,
their intervals, paired randomisation tests over sessions, corrected by Holm's method. docs/metrics.md has the formulas.

A file says itself which engine or baseline saved it. gru4rec score does the same for lists of any program.
"""
CUT_OFFS = (1, 5, 10, 20)


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec evaluate", "Measure saved models, and compare them.", EPILOG)
    made.add_argument("models", nargs="+", metavar="MODEL", type=Path, help="saved models")
    made.add_argument("-t", "--test", required=True, metavar="TEST", type=Path, help="file to evaluate on")
    add_measuring(made)
    made.add_argument(
        "--lists", nargs="+", default=[], metavar="FILE", type=Path,
        help="write the top lists of each model there, .csv or .parquet, as many FILEs as MODELs",
    )  # fmt: skip
    made.add_argument(
        "--length", type=positive, default=lists.LENGTH, metavar="N", help="items of these lists (default: %(default)s)"
    )
    arguments.add_engine(made)
    arguments.add_data(made)
    return made


def add_measuring(made: argparse.ArgumentParser) -> None:
    """Arguments of what is measured, and where it goes."""
    group = made.add_argument_group("what is measured")
    group.add_argument(
        "-m", "--measure", nargs="+", metavar="N", type=positive, default=list(CUT_OFFS),
        help=f"cut-offs N (default: {' '.join(map(str, CUT_OFFS))})",
    )  # fmt: skip
    arguments.add_mode(group)
    group.add_argument(
        "--resamples", type=not_negative, default=RESAMPLES, metavar="N",
        help="of intervals and tests; 0 for none (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of these (default: %(default)s)")
    group.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="results as .json (all of them), or the figures as a tidy table: .tsv, .csv or .parquet",
    )  # fmt: skip


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status 0."""
    check(given)
    given = arguments.fill_in(given)
    comparison = begun(given, command, given.test, given.eval_type)
    names = labels(given.models)
    for number, path in enumerate(given.models):
        made, support = lists_of(given, path, console)
        comparison.sha256[str(path)] = files.sha256(path)
        comparison.add(names[number], made, support)
        if given.lists:
            lists.write(given.lists[number], made)
            console.print(f"lists: {given.lists[number]}, {len(made.predicted):,} predictions")
    return finish(comparison, given.output, console)


def begun(given: argparse.Namespace, command: list[str], test: Path, mode: str) -> Comparison:
    """A comparison without any model yet."""
    cut_offs = tuple(sorted(set(given.measure)))
    return Comparison(
        command, str(test), mode, cut_offs, given.resamples, given.seed, {str(test): files.sha256(test)}
    )  # fmt: skip


def finish(comparison: Comparison, output: Path | None, console: Console) -> int:
    """Compare the pairs, show and write all; returns the exit status."""
    comparison.compare()
    for table in comparison.tables():
        console.print(table)
    if output:
        comparison.write(output)
        console.print(f"results: {output}")
    return 0


def labels(paths: list[Path]) -> list[str]:
    """What stands for each file in tables: its name, or the whole path where two names are the same."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths)]


def check(given: argparse.Namespace) -> None:
    """Raise ValueError for options at odds with each other, OSError for files that are not there or cannot be made."""
    if given.lists and len(given.lists) != len(given.models):
        raise ValueError(f"--lists: {len(given.lists)} files, as many as there are models, {len(given.models)}, are "
                         "accepted")  # fmt: skip
    for path in given.lists:
        if path.suffix.lower() not in lists.SUFFIXES:
            raise ValueError(f"--lists {path}: a file named {' or '.join(lists.SUFFIXES)} is accepted")
    if twice := [path for number, path in enumerate(given.models) if path in given.models[:number]]:
        raise ValueError(f"MODEL {twice[0]} stands there twice")
    inputs = [*(("MODEL", path) for path in given.models), ("-t", given.test)]
    check_files(inputs, given.output, [("--lists", path) for path in given.lists])


def check_files(inputs: Any, output: Path | None, others: Any = ()) -> None:
    """Raise OSError or ValueError for inputs that are not there, and outputs that cannot be made or are of no kind."""
    if output and output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"-o {output}: a file named {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} is accepted")
    for _, path in inputs:
        path.open("rb").close()
    files.check_outputs([("-o", output), *others], inputs)


def loaded(given: argparse.Namespace, path: Path, what: str = "evaluated") -> tuple[engines.EngineSpec, Any]:
    """(engine, model) of a file, which is to be ``what``."""
    name = given.engine or models.written_by(path)
    if name in (*engines.NAMES, *baselines.ENGINES):
        models.check_writer(path, name)
    spec, _ = models.engine(name, given.device)
    gru = models.load(spec, path)
    models.check_finite(gru, path, what)
    return spec, gru


def lists_of(given: argparse.Namespace, path: Path, console: Console) -> tuple[lists.Lists, Any]:
    """(lists, support or None) of a model on the test file."""
    spec, gru = loaded(given, path)
    ids = gru.itemidmap.index
    text_items = any(isinstance(item, str) for item in ids)
    test = arguments.read(given, given.test, arguments.columns(given, models.columns_of(gru)), text_items)
    frames.check_predictable(test, ids)
    length = max(*given.measure, given.length if given.lists else 1)
    with terminal.console(stderr=True).status(f"evaluating {terminal.plain(str(path))}"):
        made = lists.made_by(spec, gru, test.frame, test.columns, length, given.eval_type, str(given.test))
    console.print(f"{path}: {spec.name}, {len(ids):,} items; {len(made.predicted):,} predictions in {given.test}")
    return made, getattr(gru, "support", None)
