"""What ``benchmarks/bench.py`` times: both engines, plain programs of the same formulas, and what the machine allows.

A contender lives in a process of its own. It trains, evaluates or recommends when told to, and idles while the others
do; what it cannot do it does not have.
"""

import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks import keras_data

CUT_OFFS = [1, 5, 10, 20]
K, SESSIONS = 20, 100  # of recommend: items for each of so many running sessions
READY = 200  # batches that the plain programs are given, over and over
FIRST = 32  # steps of the first call, which compiles


class Task(NamedTuple):
    """One cell of the table."""

    setting: str
    n_items: int
    units: int
    lanes: int = 32
    samples: int = 2048
    train: str | None = None  # prepared files; synthetic events without them
    test: str | None = None

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(train, test), filled up to ``n_items`` by rare items."""
        if self.train and self.test:
            train, test = keras_data.read(self.train), keras_data.read(self.test)
        else:
            train, test = keras_data.events(2933, 17794), keras_data.events(2933, 3500, seed=2)
        return keras_data.with_items(train, self.n_items), test

    @property
    def options(self) -> dict[str, Any]:
        """The engines' options."""
        sizes = {"layers": [self.units], "batch_size": self.lanes, "n_sample": self.samples}
        return {**sizes, **keras_data.SETTINGS[self.setting]}


class Batch(NamedTuple):
    """A training step's arrays, as the plain programs take them."""

    X: np.ndarray  # (M,)
    Y: np.ndarray  # (M + samples,)
    R: np.ndarray  # (M,) bool
    mask: np.ndarray  # (M, L) bool


def batches(task: Task, events: pd.DataFrame) -> Iterator[Batch]:
    """Steps on random pairs of following events, with uniform samples: no engine is needed to draw them."""
    rng = np.random.RandomState(0)
    items, _ = pd.factorize(events["ItemId"])
    session = events["SessionId"].to_numpy()
    follows = np.flatnonzero(session[:-1] == session[1:])
    n_items = items.max() + 1
    for _ in range(READY):
        at = rng.choice(follows, task.lanes, replace=False)
        Y = np.concatenate([items[at + 1], rng.randint(0, n_items, task.samples)]).astype(np.int32)
        R, mask = rng.rand(task.lanes) < 0.25, rng.rand(task.lanes, task.units) < 0.7
        yield Batch(items[at].astype(np.int32), Y, R, mask)


def last_occurrences(rows: np.ndarray) -> np.ndarray:
    """The position of the last occurrence of each row's value."""
    _, first, back = np.unique(rows[::-1], return_index=True, return_inverse=True)
    return (len(rows) - 1 - first[back])[::-1].copy()


