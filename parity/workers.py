"""The same job on many inputs, in processes side by side."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from gru4rec import engines


def default_jobs() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores))


def _start(device: str, names: list[str]) -> None:
    engines.expect_odd_settings()
    engines.choose_device(device, names)
    engines.make_deterministic(names, device)


def run_all(
    job: Callable[..., Any], tasks: Sequence[tuple], jobs: int, device: str, names: list[str]
) -> Iterator[tuple[int, Any]]:
    """(position, ``job(*task)``) for each task as it is done; a task that kills its process raises.

    job: a function that a new process can import. device, names: as for :func:`parity.engines.choose_device`.
    """
    if jobs == 1:
        _start(device, names)
        yield from ((at, job(*task)) for at, task in enumerate(tasks))
        return
    # spawn: TensorFlow and JAX do not survive a fork
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), _start, (device, names)) as pool:
        waiting = {pool.submit(job, *task): at for at, task in enumerate(tasks)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
