"""From a :class:`~parity.recordings.recording.Recording` to the arrays of a file."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parity.recordings.archive import write_arrays
from parity.recordings.reading import recording_of
from parity.recordings.recording import Kept, Recording, Step, step_key


def write(recording: Recording, path: Path) -> None:
    """Write a recording, whole or not at all, after the checks that reading it will make.

    Raises:
        OSError: the file cannot be written.
        ValueError: ``PATH: KEY: what is wrong``, as of :func:`~parity.recordings.reading.read`.
    """
    arrays = arrays_of(recording)
    recording_of(arrays, path)
    write_arrays(path, arrays)


def arrays_of(recording: Recording) -> dict[str, np.ndarray]:
    """The arrays by key, as FORMAT.md has them."""
    return dict(_arrays(recording))


def _arrays(recording: Recording) -> Iterator[tuple[str, np.ndarray]]:
    yield "format", np.array(recording.version)
    yield "spec", np.array(json.dumps(recording.spec.json))
    if recording.meta:
        yield "meta", np.array(json.dumps(recording.meta))
    for part, frame in (("train", recording.train), ("test", recording.test)):
        for what, column in zip(("session", "item", "time"), recording.spec.columns):
            yield f"{part}/{what}", _plain(frame[column].to_numpy())
    yield "itemidmap", _plain(recording.itemidmap)
    yield "n_steps", np.array(recording.n_steps)
    yield "error_during_train", np.array(False)
    yield "epoch_loss", recording.epoch_loss
    for group, weights in (("init", recording.init), ("final", recording.final)):
        yield from ((f"{group}/{name}", values) for name, values in weights.items())
    for step in recording.steps:
        yield from ((step_key(step.number, part), values) for part, values in _step(step, recording.spec.dtype))
    yield from _evaluations(recording)
    for j, prediction in enumerate(recording.predictions):
        yield from ((f"predict{j}/{part}", _plain(values)) for part, values in prediction._asdict().items())


def _step(step: Step, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    yield from (("X", step.X), ("Y", step.Y), ("R", step.R), ("cost", np.array(step.cost, dtype)))
    yield from ((f"mask{j}", mask) for j, mask in enumerate(step.masks))
    yield from ((f"scale/{name}", np.array(scale, np.float64)) for name, scale in step.scales.items())
    if step.kept:
        yield from _kept(step.kept)


def _kept(kept: Kept) -> Iterator[tuple[str, np.ndarray]]:
    for name, states in (("H", kept.H), ("Hnext", kept.Hnext)):
        yield from ((f"{name}{j}", state) for j, state in enumerate(states))
    groups = {"grad": kept.dense_gradients, "grad_rows": kept.row_gradients, "after": kept.after}
    for group, tensors in groups.items():
        yield from ((f"{group}/{name}", values) for name, values in tensors.items())


def _evaluations(recording: Recording) -> Iterator[tuple[str, np.ndarray]]:
    evaluations = recording.evaluations
    if evaluations.batch_size is not None:
        yield "eval/batch_size", np.array(evaluations.batch_size)
    if evaluations.items is not None:
        yield "eval/items", _plain(evaluations.items)
    for each in evaluations:
        for N, metric in each.by_cut_off.items():
            yield f"eval/{each.what}/{each.mode}/{N}", np.array(metric, np.float64)


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts, which pandas holds as objects, as a text array."""
    values = np.asarray(values)
    return values.astype(np.str_) if values.dtype.kind in "OT" else values
