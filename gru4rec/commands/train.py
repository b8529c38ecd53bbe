"""``gru4rec PATH``: train a model, or load one, then evaluate and save it."""

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from gru4rec import (
    baselines,
    checkpoints,
    completion,
    engines,
    files,
    frames,
    hosts,
    metrics,
    models,
    options,
    remarks,
    tables,
    terminal,
    training,
)
from gru4rec.checkpoints import Checkpoint
from gru4rec.cli import COMMANDS
from gru4rec.commands import arguments
from gru4rec.completion import SHELLS
from gru4rec.datasets import mapped
from gru4rec.datasets.mapped import MappedFile
from gru4rec.frames import Columns, EventFile
from gru4rec.published import SETTINGS
from gru4rec.results import SUFFIXES, Results
from gru4rec.training import Epoch, Run

USAGE = f"gru4rec [PATH | {' | '.join(COMMANDS)}] [options]"
EPILOG = """
Instead of PATH, with --help of their own:
  train      the same as PATH without a word    tune       search for good options
  rsc15      the published settings on RSC15, raw file to table
  movielens  the same on MovieLens              dwelltime  does dwell time help?
  evaluate   saved models side by side           score      top lists of any program
  augment    events repeated by dwell time      prepare    a raw file to files of sessions
  sample     synthetic data in a raw format     check      what is wrong with files of sessions
  reproduce  a published result, raw to report  map        a file of sessions memory-mapped
  recommend  the next items of every session of a file

PATH and the files of -t are tab-, comma- or semicolon-separated texts with a header (.tsv, .txt, .csv), or Parquet;
PATH may be a folder of gru4rec map. Ids are texts, or numbers where every one of a column is the plain decimal of its
number. Times are Unix numbers, or dates and times of ISO 8601. Options of -pf come first, those of -ps win over them.
With -s, MODEL.training.json keeps what --resume compares: the data's hash and every option.
"""


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec", "Train or load GRU4Rec, evaluate it, save it.", EPILOG, usage=USAGE)
    made.add_argument("path", nargs="?", metavar="PATH", type=Path, help="training file, or with -l a saved model")
    made.add_argument("--list-paramfiles", action="store_true", help="print the settings that -pf takes by name")
    made.add_argument(
        "--print-completion", choices=SHELLS, metavar="SHELL",
        help=f"print the completion for a shell, {', '.join(SHELLS)}: eval \"$(gru4rec --print-completion bash)\"",
    )  # fmt: skip
    arguments.add_model(made)
    work = made.add_argument_group("what is done")
    work.add_argument("-l", "--load", action="store_true", help="PATH is a saved model: evaluate it, train nothing")
    work.add_argument(
        "-s", "--save", metavar="MODEL", type=Path, help="save the model there after every epoch (safetensors)"
    )
    work.add_argument(
        "--resume", action="store_true", help="go on with the training that -s MODEL was saved from, where it stopped"
    )
    work.add_argument("--overwrite", action="store_true", help="replace a MODEL that is there already")
    work.add_argument("-t", "--test", nargs="+", default=[], metavar="TEST", type=Path, help="files to evaluate on")
    work.add_argument(
        "-m", "--measure", nargs="+", metavar="N", type=arguments.positive, help="cut-offs N (default: 20)"
    )
    arguments.add_mode(work)
    work.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="results as .json (all of them), or .tsv, .csv, .parquet (metrics)",
    )  # fmt: skip
    hosts.add_arguments(arguments.add_engine(made), arguments.positive, arguments.not_negative)
    arguments.add_data(made)
    return made


