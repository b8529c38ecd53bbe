"""Train and evaluate GRU4Rec on RSC15, with either engine or with both.

Without arguments it runs on SYNTHETIC data that it makes itself. See ``--help`` for real data and for settings.
"""

import argparse
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples.rsc15 import data as data_module
from examples.rsc15 import settings
from examples.rsc15.baselines import NAMES, evaluate_baselines, evenly_chosen_sessions
from examples.rsc15.checkpoints import Checkpoints
from examples.rsc15.data import Columns, Dataset
from examples.rsc15.engines import ENGINES, Engine
from examples.rsc15.figure import write_figure
from examples.rsc15.results import Results
from examples.rsc15.tables import print_results
from examples.rsc15.training import Run, progress_bar, train

DEFAULT_CONFIGS, EMBEDDED_CONFIGS = ["bpr-max"], ["bpr-max", "cross-entropy"]
EMBEDDED_EPOCHS = 8
# RSC15 has 18 items for each of the 2,048 samples of a step. The embedded data have 1,033 items in all, of which
# 2,048 samples would hold every one twice, the targets too.
EMBEDDED_SAMPLES = 256
MODES = ("c", "jax")
DTYPES = ("float32", "float64")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train and evaluate GRU4Rec on RSC15. Without arguments: on SYNTHETIC data, made on the spot.",
        epilog="Example: run_rsc15.py --clicks yoochoose-clicks.dat --config bpr-max --set momentum=0.2",
    )
    source = parser.add_argument_group("data (default: embedded synthetic data)")
    source.add_argument("--clicks", type=Path, metavar="FILE", help="the raw file yoochoose-clicks.dat, prepared first")
    source.add_argument("--train", type=Path, metavar="FILE", help="a prepared training file, with --test")
    source.add_argument("--test", type=Path, metavar="FILE", help="a prepared test file, with --train")

    model = parser.add_argument_group("models")
    model.add_argument(
        "--config",
        nargs="+",
        metavar="NAME",
        help=f"published settings: {', '.join(settings.CONFIGS)} or all (default: {' '.join(DEFAULT_CONFIGS)}; "
        f"{' '.join(EMBEDDED_CONFIGS)} on embedded data, where n_sample is {EMBEDDED_SAMPLES} instead of 2048)",
    )
    model.add_argument("--engine", choices=(*ENGINES, "both"), default="both", help="default: %(default)s")
    model.add_argument("--epochs", type=int, metavar="N", help=f"default: 10; {EMBEDDED_EPOCHS} on embedded data")
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any constructor option, in every config; repeatable; lists as 100/50",
    )
    model.add_argument("--mode", choices=MODES, help="how the original engine compiles (default: c)")
    model.add_argument("--dtype", choices=DTYPES, default="float32", help="default: %(default)s")
    model.add_argument("--seed", type=int, default=42, help="of weights, samples and orders (default: %(default)s)")
    model.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        help=f"evaluate {', '.join(NAMES)} too (default: on embedded data only)",
    )
    model.add_argument(
        "--baseline-sessions",
        type=int,
        default=2000,
        metavar="N",
        help="evaluate baselines on at most so many test sessions, evenly chosen (default: %(default)s)",
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, default=Path("runs/rsc15"), metavar="DIR", help="results and data (default: %(default)s)"
    )
    output.add_argument("--save", type=Path, metavar="DIR", help="save each trained model there")
    output.add_argument("--checkpoint", action="store_true", help="save each model after each epoch, in --out")
    output.add_argument("--resume", action="store_true", help="go on from the checkpoints in --out, and make them")
    output.add_argument("--verbose", action="store_true", help="show the log, and tracebacks of errors")
    return parser


