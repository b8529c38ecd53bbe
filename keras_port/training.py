"""The training of a model: one step, one epoch, and the loop over epochs."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_port import (
    backend,
    checkpoint,
    distribution,
    divergence,
    dwell,
    initial_weights,
    numbers,
    programs,
    step,
)
from keras_port.batches import Batch, DwellBatch, SessionParallel, add_last_occurrences
from keras_port.callbacks import Progress, ProgressReport, as_list
from keras_port.checkpoint import Checkpoint
from keras_port.events import Events
from keras_port.model import SessionModel
from keras_port.prediction import check_items, first_not_finite
from keras_port.sampling import NegativeSampler
from keras_port.settings import Settings
from keras_port.state import TrainingState

__all__ = ["Progress", "Step", "Trainer"]
NO_DATA = "the model has no data yet: call fit or prepare first"
logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one training step gives back."""

    cost: float  # mean loss over the lanes, times M / batch_size
    gradients: dict[str, np.ndarray] | None  # by weight name, before grad_cap; per occurrence for row tensors


class Trainer:
    """Trains a :class:`~keras_port.model.SessionModel` on :class:`~keras_port.events.Events`.

    state: a :class:`~keras_port.state.TrainingState`. batches: the data, None before :meth:`start`.
    """

    def __init__(self, model: SessionModel):
        self.model, self.state = model, TrainingState(model)
        self.batches: SessionParallel | None = None

    @classmethod
    def of(cls, found: Checkpoint, settings: Settings) -> "Trainer":
        """A trainer that goes on from a checkpoint, with settings that may differ from its in what changes no array."""
        trainer = cls(SessionModel(len(found.item_ids), settings))
        trainer.model.item_ids = found.item_ids
        trainer.state.set_weights(found.weights)
        trainer.state.from_arrays(found.state)
        return trainer

    def checkpoint(self) -> Checkpoint:
        """All that :meth:`of` goes on from."""
        return Checkpoint(self.model.settings, self.model.known_ids, self.state.get_weights(), self.state.to_arrays())

    def retrained(self, events: Events, sample_store: int) -> "Trainer":
        """A trainer that goes on from the present weights with new data, whose unseen items are appended.

        It has a model of its own; the optimizer state starts afresh, the random streams go on.
        """
        settings, state = self.model.settings, self.state
        n_new = len(events.item_ids) - self.model.n_items
        weights = initial_weights.extended(state.get_weights(), self.model.read_at, n_new, settings, state.rng)
        trainer = Trainer(SessionModel(len(events.item_ids), settings))
        trainer.model.item_ids = events.item_ids
        trainer.state.continue_streams(state)
        trainer.state.set_weights(weights)
        trainer.start(events, sample_store)
        return trainer

    def draw_weights(self) -> None:
        """Set the initial weights, the first draws of the stream."""
        self.state.set_weights(initial_weights.draw(self.model.settings, self.model.n_items, self.state.rng))

    def start(self, events: Events, sample_store: int) -> None:
        """Take up the data: draw the first negative samples, lay out the sessions."""
        self._take_up(events, self.state.start_sampler(events.support, sample_store))

    def resume(self, events: Events, sample_store: int) -> "Trainer":
        """Take up the data of a training that was begun earlier; returns itself.

        Raises:
            ValueError: there was none, or its data or sample store was another.
        """
        sampler, known = self.state.sampler, self.state.fingerprint()
        if sampler is None:
            raise ValueError("resume=True: this model has never been fitted")
        same_items = len(events.support) == self.model.n_items and np.array_equal(events.support, sampler.support)
        differs = [] if same_items else ["items"]
        if known is not None and not differs:  # files of earlier releases have none
            found = events.digests(self.model.settings)
            differs = [what for what in known._fields if getattr(known, what) != getattr(found, what)]
        if differs:
            what = {"order": "order of the events"}.get(differs[0], differs[0])
            raise ValueError(f"resume=True: the {what} of the data is not that of the training")
        if sample_store != sampler.store:
            raise ValueError(f"resume=True: sample_store={sample_store}, but the training began with {sampler.store}")
        self._take_up(events, sampler)
        return self

    def _take_up(self, events: Events, sampler: NegativeSampler) -> None:
        state, settings = self.state, self.model.settings
        state.events = events
        self.batches = SessionParallel(events, settings, state.rng, sampler, state.masks, self.model.momentum_reads)

    def next_epoch(self) -> Iterator[Batch | DwellBatch]:
        """The batches of the next epoch's steps. Raises RuntimeError where no data were taken up."""
        self._data.start_epoch()
        return self._data.batches()

    @property
    def _data(self) -> SessionParallel:
        if self.batches is None:
            raise RuntimeError(NO_DATA)
        return self.batches

    def step(
        self,
        X: Any,
        Y: Any,
        R: Any,
        masks: Sequence[Any] | None = None,
        gradients: bool = False,
        passed: Any = None,
        weights: Any = None,
    ) -> Step:
        """One step from the present weights, optimizer state and hidden state, all of which it updates.

        Without gradients it runs the very program that :meth:`epoch` runs, with one step in its chunk.

        Args:
            X: (M,) input items.
            Y: (M + samples,) targets, then samples.
            R: (M,) true where a session ends.
            masks: one (M, width) bool array a dropout site; None draws them.
            gradients: whether to give them back, which takes a program that is run op by op.
            passed: with ``dwell_time``, (M,) seconds since each session's event before, NaN (or None) for none.
            weights: with ``dwell_weight``, (M,) weight of each lane's loss; None for 1.

        Raises:
            ValueError: for shapes or items that do not fit.
        """
        X, Y, R = (np.asarray(part) for part in (X, Y, R))
        M, lanes = len(X), self.state.lanes
        if not 1 <= M <= self.model.settings.batch_size or M != lanes or len(Y) < M or len(R) != M:
            raise ValueError(
                f"X, Y, R have {M}, {len(Y)}, {len(R)} entries: {lanes} lanes, as many of X and R, no fewer of Y, "
                "are accepted"
            )
        check_items("X", X, self.model.n_items)
        check_items("Y", Y, self.model.n_items)
        chunk = self._chunk_of_one(X, Y, R, masks, _dwell_inputs(self.model.settings, M, passed, weights))
        if not gradients:
            costs, _ = self._run_steps({"steps": np.int32(1), **chunk})
            return Step(float(costs[0]), None)
        batch = {name: values[0] for name, values in chunk.items()}
        self.model.known_finite = False
        # shapes of Y vary with the caller; op by op is faster than compiling each
        given = {**batch, numbers.NAME: numbers.vector(self.model.settings)}
        cost, found = programs.run(step.single_step, self.model, self.state.variables(), given, jit=False)
        lanes, samples = batch["lanes"], np.ones(len(Y) - M, bool)
        real = {"X": [lanes], "Y": [lanes, samples], "XY": [lanes, lanes, samples]}
        found = {name: backend.to_numpy(g) for name, g in found.items()}
        found.update({name: found[name][np.concatenate(real[place])] for name, place in self.model.read_at.items()})
        return Step(float(backend.to_numpy(cost)), found)

    def _run_steps(self, chunk: Mapping[str, Any]) -> tuple[np.ndarray, bool]:
        """The costs of the steps that were done, and whether all is known to be finite; see :func:`.step.run_steps`."""
        self.model.known_finite = False
        given = {**chunk, numbers.NAME: numbers.vector(self.model.settings)}
        found = programs.run(step.run_steps, self.model, self.state.variables(), given)
        costs, done, finite = map(backend.to_numpy, found)
        return costs[: int(done)], bool(finite)

    def _chunk_of_one(
        self, X: np.ndarray, Y: np.ndarray, R: np.ndarray, masks: Sequence[Any] | None, more: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """A step of M lanes as a chunk, padded as :class:`~keras_port.batches.SessionParallel` pads."""
        settings, M, B = self.model.settings, len(X), self.model.settings.batch_size
        if settings.logq and self.state.sampler is None:
            raise RuntimeError(f"logq={settings.logq} needs the items' support, and {NO_DATA}")
        masks = self.state.masks.draw(M) if masks is None else [np.asarray(mask, bool) for mask in masks]
        shapes = [(M, width) for _, width, _ in settings.dropout_sites]
        if [mask.shape for mask in masks] != shapes:
            raise ValueError(f"masks of shapes {[mask.shape for mask in masks]}: {shapes} are accepted")
        chunk = {
            "X": _padded(X.astype(np.int32), B, X[0])[None],
            "Y": np.concatenate([_padded(Y[:M], B, Y[0]), Y[M:]])[None].astype(np.int32),
            "R": _padded(R.astype(bool), B, False)[None],
            "lanes": (np.arange(B) < M)[None],
            **{f"mask{j}": _padded(mask, B, True)[None] for j, mask in enumerate(masks)},
            **{name: _padded(values, B, 0)[None] for name, values in more.items()},
        }
        add_last_occurrences(chunk, self.model.momentum_reads, np.zeros(self.model.n_items, np.int32))
        return chunk

    def fit(
        self,
        callbacks: Any = None,
        validate: Callable[[], dict[str, float]] | None = None,
        on_step: Callable[[Progress], Any] | None = None,
        on_epoch_end: Callable[[int, float], Any] | None = None,
        verbose: Any = 0,
    ) -> keras.callbacks.History:
        """Train up to ``n_epochs`` epochs in all, those done earlier included; returns Keras' ``History``.

        A "batch" of the callbacks is one call of many steps, numbered by its last step. The training ends in the step
        whose cost is NaN, or that leaves a weight that is not finite; ``state.fault`` says which.

        Args:
            callbacks: of Keras.
            validate: gives metrics, which are logged after each epoch with the prefix ``val_``.
            on_step: called after each call of many steps.
            on_epoch_end: called with (epoch, loss) after each epoch.
            verbose: as in ``keras.Model.fit``.
        """
        model, state = self.model, self.state
        report = ProgressReport(self._data, on_step, on_epoch_end)
        callbacks = as_list(callbacks, model, verbose, model.settings.n_epochs, [report])
        model.stop_training, state.diverged, state.fault = False, False, ""
        model._initial_epoch = None  # where BackupAndRestore says that it goes on; the name is Keras'
        callbacks.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(model._initial_epoch or state.epochs_done, model.settings.n_epochs):
            callbacks.on_epoch_begin(epoch)
            logs = self.epoch(epoch, callbacks)
            if state.diverged:
                break
            state.epochs_done = epoch + 1
            if validate is not None:
                logs.update({f"val_{name}": value for name, value in validate().items()})
            logger.info("epoch %d: %s", epoch + 1, ", ".join(f"{name} {value:.6f}" for name, value in logs.items()))
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        callbacks.on_train_end(logs)
        return model.history

    def epoch(
        self, number: int, callbacks: keras.callbacks.CallbackList, most_steps: int | None = None
    ) -> dict[str, float]:
        """Train epoch ``number``, from 0, or its first steps; returns {'loss': mean cost weighted by the lanes}."""
        batches, state = self._data, self.state
        batches.start_epoch()
        batches.keep_steps(most_steps)
        state.clear_hidden()
        bad = first_not_finite(self.model)
        if bad is not None:
            return _diverged(state, number, 0, f"weight {bad} is not finite before the first step")
        total, lanes_seen, done = 0.0, 0, 0
        # the next chunk is drawn while this one is computed; streams are saved between epochs only, when none is ahead
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(batches.chunk, 0)] if batches.chunks else []
            for index in range(batches.chunks):
                chunk = ahead.pop().result()
                if index + 1 < batches.chunks:
                    ahead.append(pool.submit(batches.chunk, index + 1))
                callbacks.on_train_batch_begin(done)
                costs, fault = self._run_chunk(chunk)
                if fault:
                    return _diverged(state, number, done + len(costs), fault)
                M = chunk["lanes"][: len(costs)].sum(axis=1)
                total, lanes_seen, done = total + costs @ M, lanes_seen + M.sum(), done + len(costs)
                callbacks.on_train_batch_end(done - 1, {"loss": total / lanes_seen})
        return {"loss": float(total / lanes_seen) if lanes_seen else 0.0}

    def _run_chunk(self, chunk: Mapping[str, np.ndarray]) -> tuple[np.ndarray, str]:
        """The costs of a chunk's steps, float64, up to the one after which the training cannot go on; and why not."""
        costs: list[float] = []
        left = int(chunk["steps"])
        while left:
            found, finite = self._run_steps({**chunk, "steps": np.int32(left)})
            costs.extend(found.astype(np.float64))
            if not finite:  # large numbers are no fault yet: the weights themselves are looked at
                last = {name: values[len(found) - 1] for name, values in chunk.items() if name != "steps"}
                fault = divergence.fault(self.model, self.state.get_weights(), last, costs[-1])
                if fault:
                    return np.array(costs), fault
                chunk = {name: np.roll(v, -len(found), axis=0) for name, v in chunk.items() if name != "steps"}
            left -= len(found)
        return np.array(costs), ""


