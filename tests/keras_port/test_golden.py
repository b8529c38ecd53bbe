"""Every recorded reference run, reproduced free-running: nothing is taken from a recording but its data."""

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from keras_port import GRU4Rec, evaluation

sys.path.insert(0, str(Path(__file__).parent))
from golden import NAMES, Recording, relative_error  # noqa: E402

COST = {"float64": 1e-12, "float32": 1e-4}
TENSOR = {"float64": 1e-10, "float32": 1e-4}
MRR = {"float64": 1e-12, "float32": 1e-6}
# one of each loss, optimizer, embedding and dropout; the others compile their further programs in the slow run
VARIED = [
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
]

each_recording = pytest.mark.parametrize("name", NAMES)
varied_recordings = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in VARIED else pytest.mark.slow) for name in NAMES]
)


def compact_hidden(gru, before, now):
    """Remove the hidden rows of the lanes that have ended."""
    if len(before) != len(now):
        gru.set_hidden([H[np.isin(before, now)] for H in gru.get_hidden()])


@lru_cache(maxsize=None)
def replay(name):
    """Train as recorded, step by step; returns (recording, model, what each step gave)."""
    recording = Recording(name)
    gru = GRU4Rec(**recording.params, dtype=recording.dtype)
    gru.prepare(recording.train, recording.sample_store)
    initial, steps = gru.get_weights(), []
    for _ in range(gru.n_epochs):
        before = np.arange(gru.batch_size)
        gru.set_hidden([np.zeros((gru.batch_size, units)) for units in gru.layers])
        for batch in gru.batches():
            compact_hidden(gru, before, batch.lanes)
            before = batch.lanes
            recorded = len(steps) in recording.spec["keep"]
            hidden = gru.get_hidden() if recorded else None
            masks = gru.draw_masks(len(batch.X))
            cost, gradients = gru.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=True)
            after = (gru.get_hidden(), gru.get_weights()) if recorded else (None, None)
            steps.append(
                {"batch": batch, "masks": masks, "cost": cost, "gradients": gradients, "H": hidden, "after": after}
            )
    return recording, gru, initial, steps


@each_recording
def test_initial_weights_are_equal_to_the_bit(name):
    recording, gru, initial, _ = replay(name)
    wanted = recording.named("init/")
    assert set(initial) == set(wanted)
    for tensor, values in wanted.items():
        np.testing.assert_array_equal(initial[tensor], values, err_msg=tensor)
    np.testing.assert_array_equal(gru.itemidmap.index, recording.arrays["itemidmap"])


@each_recording
def test_batches_samples_and_dropout_masks_are_equal(name):
    recording, _, _, steps = replay(name)
    assert len(steps) == recording.n_steps
    for k, step in enumerate(steps):
        for part in "XYR":
            wanted = recording.arrays[f"step{k:03d}/{part}"]
            np.testing.assert_array_equal(getattr(step["batch"], part), wanted, err_msg=f"{part} of step {k}")
        wanted = recording.numbered(f"step{k:03d}/mask")
        assert len(step["masks"]) == len(wanted)
        for j, mask in enumerate(wanted):
            np.testing.assert_array_equal(step["masks"][j], mask, err_msg=f"mask {j} of step {k}")


@each_recording
def test_costs(name):
    recording, gru, _, steps = replay(name)
    wanted = np.array([recording.arrays[f"step{k:03d}/cost"] for k in range(len(steps))])
    np.testing.assert_allclose([step["cost"] for step in steps], wanted, rtol=COST[recording.dtype])
    lanes, costs = np.array([len(step["batch"].X) for step in steps]), np.array([step["cost"] for step in steps])
    ends = len(steps) // gru.n_epochs  # epochs are of one length unless the order is random
    if not gru.train_random_order:
        losses = [np.average(costs[at : at + ends], weights=lanes[at : at + ends]) for at in (0, ends)]
        np.testing.assert_allclose(losses, recording.arrays["epoch_loss"], atol=2e-6)