def check(options: argparse.Namespace) -> None:
    """Raise ValueError for options out of range or at odds with each other, OSError for files that are not there."""
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test go together")
    if options.clicks and options.train:
        raise ValueError("--clicks and --train/--test: one of the two is accepted")
    if options.mode and options.engine == "keras":
        raise ValueError("--mode concerns the original engine; --engine keras does not use it")
    for path in filter(None, (options.clicks, options.train, options.test)):
        path.open("rb").close()
    for name in ("epochs", "baseline_sessions"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")


def load_data(options: argparse.Namespace, columns: Columns) -> Dataset:
    folder = options.out / "data"
    if options.clicks:
        return data_module.from_clicks(options.clicks, folder, columns)
    if options.train:
        return data_module.from_files(options.train, options.test, columns)
    return data_module.embedded(folder, columns)


def column_names(overrides: dict[str, str]) -> Columns:
    return Columns(*(overrides.get(f"{name}_key", default) for name, default in Columns()._asdict().items()))


@dataclass(frozen=True)
class Job:
    """One training to be done."""

    config: str
    engine: Engine
    params: dict[str, Any]
    overrides: dict[str, str]

    def start(self) -> tuple[Run, Any]:
        """A run without epochs, and a new model. Raises ValueError for an option that the model does not accept."""
        gru = self.engine.create(self.params, self.overrides)
        overridden = {name: getattr(gru, name) for name in self.overrides}
        return Run(self.engine.name, self.config, self.params | overridden), gru


def plan(options: argparse.Namespace, overrides: dict[str, str]) -> list[Job]:
    """Config by config, engine by engine. Imports the engines, and raises what :meth:`Job.start` does."""
    embedded = not (options.clicks or options.train)
    configs = settings.choose(options.config or (EMBEDDED_CONFIGS if embedded else DEFAULT_CONFIGS))
    engines = [Engine.named(name) for name in (ENGINES if options.engine == "both" else [options.engine])]
    changes = {"dtype": options.dtype, "seed": options.seed}
    if embedded or options.epochs:
        changes["n_epochs"] = options.epochs or EMBEDDED_EPOCHS
    own = {"original": {"backend": options.mode or "c"}}

    def params(config: settings.Config, engine: Engine) -> dict[str, Any]:
        given = config.params | changes | own.get(engine.name, {})
        return given | {"n_sample": min(given["n_sample"], EMBEDDED_SAMPLES)} if embedded else given

    jobs = [Job(config.name, engine, params(config, engine), overrides) for config in configs for engine in engines]
    for job in jobs:
        job.start()  # a bad option shows here, before the data are prepared
    return jobs


def run(options: argparse.Namespace, command: list[str], console: Console) -> None:
    check(options)
    overrides = settings.parse_overrides(options.set)
    columns = column_names(overrides)
    jobs = plan(options, overrides)
    with console.status("reading the data"):
        data = load_data(options, columns)
    describe(data, console)

    results = Results(data, command)
    if options.baselines or (options.baselines is None and data.synthetic):
        test = evenly_chosen_sessions(data.test, columns, options.baseline_sessions)
        results.baseline_sessions = test[columns.session].nunique(), data.counts["test"].sessions
        results.baselines = evaluate_baselines(data, test, options.seed, console)
    for job in jobs:
        carry_out(job, results, options, console)

    results.write(options.out / "results.json")
    write_figure(results, options.out / "results.png")
    print_results(results, console)
    console.print(f"Written: {options.out / 'results.json'}, {options.out / 'results.png'}")


def carry_out(job: Job, results: Results, options: argparse.Namespace, console: Console) -> None:
    """Train, evaluate and save one model; ``results`` and its file grow epoch by epoch."""
    result, gru = job.start()
    checkpoints = Checkpoints(options.out / "checkpoints", results.data.sha256)
    if options.resume and (earlier := checkpoints.load(result, job.engine)):
        n_epochs = gru.n_epochs
        result, gru = earlier
        gru.n_epochs = n_epochs
        console.print(f"{job.config} {job.engine.name}: {len(result.epochs)} epoch(s) from {checkpoints.folder}")
    results.runs.append(result)

    def after_epoch() -> None:
        if options.checkpoint or options.resume:
            checkpoints.save(result, gru)
        results.write(options.out / "results.json")

    with progress_bar(console=console, transient=True) as progress:
        train(job.engine, gru, result, results.data, progress, after_epoch)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        gru.save(options.save / f"{result.name}.safetensors")


def describe(data: Dataset, console: Console) -> None:
    console.print(data.title, style="bold yellow" if data.synthetic else "bold")
    for part, counts in data.counts.items():
        numbers = ", ".join(f"{number:,} {what}" for what, number in counts._asdict().items())
        console.print(f"  {part}: {numbers}")
    if data.is_published:
        console.print("  These are the published counts: results stand beside the published ones.")
    elif not data.synthetic:
        console.print("  These are not the published counts: results are not comparable with the published ones.")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console, problems = (Console(stderr=stderr, markup=False, highlight=False) for stderr in (False, True))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=problems, show_path=False)],
    )
    try:
        run(options, sys.argv[1:] if arguments is None else arguments, console)
    except (ValueError, OSError, ImportError) as error:
        if options.verbose:
            raise
        problems.print(f"error: {error}", style="red", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        problems.print(f"stopped; what was finished is in {options.out}", style="red")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
