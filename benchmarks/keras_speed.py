"""keras_port/ against original/ in C mode, plain TensorFlow and plain Aesara, in one run, taking turns.

    python -m benchmarks.keras_speed [--train train_full.txt --test test.txt] [--items N]

Every contender is a process of its own, warmed up, and works while the others wait. Both engines are timed as ``fit``
runs them: batches, negative samples and dropout masks are drawn within the time. Plain TensorFlow
(``benchmarks/plain_tensorflow.py``) and plain Aesara (``benchmarks/plain_aesara.py``) are given arrays that were made
ready beforehand. Evaluation: Recall and MRR of the whole test file at 1, 5, 10 and 20, and beside it the least that any
evaluation has to do, the matrix products of the scores. The engines' first 32 steps, compilation included, are timed
apart.
"""

import argparse
import itertools
import logging
import multiprocessing
import os
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import keras_data, plain_aesara, plain_tensorflow

NAMES = {
    "plain": "plain TensorFlow",
    "aesara": "plain Aesara",
    "original": "original, C mode",
    "products": "products alone",
    "keras": "keras_port",
}
OPTIONS = {"layers": [100], "batch_size": 32, "n_sample": 2048}
CUT_OFFS = [1, 5, 10, 20]


def frames(arguments):
    """(train, test) of the command line, filled up to ``--items``."""
    if arguments.train:
        train, test = keras_data.read(arguments.train), keras_data.read(arguments.test)
    else:
        train, test = keras_data.events(2933, 17794), keras_data.events(2933, 3500, seed=2)
    return keras_data.with_items(train, arguments.items), test


class KerasPort:
    """``train(steps)``: the loop of ``fit`` over the first steps of an epoch."""

    def __init__(self, config, train, test):
        from keras_port import GRU4Rec, evaluation

        self.test, self.evaluation = test, evaluation
        self.gru = GRU4Rec(**OPTIONS, **keras_data.SETTINGS[config])
        self.gru.prepare(train)

    def train(self, steps):
        import keras

        self.gru.trainer.epoch(0, keras.callbacks.CallbackList(), steps)

    def evaluate(self):
        return self.evaluation.evaluate_gpu(self.gru, self.test, cut_off=CUT_OFFS)


class Original(KerasPort):
    """The same of original/, compiled to C."""

    def __init__(self, config, train, test):
        from original import evaluation
        from original.gru4rec import GRU4Rec

        class Short(GRU4Rec):
            def batches(self):
                return itertools.islice(super().batches(), self.steps)

        self.test, self.evaluation = test, evaluation
        self.gru = Short(**OPTIONS, **keras_data.SETTINGS[config], backend="c")
        self.gru.prepare(train)

    def train(self, steps):
        self.gru.steps = steps
        self.gru._epoch(0, 1, None)  # noqa: SLF001


class Plain:
    """``train(steps)`` of the plain step, on full batches made ready beforehand."""

    def __init__(self, config, train, test):
        from keras_port import GRU4Rec
        from keras_port.batches import last_occurrences

        gru = GRU4Rec(**OPTIONS, **keras_data.SETTINGS[config])
        gru.prepare(train, sample_store=2_000_000)
        rng, scratch, ready = np.random.RandomState(0), np.zeros(gru.n_items, np.int32), []
        for batch in itertools.islice((b for b in gru.batches() if len(b.X) == gru.batch_size), 400):
            parts = batch.X, batch.Y
            last = [last_occurrences(part, np.ones(len(part), bool), scratch).astype(np.int32) for part in parts]
            ready.append((batch.X, batch.Y, *last, batch.R, rng.rand(gru.batch_size, gru.layers[-1]) < 0.7))
        self.ready, self.step = itertools.cycle(ready), self._compile(gru.n_items, config)

    def _compile(self, n_items, config):
        step = plain_tensorflow.plain_step(n_items, config)
        return lambda *batch: step(*batch).numpy()

    def train(self, steps):
        for _ in range(steps):
            self.step(*next(self.ready))


class PlainAesara(Plain):
    """The same of the plain graph in Aesara."""

    def _compile(self, n_items, config):
        step = plain_aesara.plain_step(n_items, config)
        return lambda X, Y, last_X, last_Y, R, mask: step(X, Y, R.astype("float32"))


