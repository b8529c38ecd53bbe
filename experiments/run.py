"""``gru4rec PATH``: train a model, or load one, then evaluate and save it."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments import models, options, parameters, sessions, training
from experiments.models import Maker
from experiments.results import SUFFIXES, Results
from experiments.sessions import Columns, Events
from experiments.training import Epoch
from parity import engines, tables
from parity.commands.common import positive

EPILOG = """
PATH and the files of -t are tab- or comma-separated texts with a header (.tsv, .txt, .csv), or Parquet. Ids are whole
numbers or texts; times are numbers, or dates. Options of the file -pf come first, those of -ps win over them.
Exit status: 0 done, 1 the loss was not a number, 2 bad input, 130 interrupted.
Search for good options: gru4rec tune --help
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="gru4rec",
        description="Train or load GRU4Rec, evaluate it, save it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("path", nargs="?", metavar="PATH", type=Path, help="training file, or with -l a saved model")
    made.add_argument("--list-paramfiles", action="store_true", help="print the settings that -pf takes by name")
    options.add_model(made)
    work = made.add_argument_group("what is done")
    work.add_argument("-l", "--load", action="store_true", help="PATH is a saved model: evaluate it, train nothing")
    work.add_argument(
        "-s", "--save", metavar="MODEL", type=Path, help="save the model there after every epoch (safetensors)"
    )
    work.add_argument(
        "--resume", action="store_true", help="go on with the training that -s MODEL was saved from, where it stopped"
    )
    work.add_argument("-t", "--test", nargs="+", default=[], metavar="TEST", type=Path, help="files to evaluate on")
    work.add_argument("-m", "--measure", nargs="+", metavar="N", type=positive, help="cut-offs N (default: 20)")
    options.add_mode(work)
    work.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="results as .json (all of them) or .tsv (metrics)"
    )
    options.add_engine(made)
    options.add_data(made)
    return made


