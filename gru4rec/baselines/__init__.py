"""Baselines by name, as engines: ``gru4rec PATH --engine vsknn``; and, in a module, those of the papers' tables."""

from functools import cache

from gru4rec.baselines.options import Table
from gru4rec.engines import EngineSpec

__all__ = ["ENGINES", "spec", "table"]

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
