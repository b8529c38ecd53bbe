"""Every recorded reference run, reproduced free-running: nothing is taken from a recording but its data."""

import numpy as np
import pytest

from gru4rec.engines import named
from keras_port import GRU4Rec
from parity import golden
from parity.recordings.reading import find, read

PATHS = find([])
TENSOR = {"float64": 1e-10, "float32": 1e-4}
# one of each loss, optimizer, embedding and dropout; the others compile their further programs in the slow run
VARIED = {
    "data-one-event-sessions-unknown-items",
    "dropout-both-constrained",
    "dropout-both-separate",
    "first-paper-top1",
    "loss-cross-entropy-smoothing",
    "opt-adadelta",
    "opt-adam",
    "opt-duplicates-momentum",
    "opt-grad_cap",
    "order-random",
    "rsc15-cross-entropy",
    "sampling-none-in-batch-only",
    "sampling-popularity-no-store",
}
each_recording = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
varied_recordings = pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in VARIED else pytest.mark.slow, id=path.stem) for path in PATHS],
)


def relative_error(found, wanted):
    """||found - wanted|| / ||wanted||."""
    assert np.shape(found) == np.shape(wanted)
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), 1e-30)


@varied_recordings
def test_replay(path):
    """Weights, batches, samples, masks, costs, gradients, updates, scores and metrics, step by step."""
    checks = golden.replay(read(path), named("keras"))
    assert not [f"{check.name}: {check.worst or check.broken}" for check in checks.failed]
    assert checks["update"].worst is not None and checks["metrics"].worst is not None


@varied_recordings
def test_fit_many_steps_a_call(path):
    """fit pads lanes that have run out instead of removing them, and runs several steps a call: the same training."""
    recording = read(path)
    spec = recording.spec
    gru = GRU4Rec(**spec.params, dtype=spec.dtype, steps_per_call=7)
    history = gru.fit(recording.train, spec.sample_store)
    for tensor, wanted in recording.final.items():
        error = relative_error(gru.get_weights()[tensor], wanted)
        assert error < TENSOR[spec.dtype], f"{tensor}: relative error {error:.1e}"
    np.testing.assert_allclose(history.history["loss"], recording.epoch_loss, atol=2e-6)
    assert not gru.error_during_train


@each_recording
def test_predictions(path):
    """Successive predictions of recorded weights, in lanes whose sessions change."""
    recording = read(path)
    spec = recording.spec
    gru = GRU4Rec(**spec.params, dtype=spec.dtype)
    gru.prepare(recording.train, 0)
    gru.set_weights(recording.final)
    for each in recording.predictions:
        frame = gru.predict_next_batch(each.session_ids, each.input_item_ids, batch=2)
        assert list(frame.index) == list(recording.itemidmap)
        assert relative_error(frame.to_numpy(), each.scores) < TENSOR[spec.dtype]