def sessions_of(events: pd.DataFrame, known: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(offsets (S + 1,), item indices (E,)) of test events whose items are known, sessions of two or more."""
    ids = pd.Index(known["ItemId"].unique())
    events = events[events["ItemId"].isin(ids)]
    events = events[events.groupby("SessionId")["ItemId"].transform("size") > 1].sort_values(["SessionId", "Time"])
    lengths = events.groupby("SessionId").size().to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]), ids.get_indexer(events["ItemId"])


class Keras:
    """keras_port, as ``fit`` runs it."""

    def __init__(self, task: Task, **options: Any):
        from keras_port import GRU4Rec, evaluation
        from keras_port.callbacks import as_list

        train, self.test = task.frames()
        self.evaluation, self.gru = evaluation, GRU4Rec(**task.options, **options)
        self.gru.prepare(train)
        self.callbacks = as_list(None, self.gru.model, 0, 1)
        self.callbacks.on_train_begin()
        short = self.test[self.test["ItemId"].isin(train["ItemId"].unique())].groupby("SessionId")["ItemId"]
        self.sessions = [list(items)[:5] for _, items in itertools.islice(short, SESSIONS)]

    def train(self, steps: int) -> None:
        """The first steps of an epoch."""
        self.gru.trainer.epoch(0, self.callbacks, steps)

    def evaluate(self) -> Any:
        """Recall and MRR of the whole test file."""
        return self.evaluation.evaluate_gpu(self.gru, self.test, cut_off=CUT_OFFS)

    def recommend(self) -> Any:
        """The best items of running sessions."""
        return self.gru.recommend(self.sessions, K)


class Original:
    """original, as ``fit`` runs it."""

    def __init__(self, task: Task, **options: Any):
        from original import evaluation
        from original.gru4rec import GRU4Rec

        train, self.test = task.frames()
        self.evaluation, self.gru = evaluation, GRU4Rec(**task.options, **options)
        self.gru.prepare(train)
        self.trainer = self.gru._state.built.trainer  # noqa: SLF001 - fit has no number of steps

    def train(self, steps: int) -> None:
        """The first steps of an epoch."""
        self.trainer.epoch(0, itertools.islice(self.gru.batches(), steps), steps)

    def evaluate(self) -> Any:
        """Recall and MRR of the whole test file."""
        return self.evaluation.evaluate_gpu(self.gru, self.test, cut_off=CUT_OFFS)


class PlainAesara:
    """The plain graph of ``benchmarks/plain_aesara.py``."""

    def __init__(self, task: Task):
        from benchmarks import plain_aesara

        train, _ = task.frames()
        step = plain_aesara.plain_step(train["ItemId"].nunique(), task.setting, task.units, task.lanes)
        self.steps = itertools.cycle([(b.X, b.Y, b.R.astype("float32")) for b in batches(task, train)])
        self.step: Callable[..., Any] = step

    def train(self, steps: int) -> None:
        """Steps on arrays that are ready."""
        for given in itertools.islice(self.steps, steps):
            self.step(*given)


class PlainTensorFlow(PlainAesara):
    """The plain step of ``benchmarks/plain_tensorflow.py``."""

    def __init__(self, task: Task):
        from benchmarks import plain_tensorflow

        train, _ = task.frames()
        sizes = (task.units, task.lanes, task.samples)
        step = plain_tensorflow.plain_step(train["ItemId"].nunique(), task.setting, *sizes)
        self.steps = itertools.cycle(
            [
                (b.X, b.Y, *(last_occurrences(rows).astype(np.int32) for rows in (b.X, b.Y)), b.R, b.mask)
                for b in batches(task, train)
            ]
        )
        self.step = lambda *given: step(*given).numpy()


class PlainTorch(PlainAesara):
    """The plain program of ``benchmarks/plain_torch.py``."""

    def __init__(self, task: Task):
        from benchmarks.plain_torch import Plain

        train, test = task.frames()
        made = Plain(train["ItemId"].nunique(), task.setting, task.units, task.lanes)
        ready = []
        for b in batches(task, train):
            read = {"Wx": b.X, "Wy": np.concatenate([b.X, b.Y]) if made.constrained else b.Y, "By": b.Y}
            last = {name: last_occurrences(rows) for name, rows in read.items()}
            ready.append(made.ready(b.X, b.Y, last, b.R, b.mask))
        self.steps, self.step, self.made = itertools.cycle(ready), made.step, made
        self.offsets, self.items = sessions_of(test, train)

    def evaluate(self) -> Any:
        """Recall and MRR of the whole test file."""
        return self.made.evaluate(self.offsets, self.items, CUT_OFFS)

    def recommend(self) -> Any:
        """The best items of running sessions."""
        bounds = zip(self.offsets[:SESSIONS], self.offsets[1:], strict=False)
        return self.made.recommend([self.items[a:b][:5] for a, b in bounds], K)


class Roofline:
    """What no program of this form can do without on this machine, by NumPy: see :meth:`train`."""

    def __init__(self, task: Task):
        train, test = task.frames()
        rng, L, M, N = np.random.RandomState(0), task.units, task.lanes, task.lanes + task.samples
        n, self.steps = train["ItemId"].nunique(), itertools.cycle(list(batches(task, train)))

        def matrix(*shape: int) -> np.ndarray:
            return rng.rand(*shape).astype(np.float32)

        tied = keras_data.SETTINGS[task.setting].get("constrained_embedding", False)
        # weights, sums of squares and velocities; rows of Wy where inputs and outputs share it, else of Wx0 too
        self.tables = [(matrix(n, L), "XY" if tied else "Y") for _ in range(3)]
        self.tables += [(matrix(n, 1), "Y") for _ in range(3)]
        self.tables += [] if tied else [(matrix(n, 3 * L), "X") for _ in range(3)]
        # (M, a) x (a, b) of the forward pass, each with the two products of its gradient
        shapes = [(L, 2 * L), (L, L), (L, N), *([(L, 3 * L)] if tied else [])]
        self.products = [(matrix(M, a), matrix(a, b), matrix(M, b)) for a, b in shapes]
        self.outputs = [(np.empty((M, b), np.float32), np.empty((M, a), np.float32), np.empty((a, b), np.float32))
                        for a, b in shapes]  # fmt: skip
        predicted = len(test) - test["SessionId"].nunique()
        self.states, self.scores = matrix(predicted, L), np.empty((256, n), np.float32)

    def train(self, steps: int) -> None:
        """The matrix products of a step and of its gradients, and the rows that it reads and writes."""
        for batch in itertools.islice(self.steps, steps):
            for (x, w, g), (y, dx, dw) in zip(self.products, self.outputs, strict=True):
                np.dot(x, w, out=y)
                np.dot(g, w.T, out=dx)
                np.dot(x.T, g, out=dw)
            rows = {"X": batch.X, "Y": batch.Y, "XY": np.concatenate([batch.X, batch.Y])}
            for table, where in self.tables:
                table[rows[where]] = table.take(rows[where], axis=0)

    def evaluate(self) -> None:
        """The products of the scores, never looked at."""
        table = self.tables[0][0]
        for start in range(0, len(self.states), 256):
            block = self.states[start : start + 256]
            np.dot(block, table.T, out=self.scores[: len(block)])


class Kind(NamedTuple):
    """How a contender is made."""

    title: str
    cls: type
    module: str  # that has to be there
    options: dict[str, Any]
    environment: dict[str, str]
    settings: tuple[str, ...] = tuple(keras_data.SETTINGS)


_PLAIN = ("bpr-max", "cross-entropy")
KINDS = {
    "original-c": Kind("original, C", Original, "aesara", {"backend": "c"}, {}),
    "original-jax": Kind("original, JAX", Original, "jax", {"backend": "jax"}, {}),
    "keras-tensorflow": Kind("keras_port, TensorFlow", Keras, "tensorflow", {}, {"KERAS_BACKEND": "tensorflow"}),
    "keras-jax": Kind("keras_port, JAX", Keras, "jax", {}, {"KERAS_BACKEND": "jax"}),
    "keras-torch": Kind("keras_port, PyTorch", Keras, "torch", {}, {"KERAS_BACKEND": "torch"}),
    "plain-aesara": Kind("plain Aesara", PlainAesara, "aesara", {}, {}, _PLAIN),
    "plain-tensorflow": Kind("plain TensorFlow", PlainTensorFlow, "tensorflow", {}, {}, _PLAIN),
    "plain-torch": Kind("plain PyTorch", PlainTorch, "torch", {}, {}),
    "roofline": Kind("products and rows alone", Roofline, "numpy", {}, {}),
}


def _serve(pipe: Connection, name: str, task: Task) -> None:
    """Of the process: build the contender, then do what the pipe says, and answer with the seconds."""
    kind = KINDS[name]
    try:
        contender = kind.cls(task, **kind.options)
        contender.train(FIRST)
        pipe.send({part: hasattr(contender, part) for part in ("train", "evaluate", "recommend")})
        for part, *values in iter(pipe.recv, None):
            begin = time.perf_counter()
            getattr(contender, part)(*values)
            pipe.send(time.perf_counter() - begin)
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    except Exception as problem:  # noqa: BLE001 - the table says what it was
        pipe.send(
            problem if isinstance(problem, (ValueError, RuntimeError, ImportError)) else RuntimeError(repr(problem))
        )


class Contender:
    """A process that works when told to.

    Attributes:
        start: seconds from its start to the end of its first steps: imports, data, weights, compilation.
        parts: what it can do.
    """

    def __init__(self, name: str, task: Task):
        kind = KINDS[name]
        before = {variable: os.environ.get(variable) for variable in kind.environment}
        os.environ.update(kind.environment)
        context = multiprocessing.get_context("spawn")
        self.name, (self.pipe, theirs) = name, context.Pipe()
        begin = time.perf_counter()
        self.process = context.Process(target=_serve, args=(theirs, name, task), daemon=True)
        self.process.start()
        theirs.close()
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable)
            else:
                os.environ[variable] = value
        can = self._answer()
        self.start = time.perf_counter() - begin
        self.parts = {part for part, has in can.items() if has}

    def _answer(self) -> Any:
        try:
            found = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: its process ended, exit status {self.process.exitcode}") from None
        if isinstance(found, Exception):
            raise RuntimeError(f"{self.name}: {found}")
        return found

    def do(self, part: str, *values: Any) -> float:
        """Seconds of one call."""
        self.pipe.send((part, *values))
        return self._answer()

    def stop(self) -> float:
        """End the process; returns its largest resident size, in MiB."""
        self.pipe.send(None)
        peak = self._answer()
        self.process.join()
        return peak
