"""Trainings from several seeds, each of which can be interrupted and goes on where it stopped; what they came to."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from scipy import stats

from gru4rec import files, metrics, terminal, training
from gru4rec.checkpoints import Checkpoint
from gru4rec.metrics import CUT_OFFS, Metrics
from gru4rec.models import Maker
from gru4rec.published import Figures, Params
from gru4rec.reproduction.material import Material
from gru4rec.training import SAMPLE_STORE, Epoch, Run

NAMES = ("recall", "mrr")
WITHIN = 0.05  # of the published figure: the authors accept "up to a few percent"


@dataclass
class Outcome:
    """A training from one seed.

    Attributes:
        seed: of weights, samples and orders.
        run: the training.
        metrics: after the last epoch; {} where it has not been measured, or the training diverged.
        model_sha256: of the model that was measured.
    """

    seed: int
    run: Run
    metrics: Metrics = field(default_factory=dict)
    model_sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"metrics": metrics.by_metric(self.metrics)}


@dataclass(frozen=True)
class Row:
    """One figure: of a metric at N.

    Attributes:
        metric: recall or mrr.
        N: the cut-off.
        values: of the seeds that finished, in their order.
        mean: of them.
        deviation: their standard deviation, NaN of less than two.
        published: the figure to compare with, None where there is none.
    """

    metric: str
    N: int
    values: tuple[float, ...]
    mean: float
    deviation: float
    published: float | None

    @property
    def ratio(self) -> float | None:
        """The mean over the published figure."""
        return self.mean / self.published if self.published else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean of all seeds lies with 95 % confidence, by Student's t; None of less than two seeds."""
        if len(self.values) < 2 or not self.deviation > 0:
            return None
        low, high = stats.t.interval(
            0.95, len(self.values) - 1, loc=self.mean, scale=self.deviation / math.sqrt(len(self.values))
        )
        return float(low), float(high)


def rows(outcomes: list[Outcome], published: Mapping[int, Figures] | None) -> list[Row]:
    """All figures of the seeds that finished."""
    finished = [outcome.metrics for outcome in outcomes if outcome.metrics]
    made, published = [], published or {}
    for which, name in enumerate(NAMES):
        for N in CUT_OFFS:
            values = tuple(found[N][which] for found in finished)
            mean = math.fsum(values) / len(values) if values else math.nan
            deviation = float(stats.tstd(values)) if len(values) > 1 else math.nan
            made.append(Row(name, N, values, mean, deviation, published[N][which] if N in published else None))
    return made


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        maker: the engine, its dtype; the seed in it is not used.
        params: the options.
        seeds: one training for each.
        folder: receives the models.
    """

    maker: Maker
    params: Params
    seeds: tuple[int, ...]
    folder: Path

    def model(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}.safetensors"

    def create(self, seed: int) -> Any:
        """A new model. Raises ValueError for an option that the engine does not accept."""
        return Maker(self.maker.spec, self.maker.dtype, seed).create(self.params)


def carry_out(
    plan: Plan, material: Material, earlier: Mapping[int, Outcome], after: Callable[[list[Outcome]], None],
    console: Console,
) -> list[Outcome]:  # fmt: skip
    """Train and measure seed after seed, each from where it stopped.

    Args:
        plan: what is trained.
        material: on which data.
        earlier: what an earlier command measured, by seed.
        after: is told all outcomes after every epoch and every measurement.
        console: a line an epoch.
    """
    outcomes: list[Outcome] = []
    for seed in plan.seeds:
        _one(plan, seed, material, earlier.get(seed), outcomes, after, console)
    return outcomes


def _one(
    plan: Plan, seed: int, material: Material, earlier: Outcome | None, outcomes: list[Outcome],
    after: Callable[[list[Outcome]], None], console: Console,
) -> None:  # fmt: skip
    path, fresh = plan.model(seed), plan.create(seed)
    run, gru = Run(plan.maker.spec.name, f"seed {seed}", plan.params), fresh
    checkpoint = Checkpoint(path, material.sha256, SAMPLE_STORE)
    resumed = False
    if found := checkpoint.load(plan.maker.spec, run, fresh):
        run, gru = found
        resumed = True
        console.print(f"seed {seed}: {len(run.epochs)} epoch(s) from {path}")
    outcome = Outcome(seed, run)
    outcomes.append(outcome)

    def after_epoch(epoch: Epoch) -> None:
        checkpoint.save(run, gru)
        rate = f", {epoch.events_per_second:,.0f} events/s" if epoch.events else ""
        console.print(
            f"seed {seed}, epoch {epoch.number}/{gru.n_epochs}: loss {epoch.loss:.6f}{rate}, {epoch.seconds:.1f} s"
        )
        after(outcomes)

    with terminal.progress() as bar:
        training.fit(
            gru, material.train.frame, run, bar, None, after_epoch, resume=resumed, label=f"seed {seed}, "
        )
    if run.diverged:
        console.print(f"seed {seed}: the training diverged: {run.fault}")
        after(outcomes)
        return
    outcome.model_sha256 = files.sha256(path)
    if earlier and earlier.model_sha256 == outcome.model_sha256 and set(earlier.metrics) == set(CUT_OFFS):
        outcome.metrics = earlier.metrics
    else:
        test = material.test
        with terminal.console(stderr=True).status(f"seed {seed}: evaluating"):
            outcome.metrics = metrics.evaluate(plan.maker.spec, gru, test.frame, test.columns)
    recall, mrr = outcome.metrics[20]
    console.print(f"seed {seed}: Recall@20 {recall:.4f}, MRR@20 {mrr:.4f}")
    after(outcomes)


def read(content: Any) -> dict[int, Outcome]:
    """Outcomes by seed of a ``results.json``; none for one of another form."""
    try:
        found = {}
        for each in content["runs"]:
            measured = {
                int(N): (float(each["metrics"]["recall"][N]), float(each["metrics"]["mrr"][N]))
                for N in each["metrics"]["recall"]
            }
            run = Run(each["run"]["engine"], each["run"]["config"], {})
            found[int(each["seed"])] = Outcome(int(each["seed"]), run, measured, str(each["model_sha256"]))
        return found
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
