"""Full runs of engines, in processes side by side."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gru4rec import engines
from parity.checks.training import draw
from parity.convergence.sample import Runs
from parity.data import Dataset
from parity.workers import run_all


class Task(NamedTuple):
    """One run: arguments of :func:`draw_run`."""

    engine: str
    device: str
    params: dict[str, Any]
    dataset: Dataset
    seed: int
    prefixes: np.ndarray | None


class Drawn(NamedTuple):
    """A run, or why there is none."""

    runs: Runs | None
    lacks: str = ""  # the engine does not support it
    broken: str = ""  # what it raised
    traceback: str = ""  # of that
    computed_on: str = ""


def draw_run(engine: str, device: str, params: dict, dataset: Dataset, seed: int, prefixes: np.ndarray | None) -> Drawn:
    """One full run. What the engine raises is the outcome, not an error of the harness."""
    try:
        run, made = draw(engines.for_device(engines.named(engine), device), params, dataset, seed, prefixes)
        return Drawn(run, computed_on=engines.device_of(made))
    except NotImplementedError as missing:
        return Drawn(None, lacks=str(missing) or "not supported by the engine")
    except Exception as problem:  # noqa: BLE001  an engine under test may raise anything
        why = f"seed {seed}: {type(problem).__name__}: {problem}"
        return Drawn(None, broken=why, traceback=traceback.format_exc())


def draw_all(
    tasks: Sequence[Task], jobs: int, done: Callable[[int, Drawn], None] = lambda at, drawn: None
) -> list[Drawn]:
    """The runs of all tasks, in their order; ``done(position, run)`` is called as each is there."""
    found: list = [None] * len(tasks)
    names = list(dict.fromkeys(task.engine for task in tasks))
    for at, drawn in run_all(draw_run, tasks, jobs, tasks[0].device, names) if tasks else ():
        found[at] = drawn
        done(at, drawn)
    return found