@each_recording
def test_hidden_states_gradients_and_weights(name):
    recording, gru, _, steps = replay(name)
    tolerance, compared = TENSOR[recording.dtype], 0
    for k in recording.spec["keep"]:
        at, step = f"step{k:03d}/", steps[k]
        pairs = [(f"H{j}", step["H"][j], H) for j, H in enumerate(recording.numbered(f"{at}H"))]
        pairs += [(f"Hnext{j}", step["after"][0][j], H) for j, H in enumerate(recording.numbered(f"{at}Hnext"))]
        gradients = {**recording.named(f"{at}grad/"), **recording.named(f"{at}grad_rows/")}
        assert set(gradients) == set(step["gradients"])
        pairs += [(f"gradient of {tensor}", step["gradients"][tensor], g) for tensor, g in gradients.items()]
        pairs += [(tensor, step["after"][1][tensor], w) for tensor, w in recording.named(f"{at}after/").items()]
        for what, found, wanted in pairs:
            error, compared = relative_error(found, wanted), compared + 1
            assert error < tolerance, f"{what} of step {k}: relative error {error:.1e}"
    assert compared > 5 * len(gru.get_weights())
    for tensor, wanted in recording.named("final/").items():
        assert relative_error(gru.get_weights()[tensor], wanted) < tolerance, tensor


@varied_recordings
def test_evaluation_in_every_mode(name):
    recording, gru, _, _ = replay(name)
    columns = dict(zip(("session_key", "item_key", "time_key"), recording.columns))
    found = {}
    wanted = {tuple(key.split("/")[1:]): value for key, value in recording.arrays.items() if key.count("/") == 3}
    for what, mode, N in wanted:
        if (what, mode) not in found:
            options = {
                **columns,
                "mode": mode,
                "cut_off": [1, 5, 20],
                "batch_size": int(recording.arrays["eval/batch_size"]),
            }
            if what == "sessions_batch":
                found[what, mode] = evaluation.evaluate_sessions_batch(gru, recording.test, **options)
            else:
                items = recording.arrays["eval/items"] if what == "subset" else None
                found[what, mode] = evaluation.evaluate_gpu(gru, recording.test, items, **options)
        recall, mrr = wanted[what, mode, N]
        assert found[what, mode][int(N)][0] == pytest.approx(recall, rel=1e-12), (what, mode, N)
        if np.isfinite(mrr):  # the reference's rank of an unlisted target can be 0
            assert found[what, mode][int(N)][1] == pytest.approx(mrr, rel=MRR[recording.dtype]), (what, mode, N)
    assert len(found) >= 3


@each_recording
def test_predictions(name):
    recording, gru, _, _ = replay(name)
    gru.forget_predictions()
    for j in range(4):
        session_ids, item_ids = (
            recording.arrays[f"predict{j}/session_ids"],
            recording.arrays[f"predict{j}/input_item_ids"],
        )
        frame = gru.predict_next_batch(session_ids, item_ids, batch=2)
        assert list(frame.index) == list(recording.arrays["itemidmap"])
        assert relative_error(frame.to_numpy(), recording.arrays[f"predict{j}/scores"]) < TENSOR[recording.dtype]


@varied_recordings
def test_fit_many_steps_a_call(name):
    """fit pads lanes that have run out instead of removing them, and runs several steps a call: the same training."""
    recording = Recording(name)
    gru = GRU4Rec(**recording.params, dtype=recording.dtype, steps_per_call=7)
    history = gru.fit(recording.train, recording.sample_store)
    for tensor, wanted in recording.named("final/").items():
        error = relative_error(gru.get_weights()[tensor], wanted)
        assert error < TENSOR[recording.dtype], f"{tensor}: relative error {error:.1e}"
    np.testing.assert_allclose(history.history["loss"], recording.arrays["epoch_loss"], atol=2e-6)
    assert not gru.error_during_train
