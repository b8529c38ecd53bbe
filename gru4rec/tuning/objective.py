"""What a trial does: train a model with the options that it is given, and measure it."""

import gc
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.progress import Progress

from gru4rec import metrics, remarks, training
from gru4rec.frames import EventFile
from gru4rec.metrics import NAMES
from gru4rec.models import Maker
from gru4rec.options import OPTIONS
from gru4rec.published import Params
from gru4rec.training import Epoch, Run
from gru4rec.tuning.space import Space
from gru4rec.tuning.study import DIVERGED

TIES = "ties"  # an attribute of a trial: the share of predicted events that standard ranks favour


@dataclass
class Objective:
    """Recall@N or MRR@N on the test file after the last epoch; 0 for a training that diverged.

    Recall, MRR and the number of epochs of a trial are kept in its user attributes.

    Attributes:
        maker: of the models.
        data, test: to train and to measure on.
        fixed: options that the space does not name.
        space: of the others.
        metric, cut_off: recall or mrr, at N.
        mode: how ties are ranked.
        sample_store: negative samples drawn ahead.
        pruning: measure after every epoch, and end the trial where the study's pruner says so.
        bar: shows the training.
    """

    maker: Maker
    data: EventFile
    test: EventFile
    fixed: Params
    space: Space
    metric: str
    cut_off: int
    mode: str
    sample_store: int
    pruning: bool
    bar: Progress

    @property
    def title(self) -> str:
        return f"{self.metric}@{self.cut_off}"

    def setup(self) -> dict[str, Any]:
        """What makes the trials of a study comparable, as JSON values. The engine is not in it: any will do."""
        return {
            "metric": f"{self.title}, {self.mode}",
            "space": self.space.as_json(),
            "fixed options": self.fixed,
            "dtype": self.maker.dtype,
            "seed": self.maker.seed,
            "sample store": self.sample_store,
            "columns": list(self.data.columns),
            "pruning": self.pruning,
            "training data": self.data.sha256,
            "test data": self.test.sha256,
        }

    def check(self) -> None:
        """Raise ValueError for what the space or the fixed options hold and the engine or the data do not accept."""
        self.space.check(lambda params: self.maker.create(self.fixed | params, self.data.columns))
        n_sessions = self.data.frame[self.data.columns.session].nunique()
        searched = [size for each in self.space.parameters if each.name == "batch_size" for size in each.ends()]
        for size in (*searched, self.fixed.get("batch_size", 0)):
            if size > n_sessions:
                raise ValueError(f"batch_size={size} is more than the {n_sessions} sessions of {self.data.path}")

    def options(self, trial: FrozenTrial) -> Params:
        """All options of a trial that has been, in the published order."""
        found = self.fixed | self.space.options(trial.params)
        return {name: found[name] for name in (*OPTIONS, *found) if name in found}

    def __call__(self, trial: optuna.Trial) -> float:
        gc.collect()  # the model of the trial before this one, which its compiled functions refer to
        gru = self.maker.create(self.fixed | self.space.suggest(trial), self.data.columns)
        measured: dict[str, float] = {}

        def measure() -> None:
            test = self.test
            found = metrics.evaluate(self.maker.spec, gru, test.frame, test.columns, (self.cut_off,), self.mode)
            measured.update(zip(NAMES, found[self.cut_off]))
            trial.set_user_attr("measured", measured)
            if self.mode == "standard":
                trial.set_user_attr(TIES, remarks.share_of_ties(self.maker.spec, gru, test.frame, test.columns))

        def after_epoch(epoch: Epoch) -> None:
            is_last = epoch.number == gru.n_epochs
            trial.set_user_attr("epochs", epoch.number)
            if not (is_last or self.pruning):
                return
            measure()
            trial.report(measured[self.metric], epoch.number)
            if not is_last and trial.should_prune():
                raise optuna.TrialPruned

        run = Run(self.maker.spec.name, "", {})
        training.fit(
            gru, self.data.frame, run, self.bar, None, after_epoch, self.sample_store,
            label=f"trial {trial.number}, ",
        )  # fmt: skip
        if run.diverged:
            trial.set_user_attr(DIVERGED, True)
            return 0.0
        if not measured:  # a baseline has no epochs
            measure()
        return measured[self.metric]