def save(trainer: Trainer, path: str | os.PathLike) -> None:
    """Write a trainer's checkpoint to a file, whole or not at all; of several processes each writes its own rows."""
    model, state = trainer.model, trainer.state
    if distribution.process_count() == 1 or model.settings.devices == 1:
        checkpoint.write(trainer.checkpoint(), path)
        return
    rest = Checkpoint(model.settings, model.known_ids, state.get_weights(False), state.to_arrays(False))
    checkpoint.write_parts(rest, state.split_tensors(), model.split, path)


def _diverged(state: TrainingState, number: int, steps: int, fault: str) -> dict[str, float]:
    """The logs of an epoch that a fault ended after so many steps, which the state and the log keep."""
    state.diverged, state.fault = True, f"epoch {number + 1}, step {steps}, {fault}"
    logger.error("%s: the training has stopped", state.fault)
    return {"loss": float("nan")}


def _dwell_inputs(settings: Settings, M: int, passed: Any, weights: Any) -> dict[str, np.ndarray]:
    """What the dwell options add to the input of a step of M lanes."""
    added = {}
    buckets = dwell.given_buckets(passed, M, settings.dwell_time)
    if buckets is not None:
        added["dwell"] = buckets
    if weights is not None and not settings.dwell_weight:
        raise ValueError("weights are given with dwell_weight=0: a model with dwell_weight takes them")
    if settings.dwell_weight:
        added["weights"] = np.ones(M, settings.dtype) if weights is None else np.asarray(weights, settings.dtype)
        if added["weights"].shape != (M,):
            raise ValueError(f"weights has shape {np.shape(weights)}: one value a lane, ({M},), is accepted")
    return added


def _padded(values: np.ndarray, rows: int, fill: Any) -> np.ndarray:
    """values with rows of ``fill`` appended up to ``rows``."""
    padding = np.full((rows - len(values), *values.shape[1:]), fill, dtype=values.dtype)
    return np.concatenate([values, padding])