class Products:
    """``evaluate()``: the test events' scores of all items, never looked at."""

    def __init__(self, config, train, test):
        import tensorflow as tf

        units = OPTIONS["layers"][-1]
        predicted = len(test) - test["SessionId"].nunique()
        self.states = tf.random.normal((predicted, units)) / 10
        self.weights = tf.random.normal((train["ItemId"].nunique(), units)) / 10
        self.product = tf.function(lambda H: tf.matmul(H, self.weights, transpose_b=True)[0, 0])

    def evaluate(self):
        for start in range(0, len(self.states), 256):
            self.product(self.states[start : start + 256]).numpy()


def _serve(pipe, name, config, arguments):
    train, test = frames(arguments)
    kinds = {
        "plain": Plain,
        "aesara": PlainAesara,
        "original": Original,
        "products": Products,
        "keras": KerasPort,
    }
    contender = kinds[name](config, train, test)
    for task, *values in iter(pipe.recv, None):
        start = time.perf_counter()
        result = getattr(contender, task)(*values)
        pipe.send((time.perf_counter() - start, result))


class Contender:
    """A process that trains or evaluates when told to; ``do`` gives (seconds, result)."""

    def __init__(self, name, config, arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, name, config, arguments), daemon=True)
        self.process.start()

    def do(self, task, *values):
        self.pipe.send((task, *values))
        return self.pipe.recv()

    def stop(self):
        self.pipe.send(None)
        self.process.join()


def spread(ratios):
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def compare(config, arguments, console):
    """Time one setting and print its table."""
    contenders = {name: Contender(name, config, arguments) for name in arguments.contender}
    trains = {name: c for name, c in contenders.items() if name != "products"}
    evaluates = {name: c for name, c in contenders.items() if name not in ("plain", "aesara")}
    first = {name: c.do("train", 32)[0] for name, c in trains.items()}
    for contender in trains.values():
        contender.do("train", arguments.steps)
    trained = np.array([[c.do("train", arguments.steps)[0] for c in trains.values()] for _ in range(arguments.rounds)])
    for contender in evaluates.values():
        contender.do("evaluate")  # warm-up: compiles
    evaluated = np.array([[c.do("evaluate")[0] for c in evaluates.values()] for _ in range(arguments.rounds)])
    for contender in contenders.values():
        contender.stop()
    n_items = frames(arguments)[0]["ItemId"].nunique()
    table = Table(
        *("contender", "steps/s", "keras_port is faster by", "first steps, s", "evaluation, s", "faster by"),
        title=f"{config}, n = {n_items:,}, float32: {arguments.rounds} rounds of {arguments.steps} steps",
    )
    for name in contenders:
        row = [NAMES[name], "", "", "", "", ""]
        if name in trains:
            spent = trained[:, list(trains).index(name)]
            row[1:3] = f"{arguments.steps / np.median(spent):.0f}", spread(spent / trained[:, -1])
        if name in ("original", "keras"):
            row[3] = f"{first[name]:.1f}"
        if name in evaluates:
            spent = evaluated[:, list(evaluates).index(name)]
            row[4:6] = f"{np.median(spent):.2f}", spread(spent / evaluated[:, -1])
        table.add_row(*row)
    console.print(table)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", help="prepared training file; synthetic events of the same size without it")
    parser.add_argument("--test", help="prepared test file")
    parser.add_argument("--items", type=int, default=0, help="fill the item set up to this number with rare items")
    choices = list(plain_tensorflow.SETTINGS)
    parser.add_argument("--config", nargs="+", choices=choices, default=choices)
    parser.add_argument("--contender", nargs="+", choices=list(NAMES), default=list(NAMES), help="keras comes last")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=640)
    arguments = parser.parse_args(argv)
    if (arguments.train is None) != (arguments.test is None):
        parser.error("--train and --test go together")
    if arguments.contender[-1] != "keras":
        parser.error("--contender: keras comes last")
    logging.basicConfig(level=logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for config in arguments.config:
        compare(config, arguments, Console(width=120))


if __name__ == "__main__":
    main()
