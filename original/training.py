"""Training: one step, one epoch, and the state by name."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from original import divergence
from original.batches import Batch
from original.dropout import DropoutMasks
from original.events import check_indices
from original.graphs.library import Variable
from original.graphs.padding import Padding
from original.initial_weights import Weights, row_tensors, weight_shapes
from original.network import Network, TrainingGraph, training_graph
from original.prediction import hidden_rows

log = logging.getLogger(__name__)

NO_DATA = "the model has no data yet: call fit or prepare first"
STEPS_BETWEEN_REPORTS = 25


class Step(NamedTuple):
    """What one training step gives back.

    Attributes:
        cost: mean loss over the lanes, times M / batch_size.
        gradients: by weight name, before grad_cap, by occurrence for item tensors; None where not asked for.
    """

    cost: float
    gradients: dict[str, np.ndarray] | None


class Progress(NamedTuple):
    """Where ``fit`` stands.

    Attributes:
        epoch: from 0.
        step: steps done in this epoch.
        events: events trained on in this epoch.
        total_events: events of an epoch.
        loss: mean cost of this epoch's steps so far, weighted by their lanes.
    """

    epoch: int
    step: int
    events: int
    total_events: int
    loss: float


class Epoch(NamedTuple):
    """What an epoch gives back: its loss, and what ended it before its time, in words, None for nothing."""

    loss: float
    fault: str | None


class Trainer:
    """Trains a network step by step; compiles what it needs when it is first needed.

    Args:
        network: what is trained.
        support: (n,), events of each item, which ``logq`` > 0 needs.
        masks: a dropout stream that goes on; None for a new one.
    """

    def __init__(self, network: Network, support: np.ndarray | None = None, masks: DropoutMasks | None = None) -> None:
        self.network, self.settings, self.support = network, network.settings, support
        self.masks = masks or DropoutMasks(self.settings)
        self.lanes = self.settings.batch_size
        fixed = network.backend.fixed_shapes
        self._padding = Padding(self.settings.batch_size, network.n_items, self.settings.dtype) if fixed else None
        self._shapes = weight_shapes(self.settings, network.n_items)
        self._compiled: Any = None
        self._with_gradients: Any = None
        self._known_finite = False

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: all but what is compiled."""
        return self.__dict__ | {"_compiled": None, "_with_gradients": None}

    # Steps.

    def compiled_step(self) -> Any:
        """The compiled step of :meth:`epoch` and :meth:`step`: the inputs of each step -> (cost, reach) of each."""
        if self._compiled is None:
            graph = self._graph()
            self._compiled = self.network.backend.loop(graph.inputs, [graph.cost, graph.reach], graph.updates)
        return self._compiled

    def _step_with_gradients(self) -> Any:
        if self._with_gradients is None:
            graph = self._graph()
            outputs = [graph.cost, *graph.gradients.values()]
            function = self.network.backend.function(graph.inputs, outputs, graph.updates)
            self._with_gradients = function, list(graph.gradients)
        return self._with_gradients

    def _graph(self) -> TrainingGraph:
        self._check_support()
        return training_graph(self.network, self.support)

    def _check_support(self) -> None:
        if self.settings.logq > 0 and self.support is None:
            raise RuntimeError(f"logq={self.settings.logq} needs the items' support, and {NO_DATA}")

    def inputs(self, batch: Batch, masks: list[np.ndarray]) -> list[np.ndarray]:
        """The inputs of a compiled step: as they are, or filled up to the graph's fixed shape."""
        R = batch.R.astype(self.settings.dtype)
        if self._padding is not None:
            return self._padding(batch.X, batch.Y, R, masks, batch.lanes)
        return [batch.X, batch.Y, R, *masks]

    def step(self, X: Any, Y: Any, R: Any, masks: Sequence[Any] | None = None, gradients: bool = False) -> Step:
        """One training step; see :meth:`original.gru4rec.GRU4Rec.train_step`."""
        self._check_support()
        batch = self._checked(X, Y, R)
        M = len(batch.X)
        given = self.masks(M) if masks is None else self._checked_masks(masks, M)
        inputs = self.inputs(batch, given)
        self._known_finite = False
        if not gradients:
            return Step(float(self.compiled_step()([inputs])[0, 0]), None)
        function, names = self._step_with_gradients()
        cost, *values = function(*inputs)
        return Step(float(cost), self._real_gradients(dict(zip(names, values, strict=True)), M))

    def _checked(self, X: Any, Y: Any, R: Any) -> Batch:
        X, Y, R = np.asarray(X), np.asarray(Y), np.asarray(R)
        M, N, n_items = len(X), len(Y), self.network.n_items
        if M != self.lanes or N < M or len(R) != M:
            raise ValueError(
                f"X, Y, R have {M}, {N}, {len(R)} entries: {self.lanes} lanes, as many of X and R, no fewer of Y, "
                "are accepted"
            )
        if N != M + self.settings.n_sample:
            raise ValueError(f"Y has {N} entries: {M + self.settings.n_sample}, lanes + n_sample, are accepted")
        return Batch(check_indices("X", X, n_items), check_indices("Y", Y, n_items), R, np.arange(M))

    def _checked_masks(self, masks: Sequence[Any], M: int) -> list[np.ndarray]:
        found, wanted = [np.shape(mask) for mask in masks], [(M, site.width) for site in self.masks.sites]
        if found != wanted:
            raise ValueError(f"masks of shapes {found}: {wanted} are accepted")
        return [np.ascontiguousarray(mask, self.settings.dtype) for mask in masks]

    def _real_gradients(self, gradients: Weights, M: int) -> Weights:
        """Gradients as plain arrays, those of padding rows left out."""
        gradients = {name: np.array(value) for name, value in gradients.items()}
        if self._padding is not None and self.settings.batch_size > M:
            for name in row_tensors(self.settings):
                joint = name == "Wy" and self.settings.input_mode == "constrained"
                gradients[name] = self._padding.without(gradients[name], M, joint)
        return gradients

    # Epochs.

    def epoch(
        self, number: int, batches: Iterable[Batch], n_events: int, on_step: Callable[[Progress], None] | None = None
    ) -> Epoch:
        """Train one epoch from hidden states of zeros.

        It ends in the step whose cost is NaN, or that leaves a weight that is no finite number.

        Args:
            number: of the epoch, from 0.
            batches: its batches, lanes ascending.
            n_events: how many events they hold.
            on_step: called every few steps.
        """
        self.set_hidden([np.zeros((self.settings.batch_size, L)) for L in self.settings.layers])
        name = self.first_not_finite()
        if name is not None:
            return self._ended(number, 0, math.nan, f"weight {name} is not finite before the first step")
        self._known_finite = False
        batches, lanes = iter(batches), np.arange(self.settings.batch_size)
        costs: list[float] = []
        weights: list[int] = []
        reported, over = 0, False
        while not over:
            chunk, inputs = list(islice(batches, self.network.backend.steps_per_call)), []
            for batch in chunk:
                if len(batch.lanes) < len(lanes):
                    lanes = self._remove_lanes(lanes, batch.lanes)
                inputs.append(self.inputs(batch, self.masks(len(batch.X))))
            fault = self._run(chunk, inputs, costs)
            weights.extend(len(batch.X) for batch in chunk[: len(costs) - len(weights)])
            over = fault is not None or len(inputs) < self.network.backend.steps_per_call
            if on_step and (over or len(costs) - reported >= STEPS_BETWEEN_REPORTS):
                reported = len(costs)
                on_step(Progress(number, len(costs), sum(weights), n_events, _loss(costs, weights)))
            if fault is not None:
                return self._ended(number, len(costs), _loss(costs, weights), fault)
        return Epoch(_loss(costs, weights), None)

    def _run(self, chunk: list[Batch], inputs: list[list[np.ndarray]], costs: list[float]) -> str | None:
        """Do the steps of a chunk and append their costs; what ended it before its last, in words."""
        step, done = self.compiled_step(), 0
        while done < len(inputs):
            found = step(inputs[done:])
            done += len(found)
            costs.extend(found[:, 0].tolist())
            if not np.isfinite(found[-1]).all():  # a large reach is no fault yet: the weights themselves are looked at
                fault = divergence.fault(self.settings, self.get_weights(), chunk[done - 1], costs[-1])
                if fault is not None:
                    return fault
        return None

    def _ended(self, number: int, steps: int, loss: float, fault: str) -> Epoch:
        """An epoch that a fault ended after so many steps; it is logged."""
        fault = f"epoch {number + 1}, step {steps}, {fault}"
        log.error("%s: the training has stopped", fault)
        return Epoch(loss, fault)

    def _remove_lanes(self, before: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Drop the hidden states of lanes that have ended; where shapes are fixed every lane keeps its row."""
        if self._padding is None:
            kept = np.isin(before, lanes)
            self.set_hidden([H[kept] for H in self.get_hidden()])
        return lanes

    # State by name.

    def first_not_finite(self) -> str | None:
        """The name of the first weight with an entry that is no finite number; None where all are finite."""
        if self._known_finite:
            return None
        for name, variable in self.network.weights.items():
            if not self.network.backend.is_finite(variable):
                return name
        self._known_finite = True
        return None

    def get_weights(self) -> Weights:
        """Copies of all weights by name."""
        return self.network.get(self.network.weights)

    def get_optimizer_state(self) -> Weights:
        """Copies of all optimizer state by ``SLOT/WEIGHT``."""
        return self.network.get(self.network.optimizer_state)

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set the named weights, leave the others."""
        self._known_finite = False
        self._set(self.network.weights, weights, "weights")

    def set_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Set the named optimizer state, leave the rest."""
        self._set(self.network.optimizer_state, state, "state")

    def _set(self, variables: dict[str, Variable], values: Mapping[str, Any], what: str) -> None:
        for name, value in values.items():
            if name not in variables:
                raise ValueError(f"{what}: unknown name {name!r}, {', '.join(variables) or 'none'} are accepted")
            shape = self._shapes[name.rpartition("/")[2]]
            if np.shape(value) != shape:
                raise ValueError(f"{what}[{name!r}] has shape {np.shape(value)}: {shape} is accepted")
        for name, value in values.items():
            self.network.backend.set(variables[name], value)

    def get_hidden(self) -> list[np.ndarray]:
        """The hidden state, one (M, L_k) array a layer, copies."""
        return [self.network.backend.get(H)[: self.lanes] for H in self.network.hidden]

    def set_hidden(self, hidden: Sequence[Any]) -> None:
        """Set the hidden state. Its number of rows is the number of lanes of the next step."""
        rows, most = hidden_rows(hidden, self.settings.layers), self.settings.batch_size
        if not 1 <= rows <= most:
            raise ValueError(f"hidden has {rows} rows: at most batch_size={most} are accepted")
        self.lanes = rows
        for variable, H in zip(self.network.hidden, hidden, strict=True):
            self.network.backend.set(variable, self.filled(H) if self._padding is not None else H)

    def filled(self, H: Any) -> np.ndarray:
        """A layer's hidden state with rows of zeros for the lanes that are not there, (batch_size, L_k)."""
        missing = np.zeros((self.settings.batch_size - len(H), np.shape(H)[1]), self.settings.dtype)
        return np.concatenate([H, missing])


def _loss(costs: list[float], lanes: list[int]) -> float:
    """Mean of the steps' costs, weighted by their lanes; NaN where there was no step."""
    return float(np.average(costs, weights=lanes)) if costs else math.nan
