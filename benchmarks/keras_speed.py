"""Steps per second of keras_port/ against plain TensorFlow, in alternating pairs after a warm-up.

    python -m benchmarks.keras_speed [--train train_full.txt --test test.txt] [--config bpr-max cross-entropy]

keras_port/ is timed as ``fit`` runs it: batches, negative samples and dropout masks are drawn while it computes. Plain
TensorFlow is given arrays that were made ready beforehand. Compilation is timed apart.
"""

import argparse
import itertools
import logging
import statistics
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import keras_data, plain_tensorflow


class PortSteps:
    """keras_port/'s own loop over chunks, an epoch after the other, as a function to call."""

    def __init__(self, gru):
        self.model, self.dataset = gru.model, gru._dataset
        self.program = gru.model.program("steps")

    def first_call(self):
        """Seconds of the first call: tracing, compiling, and one chunk."""
        self.dataset.start_epoch()
        chunk = self.dataset[0]
        start = time.perf_counter()
        self.program(chunk)
        return time.perf_counter() - start

    def epoch(self):
        """Train one epoch; returns its steps."""
        self.model._fit_epoch(self.dataset, _Silent())
        return len(self.dataset.positions)


class _Silent:
    def on_train_batch_begin(self, batch):
        pass

    def on_train_batch_end(self, batch, logs):
        pass


def ready_batches(gru, count):
    """Full batches as the plain step takes them."""
    rng, scratch = np.random.RandomState(0), np.zeros(gru.n_items, np.int32)
    from keras_port.sessions import last_occurrence

    arrays = []
    for batch in itertools.islice((b for b in gru.batches() if len(b.X) == gru.batch_size), count):
        last = [last_occurrence(part, scratch).astype(np.int32) for part in (batch.X, batch.Y)]
        mask = rng.rand(gru.batch_size, gru.layers[-1]) < 0.7
        arrays.append((batch.X, batch.Y, *last, batch.R, mask))
    return arrays


def compare(config, train, test, pairs, at_least):
    """A dict of figures for one configuration."""
    from keras_port import GRU4Rec, evaluation

    gru = GRU4Rec(layers=[100], batch_size=32, n_sample=2048, **keras_data.SETTINGS[config])
    gru.prepare(train)
    port = PortSteps(gru)
    compile_seconds = port.first_call()
    plain = plain_tensorflow.plain_step(gru.n_items, config)
    ready = itertools.cycle(ready_batches(gru, 200))
    start = time.perf_counter()
    plain(*next(ready))
    plain_compile = time.perf_counter() - start
    figures = {
        "compile": compile_seconds,
        "plain compile": plain_compile,
        "port": [],
        "plain": [],
        "items": gru.n_items,
    }
    port.epoch()  # warm-up
    for _ in range(pairs):
        spent, calls = keras_data.seconds(lambda: plain(*next(ready)).numpy(), at_least)
        figures["plain"].append(calls / spent)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < at_least:
            steps += port.epoch()
        figures["port"].append(steps / (time.perf_counter() - start))
    figures["ratio"] = [a / b for a, b in zip(figures["port"], figures["plain"])]
    evaluation.evaluate_gpu(gru, test)  # warm-up: compiles
    start = time.perf_counter()
    evaluation.evaluate_gpu(gru, test, cut_off=[1, 5, 10, 20])
    figures["evaluation"] = time.perf_counter() - start
    return figures


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", help="prepared training file; synthetic events of the same size without it")
    parser.add_argument("--test", help="prepared test file")
    parser.add_argument("--config", nargs="+", choices=list(keras_data.SETTINGS), default=list(keras_data.SETTINGS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each half of a pair")
    args = parser.parse_args(argv)
    if (args.train is None) != (args.test is None):
        parser.error("--train and --test go together")
    logging.basicConfig(level=logging.WARNING)
    train = keras_data.read(args.train) if args.train else keras_data.events(2933, 17794)
    test = keras_data.read(args.test) if args.test else keras_data.events(2933, 3500, seed=2)
    table = Table(
        "setting", "items", "plain steps/s", "keras_port steps/s", "ratio (median)", "compile s", "evaluation s"
    )
    for config in args.config:
        f = compare(config, train, test, args.pairs, args.seconds)
        spread = f"{statistics.median(f['ratio']):.2f} ({min(f['ratio']):.2f} to {max(f['ratio']):.2f})"
        port, plain = (f"{statistics.median(f[what]):.0f}" for what in ("port", "plain"))
        table.add_row(config, str(f["items"]), plain, port, spread, f"{f['compile']:.1f}", f"{f['evaluation']:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
