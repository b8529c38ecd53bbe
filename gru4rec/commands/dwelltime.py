"""``gru4rec dwelltime``: GRU4Rec trained plainly, on an augmented file, and with dwell time in the model.

- plain: the training file as it is.
- augmented: events repeated by dwell time (Bogina and Kuflik 2017; :mod:`gru4rec.dwelltime.augment`).
- online: keras_port reads the dwell time of the event before as an input of the network; no event is repeated.
- weighted: keras_port weighs the loss of an event by its dwell time.

All are evaluated on the same test set, which is never augmented, over all events and without the events that repeat the
item just seen. All variants of a seed start from the same weights and item numbers. They take the same number of
epochs; an augmented epoch has more steps. Without arguments it runs on SYNTHETIC data that it makes itself.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from gru4rec import files, tables, terminal
from gru4rec.commands import arguments
from gru4rec.commands.arguments import DTYPES
from gru4rec.commands.rsc15 import EMBEDDED_EPOCHS, EMBEDDED_SAMPLES, embedded_configs
from gru4rec.datasets import rsc15
from gru4rec.datasets.prepared import Dataset, from_files
from gru4rec.datasets.rsc15 import FILES
from gru4rec.dwelltime import dwell, report
from gru4rec.dwelltime.augment import augment
from gru4rec.dwelltime.comparison import PLAIN, Comparison, Outcome
from gru4rec.dwelltime.dwell import THRESHOLD
from gru4rec.dwelltime.metrics import Measured, measure, targets
from gru4rec.frames import Columns
from gru4rec.jobs.arguments import ENGINES, MODES, add_prepared, check_source, choose, column_names, parse_overrides
from gru4rec.jobs.job import Job, describe, plan, train
from gru4rec.published import RSC15, Params
from gru4rec.training import Epoch, Run

DEFAULT_CONFIGS = ["cross-entropy"]
FIRST_SEED = 42
AUGMENTED, ONLINE, WEIGHTED = "augmented", "online", "weighted"
VARIANTS = (PLAIN, AUGMENTED, ONLINE, WEIGHTED)
DEFAULT_VARIANTS = VARIANTS[:3]
KERAS_ONLY = (ONLINE, WEIGHTED)
BUCKETS = 12  # the last begins at 2^11 - 1 s, half an hour
WEIGHT = 1.0
OF_ONE = {"threshold": AUGMENTED, "most": AUGMENTED, "buckets": ONLINE, "weight": WEIGHTED}
OF_VARIANTS = {"seed": "--seeds", "dwell_time": "--variants and --buckets", "dwell_weight": "--variants and --weight"}


@dataclass(frozen=True)
class Trial:
    """One training to be done: a job of a variant with a seed. data_params: what the variant makes of the data."""

    variant: str
    seed: int
    job: Job
    data_params: Params

    def start(self) -> tuple[Run, Any]:
        """A run without epochs, and a new model."""
        run, gru = self.job.start()
        return replace(run, config=f"{run.config} {self.variant} seed {self.seed}"), gru

    @property
    def outcome(self) -> Outcome:
        """What is known before the training."""
        run, _ = self.start()
        params = run.params | self.data_params
        return Outcome(self.job.config, self.job.engine.name, self.variant, self.seed, params)


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec dwelltime",
        "GRU4Rec with and without dwell time, over several seeds. Without arguments: on SYNTHETIC data, made on the "
        "spot.",
        "Example: gru4rec dwelltime --train rsc15_train_full.txt --test rsc15_test.txt --epochs 5",
    )
    source = made.add_argument_group("data (default: embedded synthetic data)")
    add_prepared(source)
    source.add_argument("--threshold", type=float, metavar="SECONDS", help=f"of augmentation (default: {THRESHOLD:g})")
    source.add_argument("--most", type=int, metavar="N", help="an event stands N times at most (default: no limit)")

    model = made.add_argument_group("models")
    model.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        metavar="NAME",
        help=f"{', '.join(VARIANTS)} (default: {' '.join(DEFAULT_VARIANTS)}); {ONLINE} and {WEIGHTED} need keras",
    )
    model.add_argument("--buckets", type=int, metavar="N", help=f"of {ONLINE} (default: {BUCKETS})")
    model.add_argument("--weight", type=float, metavar="W", help=f"of {WEIGHTED} (default: {WEIGHT:g})")
    model.add_argument("--seeds", type=int, default=3, metavar="N", help=f"from {FIRST_SEED} on (default: %(default)s)")
    model.add_argument(
        "--config",
        nargs="+",
        default=DEFAULT_CONFIGS,
        metavar="NAME",
        help=f"published settings: {', '.join(RSC15)} or all (default: {' '.join(DEFAULT_CONFIGS)}; "
        f"n_sample is {EMBEDDED_SAMPLES} on embedded data)",
    )
    model.add_argument("--engine", choices=(*ENGINES, "both"), default="keras", help="default: %(default)s")
    model.add_argument(
        "--epochs", type=int, metavar="N", help=f"default: the config's; {EMBEDDED_EPOCHS} on embedded data"
    )
    model.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a constructor option, in all runs; repeatable"
    )
    model.add_argument("--mode", choices=MODES, help="how the original engine compiles (default: c)")
    model.add_argument("--dtype", choices=DTYPES, default="float32", help="default: %(default)s")

    output = made.add_argument_group("output")
    output.add_argument("--out", type=Path, default=Path("runs/dwelltime"), metavar="DIR", help="default: %(default)s")
    output.add_argument("--resume", action="store_true", help="keep the finished runs of results.json in --out")
    return made


def check(options: argparse.Namespace, overrides: Params) -> None:
    """Raise ValueError for options out of range or at odds with each other, OSError for files that are not there."""
    check_source(options)
    if options.mode and options.engine == "keras":
        raise ValueError("--mode concerns the original engine; --engine keras does not use it")
    for name in ("epochs", "seeds", "buckets"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: at least 1 is needed")
    if options.weight is not None and not options.weight > 0:
        raise ValueError(f"--weight {options.weight:g}: a number above 0 is needed")
    dwell.check(THRESHOLD if options.threshold is None else options.threshold, options.most)
    for name, variant in OF_ONE.items():
        if getattr(options, name) is not None and variant not in variants(options):
            raise ValueError(f"--{name} concerns the variant {variant}, and {', '.join(variants(options))} are run")
    for name in overrides.keys() & OF_VARIANTS.keys():
        raise ValueError(f"--set {name}: it differs between the runs, see {OF_VARIANTS[name]}")
    files.check_inputs([("--train", options.train), ("--test", options.test)])


def variants(options: argparse.Namespace) -> list[str]:
    """Those asked for, each once, else those by default that the engine has."""
    if options.variants:
        return list(dict.fromkeys(options.variants))
    return [name for name in DEFAULT_VARIANTS if options.engine != "original" or name not in KERAS_ONLY]


def fill_in(options: argparse.Namespace) -> argparse.Namespace:
    """A copy with the defaults of the options that belong to one variant each."""
    defaults = {"threshold": THRESHOLD, "buckets": BUCKETS, "weight": WEIGHT}
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    return argparse.Namespace(**vars(options) | missing)


def plan_trials(options: argparse.Namespace, overrides: Params) -> list[Trial]:
    """Config by config, engine by engine, seed by seed. Raises ValueError where no engine has a variant."""
    embedded = options.train is None
    configs = choose(options.config, RSC15)
    if embedded:
        configs = embedded_configs(configs)
    own = {ONLINE: {"dwell_time": options.buckets}, WEIGHTED: {"dwell_weight": options.weight}}
    of_data = {AUGMENTED: {"threshold": options.threshold, "most": options.most}}
    n_epochs = options.epochs or (EMBEDDED_EPOCHS if embedded else None)
    trials = []
    for variant in variants(options):
        if variant in own and options.engine == "original":
            raise ValueError(f"--variants {variant}: the keras engine alone has it; --engine original is asked for")
        engine = "keras" if variant in own else options.engine
        changed = {name: params | own.get(variant, {}) for name, params in configs.items()}
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            given = argparse.Namespace(**vars(options) | {"seed": seed, "engine": engine})
            jobs = plan(changed, given, overrides, n_epochs)
            trials += [Trial(variant, seed, job, of_data.get(variant, {})) for job in jobs]
    order = [(name, engine) for name in configs for engine in ENGINES]
    return sorted(trials, key=lambda trial: (order.index((trial.job.config, trial.job.engine.name)), trial.seed))


def load_data(given: argparse.Namespace, columns: Columns) -> tuple[Dataset, Path, Path]:
    """The plain data, and their training and test file."""
    if given.train:
        paths = {"train_full": given.train, "test": given.test}
        data = from_files(given.train.name, paths, columns, ids=given.ids, time_format=given.time_format)
        return data, given.train, given.test
    folder = given.out / "data"
    return rsc15.embedded(folder, columns), folder / FILES["train_full"], folder / FILES["test"]


def describe_data(data: Dataset) -> dict[str, Any]:
    """What all runs have in common, as JSON values. Raises ValueError when there is no event to predict."""
    items, previous = targets(data.test, data.train[data.columns.item].unique(), data.columns)
    if not len(items):
        raise ValueError("no test session has two events of items that training has: there is nothing to predict")
    return {
        "source": data.source,
        "sha256": data.sha256,
        "counts": {part: counts._asdict() for part, counts in data.counts.items()},
        "predicted_events": len(items),
        "repeats": int((items == previous).sum()),
    }


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where a training diverged, else 0."""
    overrides = parse_overrides(given.set)
    check(given, overrides)
    given = fill_in(given)
    trials = plan_trials(given, overrides)
    results, figure = given.out / "results.json", given.out / "results.png"
    tidy = [given.out / "results.csv", given.out / "results.parquet"]
    files.make_folder("--out", given.out)
    outputs = [("--out", path) for path in (results, *tidy, figure)]
    files.check_outputs(outputs, [("--train", given.train), ("--test", given.test)])
    with terminal.console(stderr=True).status("reading the data"):
        plain, train_file, test_file = load_data(given, column_names(overrides))
    describe(plain, console)
    comparison = Comparison(describe_data(plain), plain.warning, command)
    if given.resume:
        comparison.take_up(results)
    trials = [trial for trial in trials if not comparison.find(trial.outcome)]
    if comparison.outcomes:
        console.print(f"  {len(comparison.outcomes)} run(s) of {results} are kept")
    data = dict.fromkeys(VARIANTS, plain)
    if any(trial.variant == AUGMENTED for trial in trials):
        data[AUGMENTED] = augmented(given, plain, train_file, test_file, console)

    for trial in trials:
        comparison.outcomes.append(carry_out(trial, data[trial.variant], console))
        comparison.write(results)
    for path in tidy:
        tables.write(path, comparison.rows())
    report.write_figure(comparison, figure)
    console.print(report.table(comparison))
    console.print(f"Written: {', '.join(map(str, (results, *tidy, figure)))}")
    return 1 if any(outcome.metrics is None for outcome in comparison.outcomes) else 0