def check(given: argparse.Namespace) -> None:
    """Raise ValueError for options at odds with each other, OSError for files that are not there."""
    if given.path is None:
        raise ValueError("PATH is needed: a training file, or a saved model with -l")
    if given.load:
        for name, value in (("-ps", given.params), ("-pf", given.param_file), ("-s", given.save),
                            ("--resume", given.resume or None), ("--dtype", given.dtype), ("--seed", given.seed),
                            ("-ss", given.sample_store)):  # fmt: skip
            if value is not None:
                raise ValueError(f"{name} with -l: nothing is trained, so it has no use")
        if not given.test:
            raise ValueError("-l without -t: there is nothing to do")
    elif not (given.save or given.test or given.output):
        raise ValueError("one of -t, -s, -o is needed: else the trained model is lost")
    if not given.test:
        for name, value in (("-m", given.measure), ("-e", given.eval_type)):
            if value is not None:
                raise ValueError(f"{name} without -t: nothing is evaluated, so it has no use")
        if given.output and given.output.suffix.lower() == ".tsv":
            raise ValueError(f"-o {given.output} without -t: there is no metric to write; a .json takes the losses")
    if given.resume and not given.save:
        raise ValueError("--resume goes with -s MODEL")
    for path in (given.path, *given.test):
        path.open("rb").close()
    for name, path in (("-s", given.save), ("-o", given.output)):
        if path:
            options.check_writable(name, path)
    if given.output and given.output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"-o {given.output}: a file named {' or '.join(SUFFIXES)} is accepted")


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where the training diverged, else 0."""
    if given.list_paramfiles:
        list_paramfiles(console)
        return 0
    check(given)
    given = options.fill_in(given, measure=[20])
    gru, results, tests = evaluated_model(given, command, console) if given.load else trained(given, command, console)
    if not results.diverged:
        spec = engines.named(results.engine)
        for test in tests:
            with console.status(f"evaluating on {test.path}"):
                results.metrics[str(test.path)] = models.evaluate(
                    spec, gru, test, sorted(set(given.measure)), given.eval_type
                )
        if tests:
            console.print(results.table())
    if given.output:
        results.write(given.output)
        console.print(f"results: {given.output}")
    return 1 if results.diverged else 0


Outcome = tuple[Any, Results, list[Events]]


def evaluated_model(given: argparse.Namespace, command: list[str], console: Console) -> Outcome:
    """A loaded model, results without epochs, and the test files."""
    name = given.engine or models.written_by(given.path)
    if name in engines.NAMES:
        models.check_writer(given.path, name)
    spec, device = models.engine(name, given.device)
    gru = models.load(spec, given.path)
    tests = read_tests(given.test, options.columns(given, models.columns_of(gru)), gru.itemidmap.index, console)
    console.print(f"{given.path}: {len(gru.itemidmap):,} items; {name} on the {device.upper()}")
    results = Results(command, name, engines.device_of(gru), given.eval_type, models.options_of(gru))
    return gru, results, tests


def trained(given: argparse.Namespace, command: list[str], console: Console) -> Outcome:
    """A trained model, results with its epochs, and the test files."""
    params = options.params(given)
    columns = options.columns(given)
    maker, device = options.maker(given)
    gru = maker.create(params, columns)  # a bad option shows before the data are read
    with console.status(f"reading {given.path}"):
        data = sessions.read(given.path, columns)
    console.print(data.describe())
    tests = read_tests(given.test, columns, data.frame[columns.item].unique(), console)
    if given.resume:
        gru = resumed(given.save, gru, maker, given.sample_store, console)
    results = Results(command, maker.spec.name, "", given.eval_type, models.options_of(gru))
    console.print(f"{results.engine} on the {device.upper()}, {maker.dtype}, seed {maker.seed}; "
                  f"{parameters.in_words(params) or 'every option at its default'}")  # fmt: skip
    train(given, gru, data, results, console)
    results.device = engines.device_of(gru)
    return gru, results, tests


def resumed(path: Path, fresh: Any, maker: Maker, sample_store: int, console: Console) -> Any:
    """The saved model, to be trained up to the epochs of ``fresh``; ``fresh`` itself where there is none yet."""
    if not path.exists():
        console.print(f"{path} is not there yet: the training starts at its beginning")
        return fresh
    if maker.spec.name in engines.NAMES:
        models.check_writer(path, maker.spec.name)
        models.check_same_store(path, sample_store)
    saved = models.load(maker.spec, path)
    models.check_same_options(saved, fresh, path)
    saved.n_epochs = fresh.n_epochs
    return saved


def train(given: argparse.Namespace, gru: Any, data: Events, results: Results, console: Console) -> None:
    def after_epoch(epoch: Epoch) -> None:
        results.epochs.append(epoch)
        saved = ""
        if given.save:
            gru.save(given.save)
            saved = f", saved: {given.save}"
        console.print(epoch.describe(gru.n_epochs) + saved)

    resume = {"resume": True} if getattr(gru, "itemidmap", None) is not None else {}
    with training.progress(console) as bar:
        training.fit(gru, data.frame, given.sample_store, bar, after_epoch, **resume)
    results.diverged = bool(gru.error_during_train)
    if results.diverged:
        console.print("the loss became a number no more, and the training stopped: try a smaller learning_rate")


def read_tests(paths: list[Path], columns: Columns, items: Any, console: Console) -> list[Events]:
    """The test files, each with an event to predict. Item ids are taken as texts where the model's are."""
    text_items = any(isinstance(item, str) for item in items)
    tests = []
    for path in paths:
        test = sessions.read(path, columns, text_items)
        sessions.check_predictable(test, items)
        console.print(test.describe())
        tests.append(test)
    return tests


def list_paramfiles(console: Console) -> None:
    made = tables.table("Settings by name: gru4rec PATH -pf NAME", "name", "published for", "options")
    for name, each in parameters.shipped().items():
        made.add_row(name, each.about, parameters.in_words(each.params).replace(",", ", "))
    console.print(made)
