"""Train and evaluate GRU4Rec on RSC15, with either engine or with both.

Without arguments it runs on SYNTHETIC data that it makes itself. See ``--help`` for real data and for settings.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # run as a script: the packages lie in the repository's root

from examples.rsc15 import data as data_module
from examples.rsc15 import settings
from examples.rsc15.baselines import NAMES, evaluate_baselines, evenly_chosen_sessions
from examples.rsc15.data import Columns, Dataset
from examples.rsc15.engines import ENGINES, Engine
from examples.rsc15.figure import write_figure
from examples.rsc15.results import Results
from examples.rsc15.tables import print_results
from examples.rsc15.training import Checkpoints, Run, progress_bar, train

log = logging.getLogger(__name__)

EMBEDDED_EPOCHS = 4
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
        default=["bpr-max"],
        metavar="NAME",
        help=f"published settings: {', '.join(settings.CONFIGS)} or all (default: %(default)s)",
    )
    model.add_argument("--engine", choices=(*ENGINES, "both"), default="original", help="default: %(default)s")
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
    """Raise ValueError for options that do not go together or are out of range."""
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test go together")
    if options.clicks and options.train:
        raise ValueError("--clicks and --train/--test: one of the two is accepted")
    if options.mode and options.engine == "keras":
        raise ValueError("--mode concerns the original engine; --engine keras does not use it")
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


def engine_params(options: argparse.Namespace, engine: str, config: settings.Config) -> dict[str, Any]:
    params = config.params | {"dtype": options.dtype, "seed": options.seed}
    if options.epochs or not (options.clicks or options.train):
        params["n_epochs"] = options.epochs or EMBEDDED_EPOCHS
    if engine == "original":
        params["backend"] = options.mode or "c"
    return params


def run(options: argparse.Namespace, console: Console) -> None:
    check(options)
    configs = settings.choose(options.config)
    overrides = settings.parse_overrides(options.set)
    columns = Columns(*(overrides.get(f"{name}_key", default) for name, default in Columns()._asdict().items()))
    for path in filter(None, (options.clicks, options.train, options.test)):
        path.open("rb").close()  # a missing file is better reported before the engines are imported
    engines = [Engine.named(name) for name in (ENGINES if options.engine == "both" else [options.engine])]
    jobs = [(config, engine, engine_params(options, engine.name, config)) for config in configs for engine in engines]
    for _, engine, params in jobs:
        engine.create(params, overrides)

    data = load_data(options, columns)
    describe(data, console)
    results = Results(data, sys.argv[1:])
    baselines = options.baselines if options.baselines is not None else data.synthetic
    if baselines:
        test = evenly_chosen_sessions(data.test, columns, options.baseline_sessions)
        results.baseline_sessions = test[columns.session].nunique(), data.counts["test"].sessions
        results.baselines = evaluate_baselines(data, test, options.seed, console)

    checkpoints = Checkpoints(options.out / "checkpoints", data.sha256)
    for config, engine, params in jobs:
        gru = engine.create(params, overrides)
        job = Run(engine.name, config.name, params | {name: getattr(gru, name) for name in overrides})
        if options.resume and (earlier := checkpoints.load(job, engine)):
            n_epochs = gru.n_epochs
            job, gru = earlier
            gru.n_epochs = n_epochs
            console.print(f"{config.name} {engine.name}: {len(job.epochs)} epoch(s) taken from {checkpoints.folder}")
        results.runs.append(job)
        keep = checkpoints if options.checkpoint or options.resume else None
        with progress_bar(console=console, transient=True) as progress:
            train(engine, gru, job, data, progress, keep, lambda _: results.write(options.out / "results.json"))
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            gru.save(options.save / f"{job.name}.safetensors")

    results.write(options.out / "results.json")
    write_figure(results, options.out / "results.png")
    print_results(results, console)
    console.print(f"Written: {options.out / 'results.json'}, {options.out / 'results.png'}", highlight=False)


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
    console, problems = Console(highlight=False), Console(stderr=True)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=problems, show_path=False)],
    )
    try:
        run(options, console)
    except (ValueError, OSError, ImportError) as error:
        if options.verbose:
            raise
        problems.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        problems.print(f"stopped; what was finished is in {options.out}", style="red", markup=False)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
