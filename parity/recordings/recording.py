"""What a recording holds, as typed values; FORMAT.md says how it lies in a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

WHATS = ("all", "subset", "sessions_batch")
MODES = ("standard", "conservative", "median", "tiebreaking")


class TensorShape(NamedTuple):
    """Shape of a weight, and of which kind it is: a row tensor is updated in the rows that a step uses only."""

    shape: tuple[int, ...]
    rows: bool


class Declared(NamedTuple):
    """The evaluation records of one kind: every mode at every cut-off."""

    modes: tuple[str, ...]
    cut_offs: tuple[int, ...]


@dataclass(frozen=True)
class Spec:
    """What was run.

    Attributes:
        params: the constructor's options as they were given; one that is not there has its published default.
        sample_store: ``fit``'s option.
        dtype: ``float32`` or ``float64``.
        columns: names of the session, item and time column.
        keep: numbers of the steps that hold all tensors, ascending; some may lie beyond the last step.
        n_predictions: successive calls of ``predict_next_batch`` that were recorded.
        evaluations: the evaluation records that the recording declares, by kind; None where it declares none itself
            and owes what the reference's recorder wrote.
        absent: what was not recorded (kinds of evaluation, ``predictions``), each with the reason.
        epoch_steps: steps of each epoch; None where the recording does not say.
        seed, dropout_seed: of the NumPy stream and of the dropout stream.
        json: everything that stands in ``spec``, further keys included.
    """

    params: Mapping[str, Any]
    sample_store: int
    dtype: str
    columns: tuple[str, str, str]
    keep: tuple[int, ...]
    n_predictions: int = 4
    evaluations: Mapping[str, Declared] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    epoch_steps: tuple[int, ...] | None = None
    seed: int = 42
    dropout_seed: int = 12345
    json: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def column_options(self) -> dict[str, str]:
        """The columns as keyword arguments of an evaluation."""
        return dict(zip(("session_key", "item_key", "time_key"), self.columns))

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(self.params.get("layers", (100,)))

    @property
    def batch_size(self) -> int:
        return self.params.get("batch_size", 32)

    @property
    def n_epochs(self) -> int:
        return self.params.get("n_epochs", 10)

    @property
    def n_sample(self) -> int:
        return self.params.get("n_sample", 2048)

    @property
    def random_order(self) -> bool:
        return bool(self.params.get("train_random_order", False))

    @property
    def constrained(self) -> bool:
        return bool(self.params.get("constrained_embedding", False))

    @property
    def embedding(self) -> int:
        """Width of a separate embedding, 0 without one. A constrained embedding wins over a separate one."""
        width = self.params.get("embedding", 0)
        return 0 if self.constrained else self.layers[0] if width == "layersize" else width

    def tensors(self, n_items: int) -> dict[str, TensorShape]:
        """Every weight by name."""
        layers, last = self.layers, self.layers[-1]
        found = {"E": TensorShape((n_items, self.embedding), True)} if self.embedding else {}
        inputs = (last if self.constrained else self.embedding or n_items, *layers[:-1])
        for k, (width, units) in enumerate(zip(inputs, layers)):
            found[f"Wx{k}"] = TensorShape((width, 3 * units), k == 0 and not self.constrained and not self.embedding)
            found[f"Wh{k}"] = TensorShape((units, units), False)
            found[f"Wrz{k}"] = TensorShape((units, 2 * units), False)
            found[f"Bh{k}"] = TensorShape((3 * units,), False)
        return found | {"Wy": TensorShape((n_items, last), True), "By": TensorShape((n_items, 1), True)}

    def occurrences(self, name: str, lanes: int) -> int:
        """Rows of the gradient of row tensor ``name`` in a step of ``lanes`` lanes, one an occurrence."""
        scored = lanes + self.n_sample
        if name == "By" or (name == "Wy" and not self.constrained):
            return scored
        return lanes + scored if name == "Wy" else lanes

    def mask_widths(self) -> tuple[int, ...]:
        """Width of each dropout site, in graph order: the embedding's, then the layers'."""
        width = self.layers[-1] if self.constrained else self.embedding
        embed = (width,) if width and self.params.get("dropout_p_embed", 0) > 0 else ()
        return embed + (self.layers if self.params.get("dropout_p_hidden", 0) > 0 else ())

    def owed_evaluations(self) -> Mapping[str, Declared]:
        """The evaluation records that must be there.

        A recording that declares none owes what all runs of the reference's recorder have. With renamed columns the
        reference's ``evaluate_sessions_batch`` could not be called, so there it is not owed.
        """
        if self.evaluations is not None:
            return self.evaluations
        usual = Declared(("standard", "conservative"), (1, 5, 20))
        owed = {"all": usual, "subset": usual}
        if self.columns == ("SessionId", "ItemId", "Time"):
            owed["sessions_batch"] = Declared((*usual.modes, "median"), usual.cut_offs)
        return owed


@dataclass(frozen=True, eq=False)
class Kept:
    """The tensors of a step that is recorded in full.

    Attributes:
        H, Hnext: hidden state before the step, and after it (after dropout, zero where R); (M, L_k) a layer.
        dense_gradients: by weight, of the weight's shape, before grad_cap.
        row_gradients: by weight, one row an occurrence, before grad_cap.
        after: all weights after the step.
    """

    H: tuple[np.ndarray, ...]
    Hnext: tuple[np.ndarray, ...]
    dense_gradients: Mapping[str, np.ndarray]
    row_gradients: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """Those of all weights."""
        return {**self.dense_gradients, **self.row_gradients}


@dataclass(frozen=True, eq=False)
class Step:
    """One training step.

    Attributes:
        number: from 0, over all epochs.
        X: (M,) int, index of each lane's input item.
        Y: (M + n_sample,) int, the lanes' targets, then the negative samples.
        R: (M,) bool, true where the target is its session's last event.
        cost: mean loss over the lanes, times M / batch_size.
        masks: (M, width) bool a dropout site, true = kept.
        kept: the step's tensors, None in a step that is not kept.
        scales: by name (a weight, ``cost``, ``H0``, ``Hnext0``): the size that its rounding is measured against.
    """

    number: int
    X: np.ndarray
    Y: np.ndarray
    R: np.ndarray
    cost: float
    masks: tuple[np.ndarray, ...] = ()
    kept: Kept | None = None
    scales: Mapping[str, float] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """M."""
        return len(self.X)

    @property
    def targets(self) -> np.ndarray:
        """(M,) of Y."""
        return self.Y[: len(self.X)]

    @property
    def samples(self) -> np.ndarray:
        """(n_sample,) of Y."""
        return self.Y[len(self.X) :]


class Metric(NamedTuple):
    """Recall@N and MRR@N."""

    recall: float
    mrr: float


@dataclass(frozen=True)
class Evaluation:
    """One kind of evaluation in one tie mode.

    Attributes:
        what: ``all`` (evaluate_gpu over all items), ``subset`` (over ``Evaluations.items``), ``sessions_batch``.
        mode: standard, conservative, median or tiebreaking.
        by_cut_off: N to Recall@N and MRR@N, ascending. The MRR of a subset's conservative rank may be infinite.
    """

    what: str
    mode: str
    by_cut_off: Mapping[int, Metric]


@dataclass(frozen=True, eq=False)
class Evaluations:
    """All evaluation records; iterates over them. items: (k,) ids ranked among by ``subset``, None without it."""

    records: tuple[Evaluation, ...] = ()
    batch_size: int | None = None
    items: np.ndarray | None = None

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


class Prediction(NamedTuple):
    """One call of predict_next_batch: (lanes,) session ids and input item ids; (n, lanes) scores in index order."""

    session_ids: np.ndarray
    input_item_ids: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Recording:
    """One recorded run. Made by :func:`parity.recordings.reading.read`, which refuses what is not whole.

    Attributes:
        path: the file.
        spec: what was run.
        train, test: the frames, rows as given to fit and to evaluation, with the columns of ``spec.columns``.
        itemidmap: (n,) item ids in index order.
        init, final: all weights before the first and after the last step.
        steps: every step of all epochs.
        epochs: for each epoch the numbers of its steps; None where the recording does not tell.
        epoch_loss: (n_epochs,) loss of each epoch, to 6 digits.
        evaluations, predictions: of the trained model.
        meta: who made it with what, where the file says.
        version: of the format.
    """

    path: Path
    spec: Spec
    train: pd.DataFrame
    test: pd.DataFrame
    itemidmap: np.ndarray
    init: Mapping[str, np.ndarray]
    steps: tuple[Step, ...]
    epoch_loss: np.ndarray
    final: Mapping[str, np.ndarray]
    evaluations: Evaluations
    predictions: tuple[Prediction, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def __repr__(self) -> str:
        return f"Recording({str(self.path)!r}, {self.n_steps} steps, {self.n_items} items)"

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def n_steps(self) -> int:
        return len(self.steps)

    @property
    def n_items(self) -> int:
        return len(self.itemidmap)

    @property
    def kept(self) -> tuple[Step, ...]:
        """The steps that hold all tensors."""
        return tuple(step for step in self.steps if step.kept is not None)

    @cached_property
    def epochs(self) -> tuple[range, ...] | None:
        ends = self._epoch_ends()
        return None if ends is None else tuple(range(a, b) for a, b in zip((0, *ends), ends))

    def _epoch_ends(self) -> tuple[int, ...] | None:
        """Where epochs end: what the file says, else what follows from its lanes.

        With samples an epoch ends when every event was trained; without them an epoch may leave out the last lane's,
        and has as many steps as every other, or, in random orders, ends where lanes grow.
        """
        epochs, n_steps = self.spec.n_epochs, self.n_steps
        if self.spec.epoch_steps is not None:
            return tuple(np.cumsum(self.spec.epoch_steps).tolist())
        lanes = np.cumsum([step.lanes for step in self.steps])
        if self.spec.n_sample > 0:
            owed = transitions_in(self.train, self.spec.columns) * np.arange(1, epochs + 1)
            ends = np.searchsorted(lanes, owed)
            whole = ends[-1] == n_steps - 1 and np.array_equal(lanes[ends], owed)
            return tuple((ends + 1).tolist()) if whole else None
        if not self.spec.random_order:
            return None if n_steps % epochs else tuple(n_steps // epochs * (epoch + 1) for epoch in range(epochs))
        counts = [step.lanes for step in self.steps]  # within an epoch they never grow
        grown = [k for k in range(1, n_steps) if counts[k] > counts[k - 1]]
        return (*grown, n_steps) if len(grown) == epochs - 1 else None


def transitions_in(frame: pd.DataFrame, columns: tuple[str, str, str]) -> int:
    """Steps of single lanes in an epoch that loses none: events after their session's first."""
    return len(frame) - frame[columns[0]].nunique()


def step_key(number: int, part: str) -> str:
    """``stepKKK/PART``."""
    return f"step{number:03d}/{part}"
