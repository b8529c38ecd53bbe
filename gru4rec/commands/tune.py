"""``gru4rec tune PATH -t TEST --space FILE``."""

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from gru4rec import baselines, files, frames, options, remarks, terminal
from gru4rec.baselines import spaces
from gru4rec.commands import arguments
from gru4rec.commands.arguments import positive
from gru4rec.metrics import NAMES
from gru4rec.published import Params
from gru4rec.tuning import plots, study
from gru4rec.tuning.objective import TIES, Objective
from gru4rec.tuning.space import Space, of_baseline
from gru4rec.tuning.space import read as read_space

EPILOG = """
FILE of --space holds one JSON object a line, or a JSON list of them:
  {"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "step": 0.005}
  {"name": "layers", "dtype": "int", "values": [64, 512], "step": 32}
  {"name": "dropout_p_embed", "dtype": "categorical", "values": [0, 0.25, 0.5]}
int and float take the lowest and the highest value, and "step" or "log": true if wanted. Options that it names win over
those of -pf. Tune on a part of the training data, and leave the test data for the end.

The same command again goes on with the study, and may run in several processes at once: on one host by default, on
several with --storage postgresql://... A trial whose process was killed is run again, a minute later, by any other.
"""
TOP = 5  # trials of the table at the end
DEFAULT_STUDY = "gru4rec"
BEST, TRIALS = "best.toml", "trials.tsv"
OUTPUTS = (BEST, TRIALS, "study.db", *plots.NAMES)


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec tune", "Search for good options of GRU4Rec, with Optuna's TPE.", EPILOG)
    made.add_argument("path", metavar="PATH", type=Path, help="training file")
    made.add_argument("-t", "--test", required=True, metavar="TEST", type=Path, help="file to measure on")
    search = made.add_argument_group("search")
    search.add_argument(
        "--space", "-opf", metavar="FILE", type=Path,
        help="the parameters and their values, see below; a baseline has a space of its own where none is given",
    )
    search.add_argument(
        "-nt", "--n-trials", type=positive, default=50, metavar="N",
        help="completed or pruned trials of the study in all, those of other processes and of earlier runs too "
        "(default: %(default)s)",
    )  # fmt: skip
    search.add_argument(
        "-pm", "--primary-metric", choices=NAMES, default="recall", help="what is made large (default: %(default)s)"
    )
    search.add_argument("-m", "--measure", type=positive, default=20, metavar="N", help="its cut-off (default: 20)")
    arguments.add_mode(search)
    search.add_argument(
        "--no-pruning", action="store_true",
        help="train every trial to its end, and measure it then only; else one that is worse after an epoch than the "
        "median of the trials before it ends there",
    )  # fmt: skip
    kept = made.add_argument_group("output")
    kept.add_argument(
        "--out", type=Path, default=Path("runs/tune"), metavar="DIR",
        help="receives the study, best.toml (for -pf), trials.tsv and the plots; these three, for another --study than "
        "the default, in DIR/NAME (default: %(default)s)",
    )  # fmt: skip
    kept.add_argument(
        "--storage",
        metavar="URL",
        help="where the study is kept, as postgresql://user@host/name (default: DIR/study.db)",
    )
    kept.add_argument("--study", default=DEFAULT_STUDY, metavar="NAME", help="its name there (default: %(default)s)")
    arguments.add_model(made)
    arguments.add_engine(made)
    arguments.add_data(made)
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status: 1 where every training diverged, else 0."""
    if not given.space and given.engine not in baselines.ENGINES:
        raise ValueError("--space FILE is needed; baselines alone have a space of their own")
    arguments.check_baseline(given, ("--dtype", given.dtype), ("-ss", given.sample_store))
    inputs = [("PATH", given.path), ("-t", given.test), *([("--space", given.space)] if given.space else [])]
    files.check_inputs(inputs)
    folder = study_folder(given.out, given.study)
    files.make_folder("--out", given.out)
    files.make_folder("--out", folder)
    files.check_outputs([("--out", folder / name) for name in OUTPUTS], [*inputs, ("-pf", arguments.param_file(given))])
    given = arguments.fill_in(given)
    objective = prepared(given, console)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = given.storage or study.sqlite(given.out / "study.db")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every model of another shape is a tracing to warn of
    try:
        found = study.open_study(url, given.study, objective.setup(), objective.pruning, given.seed)
        search(found, objective, given.n_trials, folder, console)
    except study.LOST as problem:
        shown = make_url(url).render_as_string(hide_password=True)
        raise OSError(f"--storage {shown}: {study.reason(problem)}") from problem
    return 0 if study.good(found) or not study.completed(found) else 1


def study_folder(out: Path, name: str) -> Path:
    """Where the files of a study lie: no two studies share one. Raises ValueError for a name that is no folder's."""
    if name == DEFAULT_STUDY:
        return out
    if not name or Path(name).name != name or name == "..":
        raise ValueError(f"--study {name}: a name that a folder can have is accepted, for its files in --out")
    return out / name