def check(given: argparse.Namespace) -> None:
    """Raise ValueError for options at odds with each other, OSError for files that are not there or cannot be made."""
    if given.path is None:
        raise ValueError("PATH is needed: a training file, or a saved model with -l")
    if given.load:
        for name, value in (("-ps", given.params), ("-pf", given.param_file), ("-s", given.save),
                            ("--resume", given.resume or None), ("--overwrite", given.overwrite or None),
                            ("--dtype", given.dtype), ("--seed", given.seed), ("-ss", given.sample_store)):  # fmt: skip
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
        if given.output and given.output.suffix.lower() in tables.SUFFIXES:
            raise ValueError(f"-o {given.output} without -t: there is no metric to write; a .json takes the losses")
    for name in ("resume", "overwrite"):
        if getattr(given, name) and not given.save:
            raise ValueError(f"--{name} goes with -s MODEL")
    if given.resume and given.overwrite:
        raise ValueError("--resume with --overwrite: one of the two is accepted")
    if given.output and given.output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"-o {given.output}: a file named {', '.join(SUFFIXES)} is accepted")
    hosts.check(given)
    check_paths(given)


def check_paths(given: argparse.Namespace) -> None:
    """Raise OSError for inputs that are not there; ValueError or OSError for outputs that may not be written."""
    read = [("PATH", given.path), *(("-t", path) for path in given.test), ("-pf", arguments.param_file(given))]
    files.check_inputs(each for each in read if each[1] is None or not mapped.is_mapped(each[1]))
    outputs = [("-o", given.output)]
    if given.save:
        outputs += [("-s", given.save), ("-s", Checkpoint(given.save, {}, 0).record)]
    files.check_outputs(outputs, read)
    if given.save and not (given.resume or given.overwrite):
        checkpoints.check_new("-s", given.save)


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where the training diverged, else 0."""
    if given.list_paramfiles:
        list_settings(console)
        return 0
    if given.print_completion:
        print(completion.script(given.print_completion))
        return 0
    check(given)
    arguments.check_baseline(
        given, ("--dtype", given.dtype), ("--seed", given.seed), ("-ss", given.sample_store),
        ("--resume", given.resume or None),
    )  # fmt: skip
    given = arguments.fill_in(given, measure=[20])
    console.quiet = not hosts.join(given)
    gru, results, tests = evaluated_model(given, command, console) if given.load else trained(given, command, console)
    if not results.diverged:
        evaluate(given, gru, results, tests, console)
    if given.output and hosts.is_first():
        results.write(given.output)
        console.print(f"results: {given.output}")
    return 1 if results.diverged else 0


Outcome = tuple[Any, Results, list[EventFile]]


def evaluated_model(given: argparse.Namespace, command: list[str], console: Console) -> Outcome:
    """A loaded model, results without a training, and the test files."""
    name = given.engine or models.written_by(given.path)
    if engines.base(name) in (*engines.NAMES, *baselines.ENGINES):
        models.check_writer(given.path, name)
    spec, device = models.engine(name, given.device)
    gru = models.load(hosts.over_devices(spec, given), given.path)
    models.check_finite(gru, given.path)
    tests = read_tests(given, arguments.columns(given, models.columns_of(gru)), gru.itemidmap.index, console)
    console.print(f"{given.path}: {len(gru.itemidmap):,} items; {name} on the {device.upper()}")
    results = Results(command, name, engines.device_of(gru), given.eval_type, models.options_of(gru))
    results.sha256 = {str(given.path): files.sha256(given.path)} | {str(test.path): test.sha256 for test in tests}
    return gru, results, tests


def trained(given: argparse.Namespace, command: list[str], console: Console) -> Outcome:
    """A trained model, results with its training, and the test files."""
    from_disk = mapped.read(given.path) if mapped.is_mapped(given.path) else None
    params = arguments.params(given)
    columns = arguments.columns(given, from_disk.columns) if from_disk else arguments.columns(given)
    maker, device = arguments.maker(given)
    gru = maker.create(params, columns)  # a bad option shows before the data are read
    with terminal.console(stderr=True).status(f"reading {terminal.plain(str(given.path))}"):
        data = from_disk or arguments.read(given, given.path, columns)
    console.print(data.describe())
    tests = read_tests(given, columns, data.items, console)
    run = Run(maker.spec.name, "", params)
    checkpoint = Checkpoint(given.save, {"train": data.sha256}, given.sample_store) if given.save else None
    resumed = False
    if given.resume and checkpoint:
        if given.save.exists() and engines.base(maker.spec.name) in engines.NAMES:
            models.check_writer(given.save, maker.spec.name)
        if found := checkpoint.load(maker.spec, run, gru):
            run, gru = found
            resumed = True
        else:
            console.print(f"{given.save} is not there yet: the training starts at its beginning")
    results = Results(command, maker.spec.name, "", given.eval_type, models.options_of(gru), run=run)
    results.sha256 = {str(each.path): each.sha256 for each in (data, *tests)}
    how = f", {maker.dtype}, seed {maker.seed}" if maker.spec.is_trained else ""
    console.print(f"{results.engine} on the {device.upper()}{how}; "
                  f"{options.in_words(params) or 'every option at its default'}")  # fmt: skip
    if maker.spec.is_trained and (note := remarks.small_catalogue(data.counts[2], gru)):
        console.print(f"note: {note}")
    train(given, gru, data, run, checkpoint, resumed, console)
    results.device = engines.device_of(gru)
    return gru, results, tests


def train(
    given: argparse.Namespace, gru: Any, data: EventFile | MappedFile, run: Run, checkpoint: Checkpoint | None,
    resume: bool, console: Console,
) -> None:  # fmt: skip
    """Fill ``run`` in, and save the model after every good epoch."""

    def after_epoch(epoch: Epoch) -> None:
        saved = ""
        if checkpoint:
            checkpoint.save(run, gru)
            saved = f", saved: {given.save}"
        rate = f", {epoch.events_per_second:,.0f} events/s" if epoch.events else ""
        console.print(f"epoch {epoch.number}/{gru.n_epochs}: loss {epoch.loss:.6f}{rate}, {epoch.seconds:.1f} s{saved}")

    begin = perf_counter()
    with terminal.progress() as bar:
        events = data.data_for(models.named(run.engine))
        training.fit(gru, events, run, bar, None, after_epoch, given.sample_store, resume)
    if not models.named(run.engine).is_trained:
        console.print(f"counted in {perf_counter() - begin:.1f} s")
    if run.diverged:
        kept = f"; {given.save} is its last good epoch" if run.epochs and checkpoint else ""
        console.print(f"the training diverged: {run.fault}{kept}. Try a smaller learning_rate")
    elif checkpoint and not gru.n_epochs:
        checkpoint.save(run, gru)


def evaluate(
    given: argparse.Namespace, gru: Any, results: Results, tests: list[EventFile], console: Console
) -> None:
    """Fill in the metrics of the test files, and show them."""
    spec, cut_offs = models.named(results.engine), tuple(sorted(set(given.measure)))
    notes: dict[str, str] = {}
    for test in tests:
        with terminal.console(stderr=True).status(f"evaluating on {terminal.plain(str(test.path))}"):
            name = str(test.path)
            results.metrics[name] = metrics.evaluate(spec, gru, test.frame, test.columns, cut_offs, given.eval_type)
            if given.eval_type == "standard":
                notes[name] = remarks.ties(spec, gru, test.frame, test.columns, cut_offs[-1])
    if tests:
        console.print(results.table())
    for name, note in notes.items():
        console.print(f"note: {name}: {note}")


def read_tests(given: argparse.Namespace, columns: Columns, items: Any, console: Console) -> list[EventFile]:
    """The test files, each with an event to predict. Item ids are taken as texts where the model's are."""
    text_items = any(isinstance(item, str) for item in items)
    tests = []
    for path in given.test:
        test = arguments.read(given, path, columns, text_items)
        frames.check_predictable(test, items)
        console.print(test.describe())
        tests.append(test)
    return tests


def list_settings(console: Console) -> None:
    """A table of the published settings."""
    made = terminal.make_table("Settings by name: gru4rec PATH -pf NAME", "name", "published for", "options")
    for name, each in SETTINGS.items():
        made.add_row(name, each.about, options.in_words(each.params).replace(",", ", "))
    console.print(made)