def augmented(
    given: argparse.Namespace, plain: Dataset, train_file: Path, test_file: Path, console: Console
) -> Dataset:
    """The data with events repeated by dwell time."""
    target = given.out / "data" / f"{train_file.stem}-dwell{given.threshold:g}.txt"
    files.make_folder("--out", target.parent)
    files.check_outputs([("--out", target)], [("--train", train_file), ("--test", test_file)])
    with terminal.console(stderr=True).status("augmenting"):
        found = augment(train_file, target, given.threshold, given.most, plain.columns)
        paths = {"train_full": target, "test": test_file}
        data = from_files(plain.name, paths, plain.columns, plain.source, plain.synthetic, given.ids, given.time_format)
    console.print(f"  {target}: {found.events:,} events, {found.factor:.3f} times as many")
    return data


def carry_out(trial: Trial, data: Dataset, console: Console) -> Outcome:
    """Train and evaluate one model."""
    run, gru = trial.start()
    train(trial.job, gru, run, data, console)
    metrics = None if run.diverged else measure(trial.job.engine, gru, data)
    epochs = [flat(epoch) for epoch in run.epochs]
    return replace(trial.outcome, train_events=len(data.train), epochs=epochs, metrics=metrics)


def flat(epoch: Epoch) -> Measured:
    """An epoch as a table's row."""
    by_cut_off = epoch.metrics.items()
    figures = {f"{name}@{N}": pair[which] for which, name in enumerate(("recall", "mrr")) for N, pair in by_cut_off}
    return {"loss": epoch.loss, "seconds": epoch.seconds} | figures
