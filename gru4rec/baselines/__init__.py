"""Baselines by name, as engines: ``gru4rec PATH --engine vsknn``; and those of the papers' tables."""

from functools import cache

from gru4rec.baselines.of_the_papers import (
    NAMES,
    POPULARITY,
    BaselineResult,
    evaluate_baselines,
    evenly_chosen_sessions,
)
from gru4rec.baselines.options import Table
from gru4rec.engines import EngineSpec

__all__ = [
    "ENGINES",
    "NAMES",
    "POPULARITY",
    "BaselineResult",
    "evaluate_baselines",
    "evenly_chosen_sessions",
    "spec",
    "table",
]

ENGINES = ("vsknn", "sknn", "sr", "ar", "markov", "itemknn", "spop", "pop")


@cache
def spec(name: str) -> EngineSpec:
    """The baseline of this name, one of :data:`ENGINES`, as an engine."""
    from gru4rec.baselines import models  # SciPy's sparse matrices take a moment

    cls = models.ALL[name]
    return EngineSpec(name, cls, {}, cls.evaluation, is_trained=False)


def table(name: str) -> Table:
    """The options of the baseline of this name."""
    return spec(name).cls.table()
