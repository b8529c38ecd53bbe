"""A process for each trial, forked from a server that has the libraries imported and no thread of its own.

Importing Keras, JAX, pandas and SciPy takes two seconds of CPU, a fork none. It is safe as long as the server has one
thread: the libraries start theirs when they first compute (measured for Keras 3.15 on JAX 0.6; TensorFlow starts some
when it is imported, so it is left to the children).
"""

import importlib.util
import logging
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from parity.mutants.trial import Outcome, limited

log = logging.getLogger(__name__)

Job = Callable[..., Any]  # (*arguments, tell) -> result

_ALWAYS = ("numpy", "pandas", "scipy.optimize", "parity.mutants.trial")


class Done(NamedTuple):
    """A job that has ended. result: what it returned, or an :class:`Outcome` where its process did not live so long."""

    at: int
    result: Any


class _Running(NamedTuple):
    at: int
    process: Any
    channel: Connection
    since: list[float]  # one time: of the last sign of life
    told: list[tuple[str, str]]


@contextmanager
def prepared(names: Sequence[str]) -> Iterator[None]:
    """Within, children find the environment of a trial.

    One thread, the CPU, and a folder in which JAX keeps what it compiled, so that what a mutant leaves alone is
    compiled once.

    names: of the engines.
    """
    backend = os.environ.get("KERAS_BACKEND") or ("jax" if importlib.util.find_spec("jax") else "tensorflow")
    with tempfile.TemporaryDirectory(prefix="parity-mutants-") as folder:
        wanted = {
            "KERAS_BACKEND": backend,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip(),
            "CUDA_VISIBLE_DEVICES": "-1",
            "JAX_PLATFORMS": "cpu",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            with _nothing_printed():
                context = get_context("forkserver")
                context.set_forkserver_preload(_preloaded(names, backend))
                forkserver.ensure_running()
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _preloaded(names: Sequence[str], backend: str) -> list[str]:
    wanted = list(_ALWAYS)
    if "original-jax" in names or ("keras" in names and backend == "jax"):
        wanted.append("jax")
    if "keras" in names and backend == "jax":
        wanted.append("keras")
    return wanted


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Within, what a new process inherits as its outputs is nothing."""
    kept = os.dup(1), os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        for target, copy in zip((1, 2), kept):
            os.dup2(copy, target)
            os.close(copy)


def run_each(job: Job, tasks: Sequence[tuple], jobs: int, silence: float, gigabytes: float = 8.0) -> Iterator[Done]:
    """``job(*task, tell)`` for each task, each in a process of its own, some side by side, as they are done.

    Args:
        job: a function that a new process can import; it calls ``tell(stage, what)`` as it goes on.
        tasks: arguments. jobs: processes at a time.
        silence: seconds after which a process that has said nothing is ended. gigabytes: of memory.

    Yields:
        :class:`Done`. A process that was ended, or that ended itself without a result, gives an :class:`Outcome`.
    """
    context, waiting = get_context("forkserver"), list(enumerate(tasks))[::-1]
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                at, task = waiting.pop()
                running.append(_started(context, at, job, task, gigabytes))
            ready = wait([r.channel for r in running], timeout=1.0)
            for each in list(running):
                done = _listen(each) if each.channel in ready else None
                if done is None and time.monotonic() - each.since[0] > silence:
                    each.process.kill()
                    each.process.join()
                    done = Done(each.at, _ended(each, "time"))
                if done is not None:
                    each.channel.close()
                    running.remove(each)
                    yield done
    finally:
        for each in running:
            each.process.kill()
            each.process.join()


def _started(context: Any, at: int, job: Job, task: tuple, gigabytes: float) -> _Running:
    receiving, sending = context.Pipe(duplex=False)
    with _nothing_printed():
        process = context.Process(target=_child, args=(sending, job, task, gigabytes), daemon=True)
        process.start()
    sending.close()
    return _Running(at, process, receiving, [time.monotonic()], [])


def _listen(each: _Running) -> Done | None:
    """Take one message; a channel that was closed without a result is a process that died."""
    try:
        kind, content = each.channel.recv()
    except (EOFError, OSError):
        each.process.join()
        by = "time" if each.process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL) else "crash"
        return Done(each.at, _ended(each, by))
    each.since[0] = time.monotonic()
    if kind == "begins":
        each.told.append(content)
        return None
    each.process.join()
    if kind == "raised":
        why, where = content
        log.debug("a trial raised:\n%s", where)
        raise RuntimeError(f"a trial failed in the harness: {why}")
    return Done(each.at, content)


def _ended(each: _Running, by: str) -> Outcome:
    stage, within = each.told[-1] if each.told else ("import", "")
    ran = sum(stage == "golden" for stage, _ in each.told)
    how = "ran out of its time" if by == "time" else f"exit status {each.process.exitcode}"
    return Outcome("caught", by, stage, within, "", how, round(time.monotonic() - each.since[0], 2), ran)


def _child(channel: Connection, job: Job, task: tuple, gigabytes: float) -> None:
    def tell(stage: str, what: str) -> None:
        channel.send(("begins", (stage, what)))

    try:
        with limited(gigabytes):
            result = job(*task, tell)
    except Exception as problem:
        channel.send(("raised", (f"{type(problem).__name__}: {problem}", traceback.format_exc())))
    else:
        channel.send(("done", result))
    channel.close()
    os._exit(0)  # the libraries' threads are not waited for
