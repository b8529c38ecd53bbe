"""How fast original/ trains, against the plain graph, in pairs.

--train TRAIN.txt           steps/s of the plain graph, of C mode and of JAX mode, and their ratios
--train TRAIN.txt --cold    the same, and the seconds from a cold start to the first step
--items 37483 1000000       time and memory of a step by the number of items

Every contender runs in a process of its own with its model compiled and warm. They take turns, a block of steps each,
over and over, so that a machine whose speed drifts slows all of them alike; the ratios are taken block by block and
their median is printed.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

SETTINGS = {
    "bpr-max": dict(
        loss="bpr-max", final_act="elu-0.5", learning_rate=0.2, momentum=0.3, n_sample=2048, sample_alpha=0
    ),
    "cross-entropy": dict(
        loss="cross-entropy",
        final_act="softmax",
        learning_rate=0.1,
        momentum=0.7,
        n_sample=2048,
        sample_alpha=0,
        dropout_p_hidden=0.3,
    ),
}
SPEC = {"bpr-max": "setting 1, bpr-max", "cross-entropy": "setting 3, cross-entropy"}


def batches_of(train: str, config: str, count: int) -> tuple[int, list[Any]]:
    """The first ``count`` batches of a training file, all of 32 lanes."""
    import pandas as pd

    from original.gru4rec import GRU4Rec

    model = GRU4Rec(**SETTINGS[config])
    model.prepare(pd.read_csv(train, sep="\t"), sample_store=2048 * 2 * count)
    return model.n_items, [batch for batch, _ in zip(model.batches(), range(count))]


def random_batches(n_items: int, count: int, lanes: int = 32, n_sample: int = 2048) -> list[Any]:
    """Batches of random items."""
    from original.batches import Batch

    rng = np.random.RandomState(0)
    return [
        Batch(
            rng.randint(0, n_items, lanes).astype(np.int32),
            rng.randint(0, n_items, lanes + n_sample).astype(np.int32),
            rng.rand(lanes) < 0.3,
            np.arange(lanes),
        )
        for _ in range(count)
    ]


def stepper(contender: str, config: str, n_items: int) -> Callable[[Any], Any]:
    """``step(batch) -> cost`` of one contender, built in this process."""
    if contender == "plain":
        from benchmarks.plain_aesara import plain_step

        function = plain_step(n_items, config)
        return lambda batch: float(function(batch.X, batch.Y, batch.R.astype("float32")))
    from original.settings import Settings
    from original.state import of_size

    trainer = of_size(Settings(**SETTINGS[config], backend=contender), n_items).built.trainer
    step, chunk = trainer.compiled_step(), trainer.network.backend.steps_per_call
    waiting = []

    def train(batch):
        waiting.append(trainer.inputs(batch, trainer.masks(len(batch.X))))
        if len(waiting) == chunk:
            step(waiting)
            waiting.clear()

    return train


def _serve(pipe: Connection, contender: str, config: str, n_items: int, batches: list[Any]) -> None:
    begin = time.perf_counter()
    step = stepper(contender, config, n_items)
    step(batches[0])
    pipe.send(time.perf_counter() - begin)
    position = 0
    while (steps := pipe.recv()) is not None:
        begin = time.perf_counter()
        for _ in range(steps):
            step(batches[position])
            position = (position + 1) % len(batches)
        pipe.send((time.perf_counter() - begin) / steps)
    import resource

    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


class Contender:
    """A process that trains when told to."""

    def __init__(self, name: str, config: str, n_items: int, batches: list[Any], cold: bool = False):
        flags = os.environ.get("AESARA_FLAGS")
        self.cache = tempfile.TemporaryDirectory() if cold else None
        if cold:
            os.environ["AESARA_FLAGS"] = f"base_compiledir={self.cache.name}"
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        begin = time.perf_counter()
        self.process = context.Process(target=_serve, args=(theirs, name, config, n_items, batches), daemon=True)
        self.process.start()
        self.pipe.recv()
        self.first_step = time.perf_counter() - begin
        if cold:
            os.environ.pop("AESARA_FLAGS")
            if flags is not None:
                os.environ["AESARA_FLAGS"] = flags

    def seconds_a_step(self, steps: int) -> float:
        """Do steps; the mean time of one."""
        self.pipe.send(steps)
        return self.pipe.recv()

    def stop(self) -> float:
        """End the process; returns its peak memory in GiB."""
        self.pipe.send(None)
        peak = self.pipe.recv()
        self.process.join()
        if self.cache:
            self.cache.cleanup()
        return peak


def compare(contenders: list[Contender], rounds: int, steps: int) -> np.ndarray:
    """Seconds a step of each contender, (rounds, contenders), taken in turns after one round of warm-up."""
    times = [[c.seconds_a_step(steps) for c in contenders] for _ in range(rounds + 1)]
    return np.array(times[1:])


def against_plain(arguments: argparse.Namespace, console: Console) -> None:
    """Print a table a setting: steps/s of each contender, and its ratio to the plain graph."""
    names = ["plain", "c", "jax"]
    for config in arguments.config:
        n_items, batches = batches_of(arguments.train, config, 400)
        contenders = [Contender(name, config, n_items, batches, cold=arguments.cold) for name in names]
        times = compare(contenders, arguments.rounds, arguments.steps)
        table = Table(
            title=f"{SPEC[config]}, n = {n_items:,}, float32, {arguments.rounds} rounds of {arguments.steps} steps"
        )
        for column in ("contender", "steps/s (median)", "times plain: median", "min to max", "start to first step, s"):
            table.add_column(column, justify="left" if column == "contender" else "right")
        for i, (name, contender) in enumerate(zip(names, contenders)):
            ratio = times[:, 0] / times[:, i]
            table.add_row(
                {"plain": "plain graph", "c": "original, C mode", "jax": "original, JAX mode"}[name],
                f"{1 / statistics.median(times[:, i]):.0f}",
                f"{np.median(ratio):.2f}",
                f"{ratio.min():.2f} to {ratio.max():.2f}",
                f"{contender.first_step:.1f} ({'cold' if arguments.cold else 'warm'} cache)",
            )
            contender.stop()
        console.print(table)


def by_items(arguments: argparse.Namespace, console: Console) -> None:
    """Print time and memory of a step by the number of items."""
    names = arguments.modes
    table = Table(
        title=f"{SPEC['bpr-max']}: a step by the number of items, {arguments.rounds} rounds of {arguments.steps} steps"
    )
    for column in ("items", "contender", "ms/step (median)", "peak memory, GiB", "weights and optimizer state, GiB"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for n_items in arguments.items:
        batches = random_batches(n_items, 200)
        for name in names:
            contender = Contender(name, "bpr-max", n_items, batches)
            times = compare([contender], arguments.rounds, arguments.steps)
            state = 3 * 4 * (n_items * (300 + 100 + 1)) / 2**30
            table.add_row(
                f"{n_items:,}", name, f"{np.median(times) * 1e3:.2f}", f"{contender.stop():.2f}", f"{state:.2f}"
            )
    console.print(table)


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="a prepared training file")
    parser.add_argument("--config", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--cold", action="store_true", help="start every contender with an empty compile cache")
    parser.add_argument("--modes", nargs="+", choices=["c", "jax"], default=["c", "jax"], help="with --items")
    parser.add_argument("--items", nargs="+", type=int, help="numbers of items; random batches")
    arguments = parser.parse_args()
    if not arguments.train and not arguments.items:
        parser.error("give --train FILE, or --items N ...")
    console = Console()
    if arguments.train:
        against_plain(arguments, console)
    if arguments.items:
        by_items(arguments, console)


if __name__ == "__main__":
    main()
