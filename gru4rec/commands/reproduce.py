"""``gru4rec reproduce SET [RAW...]``: a published result, from the raw files to one report.

Without RAW it runs on SYNTHETIC data that it makes itself.
"""

import argparse
from pathlib import Path

from rich.console import Console

from gru4rec import files, options, terminal
from gru4rec.checkpoints import Checkpoint
from gru4rec.commands import arguments
from gru4rec.commands.check import table as findings_table
from gru4rec.datasets import checks
from gru4rec.published import RESULTS, Params
from gru4rec.reproduction import report, runs
from gru4rec.reproduction.material import NAMES, Material, Target, from_prepared, from_raw
from gru4rec.reproduction.report import CSV, JSON, PAGE, Reproduction
from gru4rec.reproduction.runs import Plan

SEEDS, FIRST_SEED = 3, 42
# The embedded data have about 1,100 items, of which 2,048 samples would hold every one twice, the targets too.
EMBEDDED_SAMPLES = 256
EXIT_STATUS = (
    "Exit status: 0 done; 1 a training diverged, the check found something bad, or the published figures were not\n"
    "reproduced on the published data; 2 bad input or could not run; 130 interrupted."
)
EPILOG = """
The raw files are prepared in OUT/data unless that holds what was prepared of these very files, checked, and one model
for each seed is trained with the published settings and measured at 1, 5, 10 and 20 beside the published figures. OUT
receives report.html, results.json and results.csv, up to date after every epoch. The same command again goes on where
it stopped; with more --epochs or --seeds it goes further. RAW is a file for each of the set's raw files, in order, or
the folder that holds them.
"""


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser(
        "gru4rec reproduce", "A published result, from the raw files to one report.", EPILOG, EXIT_STATUS
    )
    made.add_argument("set", metavar="SET", choices=NAMES, help=", ".join(NAMES))
    made.add_argument(
        "raw", metavar="RAW", type=Path, nargs="*", help="the raw files (default: SYNTHETIC ones, made on the spot)"
    )
    data = made.add_argument_group("data")
    data.add_argument("--train", type=Path, metavar="FILE", help="a prepared training file instead of RAW, with --test")
    data.add_argument("--test", type=Path, metavar="FILE", help="a prepared file to evaluate on")
    data.add_argument("--anyway", action="store_true", help="train although the check finds something bad")
    model = made.add_argument_group("models")
    model.add_argument("--config", metavar="NAME", help="other settings that were published for the set")
    model.add_argument(
        "--seeds", type=arguments.positive, default=SEEDS, metavar="N", help="trainings (default: %(default)s)"
    )
    model.add_argument(
        "--seed", type=arguments.not_negative, default=FIRST_SEED, metavar="N",
        help="of the first training; the others count on (default: %(default)s)",
    )  # fmt: skip
    model.add_argument("--epochs", type=arguments.positive, metavar="N", help="default: as published, 10")
    model.add_argument(
        "-ps", "--params", metavar="NAME=VALUE,...", help="other options than the published ones; lists as 100/50"
    )
    model.add_argument("--dtype", choices=arguments.DTYPES, default="float32", help="default: %(default)s")
    arguments.add_engine(made)
    made.add_argument("--out", type=Path, metavar="DIR", help="default: runs/reproduce/SET")
    made.add_argument("--overwrite", action="store_true", help="train anew, whatever OUT holds")
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status."""
    target = Target.named(given.set)
    given.out = given.out or Path("runs/reproduce") / target.key
    raw = check(given, target)
    params, changed = chosen_options(given, target, embedded=not (raw or given.train))
    maker, device = arguments.maker(given)
    if not maker.spec.is_trained:
        raise ValueError(f"--engine {maker.spec.name}: a baseline, for which no settings were published; original, "
                         "original-jax, keras or package.module:Class is accepted")  # fmt: skip
    seeds = tuple(range(given.seed, given.seed + given.seeds))
    plan = Plan(maker, params, seeds, given.out / "models")
    plan.create(given.seed)  # a bad option shows before any work
    make_folders(given, plan, raw)
    material = get_material(given, target, raw, console)
    if not describe(material, given.anyway, console):
        return 1
    config = given.config or target.settings
    made = Reproduction(
        target, config, params, changed, command, f"{maker.spec.name} on the {device.upper()}, {maker.dtype}", material,
        seeds, report.published_for(target, config, RESULTS),
    )  # fmt: skip
    console.print(f"{made.engine}; {options.in_words(params)}")
    made.outcomes = []

    def after(outcomes: list[runs.Outcome]) -> None:
        made.outcomes = outcomes
        made.write(given.out)

    results = given.out / JSON
    earlier = runs.read(files.read_json(results, "file of results")) if results.exists() else {}
    runs.carry_out(plan, material, earlier, after, console)
    console.print(report.table(made))
    console.print(f"Verdict: {made.verdict}.")
    console.print(f"Written: {', '.join(str(given.out / name) for name in (PAGE, JSON, CSV))}")
    return 1 if made.diverged or (made.judged and not made.reproduced) else 0


def check(given: argparse.Namespace, target: Target) -> list[Path]:
    """The raw files. Raises ValueError for options at odds with each other, OSError for inputs that are not there."""
    if (given.train is None) != (given.test is None):
        raise ValueError("--train and --test go together")
    if given.raw and given.train:
        raise ValueError("RAW and --train/--test: one of the two is accepted")
    if given.seed + given.seeds > 2**32:
        raise ValueError(f"--seed {given.seed}: seeds up to 4294967295 are accepted, {given.seeds} of them")
    if given.config and given.config not in target.configs:
        accepted = ", ".join(target.configs)
        raise ValueError(f"--config {given.config}: {accepted} are accepted, which were published for {target.name}")
    files.check_inputs([("--train", given.train), ("--test", given.test)])
    return target.find(given.raw) if given.raw else []


def chosen_options(given: argparse.Namespace, target: Target, embedded: bool) -> tuple[Params, tuple[str, ...]]:
    """The options, and those of them that are not as published."""
    published = target.configs[given.config or target.settings]
    params = dict(published)
    if embedded:
        params["n_sample"] = min(params["n_sample"], EMBEDDED_SAMPLES)
    if given.params:
        params |= options.from_text(given.params)
    if given.epochs:
        params["n_epochs"] = given.epochs
    changed = {name: value for name, value in params.items() if published.get(name) != value}
    return params, tuple(f"{name}={options.as_text(value)}" for name, value in changed.items())


def make_folders(given: argparse.Namespace, plan: Plan, raw: list[Path]) -> None:
    """See that everything can be written, before any work; with --overwrite forget the trainings that are there."""
    for folder in (given.out, given.out / "data", plan.folder):
        files.make_folder("--out", folder)
    inputs = [("RAW", path) for path in raw] + [("--train", given.train), ("--test", given.test)]
    files.check_outputs([("--out", given.out / name) for name in (PAGE, JSON, CSV)], inputs)
    if given.overwrite:
        (given.out / JSON).unlink(missing_ok=True)
        for seed in plan.seeds:
            model = plan.model(seed)
            for path in (model, Checkpoint(model, {}, 0).record):
                path.unlink(missing_ok=True)


def get_material(given: argparse.Namespace, target: Target, raw: list[Path], console: Console) -> Material:
    """The data, prepared and read."""
    with terminal.console(stderr=True).status("reading the data") as status:
        if given.train:
            return from_prepared(target, given.train, given.test)
        return from_raw(target, raw, given.out / "data", lambda text: status.update(terminal.plain(text)))


def describe(material: Material, anyway: bool, console: Console) -> bool:
    """What the data are, and what the check says of them; whether to go on."""
    if material.synthetic:
        console.print(material.why, style="bold yellow")
    for each in (material.train, material.test):
        console.print(each.describe())
    noted = [each for each in material.findings if each.level != "fine"]
    for where in dict.fromkeys(each.where for each in noted):
        console.print(findings_table(where, [each for each in noted if each.where == where]))
    console.print(f"Check: {checks.verdict(material.findings)}.")
    if material.bad and not anyway:
        console.print("Nothing is trained on these files; --anyway does.")
    return anyway or not material.bad