def prepared(given: argparse.Namespace, console: Console) -> Objective:
    """All that trials need. Raises ValueError, OSError, ImportError for whatever would make one fail."""
    space = space_of(given)
    fixed = fixed_options(given, space)
    maker, device = arguments.maker(given)
    columns = arguments.columns(given)
    with terminal.console(stderr=True).status("reading the data"):
        data = arguments.read(given, given.path, columns)
        test = arguments.read(given, given.test, columns, data.has_text_items)
    frames.check_predictable(test, data.frame[columns.item].unique())
    objective = Objective(
        maker, data, test, fixed, space, given.primary_metric, given.measure, given.eval_type, given.sample_store,
        not given.no_pruning, terminal.progress(),
    )  # fmt: skip
    objective.check()
    for events in (data, test):
        console.print(events.describe())
    if given.eval_type == "standard":
        console.print("note: standard ranks count a tie for the model, so that the best trial may be one that scores "
                      "all items alike; -e conservative, the default, counts it against the model")  # fmt: skip
    note = remarks.small_catalogue(data.counts[2], maker.create(fixed, columns))
    if note and "n_sample" not in space.names:
        console.print(f"note: {note}")
    how = f", {maker.dtype}, seed {maker.seed}" if maker.spec.is_trained else ""
    console.print(f"{maker.spec.name} on the {device.upper()}{how}; "
                  f"fixed: {options.in_words(fixed) or 'nothing'}; searched: {', '.join(space.names)}")  # fmt: skip
    return objective


def space_of(given: argparse.Namespace) -> Space:
    """The space of --space, or the baseline's own without what -ps and -pf fix."""
    if given.engine not in baselines.ENGINES:
        return read_space(given.space)
    table = baselines.table(given.engine)
    if given.space:
        return read_space(given.space, table)
    fixed = arguments.params(given)
    entries = [entry for entry in spaces.OF_BASELINES[given.engine] if entry["name"] not in fixed]
    if not entries:
        raise ValueError(f"-ps, -pf: they fix all that {given.engine} searches, so there is nothing to tune")
    return of_baseline(table, entries)


def fixed_options(given: argparse.Namespace, space: Space) -> Params:
    """The options of -pf and -ps that are not searched. Raises ValueError for one of -ps that is."""
    parse = baselines.table(given.engine).parse if given.engine in baselines.ENGINES else options.parse
    by_hand = options.from_text(given.params, parse_option=parse) if given.params else {}
    if both := [name for name in by_hand if name in space.names]:
        raise ValueError(f"-ps {both[0]}: {given.space} names it too")
    return {name: value for name, value in arguments.params(given).items() if name not in space.names}


def search(found: optuna.Study, objective: Objective, n_trials: int, folder: Path, console: Console) -> None:
    """Run trials, print each, leave files behind after each, and print the best at the end."""
    files = Files(folder, found, objective)
    setup = objective.setup()
    with objective.bar as bar:
        task = bar.add_task("trials", total=n_trials, figures="")

        def show(figures: str = "") -> None:
            bar.update(task, completed=len(study.done(found)), figures=figures)

        def after_trial(trial: FrozenTrial, problem: Exception | None) -> None:
            console.print(describe(trial, objective.title, problem))
            files.write()
            show()

        def waiting(numbers: list[int]) -> None:
            show(f"waiting for trial {', '.join(map(str, numbers))} of another process")

        show()
        try:
            study.work(found, setup, objective, n_trials, after_trial, waiting)
        finally:
            files.write()
            drawn = plots.write(found, objective.title, folder)
    console.print(best_table(found, objective))
    if files.best.exists():
        spec = objective.maker.spec
        of = "" if spec.is_trained else f" --engine {spec.name}"
        console.print(f"best settings: {files.best}; use them: gru4rec PATH{of} -pf {files.best}")
    console.print(f"written: {', '.join(map(str, [files.trials, *drawn]))}")


def describe(trial: FrozenTrial, title: str, problem: Exception | None) -> str:
    """One line."""
    if trial.state == TrialState.COMPLETE:
        what = "diverged" if trial.user_attrs.get(study.DIVERGED) else f"{title} {trial.value:.6f}"
        if (ties := trial.user_attrs.get(TIES)) is not None:
            what += f" with {ties:.2%} ties"
    elif trial.state == TrialState.PRUNED and trial.last_step is not None:
        what = f"pruned after epoch {trial.last_step}, {title} {trial.intermediate_values[trial.last_step]:.6f}"
    else:
        what = f"failed: {problem}"
    return f"trial {trial.number}: {what}; {options.in_words(trial.params)}"


def best_table(found: optuna.Study, objective: Objective) -> Table:
    counts = {state: len(found.get_trials(deepcopy=False, states=(state,))) for state in TrialState}
    words = ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items() if count)
    headings = (objective.title, *objective.space.names)
    made = terminal.make_table(f"Best trials of {words}", "trial", *headings, right=headings)
    for trial in study.completed(found)[:TOP]:
        values = objective.options(trial)
        shown = (options.as_text(values[name]) for name in objective.space.names)
        made.add_row(str(trial.number), f"{trial.value:.6f}", *shown)
    return made


@dataclass(frozen=True)
class Files:
    """What a study leaves behind besides itself, each file whole at any time."""

    folder: Path
    study: optuna.Study
    objective: Objective

    @property
    def best(self) -> Path:
        return self.folder / BEST

    @property
    def trials(self) -> Path:
        return self.folder / TRIALS

    def write(self) -> None:
        """All trials, and the options of the best good one, if there is any, those that were fixed too."""
        files.write_text(self.trials, self._table())
        for trial in study.good(self.study)[:1]:
            comment = f"{self.objective.title} {trial.value:.6f}: trial {trial.number} of study {self.study.study_name}"
            files.write_text(self.best, options.to_toml(self.objective.options(trial), comment))

    def _table(self) -> str:
        rows: list[tuple[Any, ...]] = [("trial", "state", *NAMES, "epochs", "seconds", *self.objective.space.names)]
        for trial in self.study.get_trials(deepcopy=False):
            measured = trial.user_attrs.get("measured", {})
            seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
            values = (trial.params.get(name, "") for name in self.objective.space.names)
            rows.append(
                (trial.number, trial.state.name, *(measured.get(metric, "") for metric in NAMES),
                 trial.user_attrs.get("epochs", ""), seconds, *map(options.as_text, values))
            )  # fmt: skip
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)
