"""Every recorded reference run, reproduced free-running: only settings and data are the recording's."""

import importlib.util

import numpy as np
import pytest
from recordings import NAMES, Recording, relative_error, replay

from original import evaluation
from original.gru4rec import GRU4Rec

COST = {"float64": 1e-12, "float32": 1e-4}
TENSOR = {"float64": 1e-10, "float32": 1e-4}
METRIC = {"float64": 1e-12, "float32": 1e-6}

# The quick run has one recording of each optimizer, embedding, dropout and order, in one of the two modes. Every
# recording in both modes is the slow run: each pair compiles a step and two predictions of its own.
QUICK = {
    "c": ["dropout-both-separate", "opt-duplicates-momentum", "rsc15-bpr-max-constrained"],
    "jax": [
        "columns-renamed",
        "data-one-event-sessions-unknown-items",
        "dropout-both-constrained",
        "first-paper-top1",
        "opt-adadelta",
        "opt-adam",
        "opt-grad_cap",
        "order-random",
        "sampling-popularity-no-store",
    ],
}
NO_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")


def _marks(name, backend):
    slow = [] if name in QUICK[backend] else [pytest.mark.slow]
    return slow + [NO_JAX] if backend == "jax" else slow


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((name, backend), marks=_marks(name, backend), id=f"{name}-{backend}")
        for backend in ("c", "jax")
        for name in NAMES
    ],
)
def run(request):
    """A replayed recording, shared by all tests of it."""
    name, backend = request.param
    recording = Recording(name)
    return replay(recording, recording.model(GRU4Rec, backend=backend))


def test_initial_weights_are_equal_to_the_bit(run):
    wanted = run.recording.named("init/")
    assert set(run.initial) == set(wanted)
    for name, values in wanted.items():
        assert run.initial[name].dtype == values.dtype
        np.testing.assert_array_equal(run.initial[name], values, err_msg=name)
    np.testing.assert_array_equal(run.gru.itemidmap.index, run.recording["itemidmap"])
    np.testing.assert_array_equal(run.gru.itemidmap, np.arange(run.gru.n_items))


def test_batches_samples_and_masks_are_equal(run):
    assert len(run.steps) == run.recording.n_steps
    for k, step in enumerate(run.steps):
        for part in "XYR":
            np.testing.assert_array_equal(
                getattr(step.batch, part), run.recording[f"step{k:03d}/{part}"], err_msg=f"{part} of step {k}"
            )
        wanted = run.recording.numbered(f"step{k:03d}/mask")
        assert len(step.masks) == len(wanted)
        for j, mask in enumerate(wanted):
            np.testing.assert_array_equal(step.masks[j], mask, err_msg=f"mask {j} of step {k}")


def test_costs_and_epoch_losses(run):
    wanted = [run.recording[f"step{k:03d}/cost"] for k in range(len(run.steps))]
    np.testing.assert_allclose([step.cost for step in run.steps], wanted, rtol=COST[run.recording.dtype], atol=0)
    # Printed with six digits after the point.
    np.testing.assert_allclose(run.losses, run.recording["epoch_loss"], rtol=0, atol=1e-6)


def test_hidden_states_gradients_and_weights(run):
    recording, tolerance = run.recording, TENSOR[run.recording.dtype]
    for k in recording.spec["keep"]:
        prefix, step = f"step{k:03d}/", run.steps[k]
        gradients = {**recording.named(f"{prefix}grad/"), **recording.named(f"{prefix}grad_rows/")}
        after = recording.named(f"{prefix}after/")
        assert set(gradients) == set(after) == set(step.gradients) == set(run.gru.get_weights())
        pairs = [(f"gradient of {name}", step.gradients[name], value) for name, value in gradients.items()]
        pairs += [(f"{name} after", step.weights_after[name], value) for name, value in after.items()]
        for what, found, wanted in (("H", step.hidden, "H"), ("new H", step.hidden_after, "Hnext")):
            wanted = recording.numbered(prefix + wanted)
            assert len(wanted) == len(found) == len(run.gru.layers)
            pairs += [(f"{what}{j}", *pair) for j, pair in enumerate(zip(found, wanted))]
        for what, found, wanted in pairs:
            error = relative_error(found, wanted)
            assert error < tolerance, f"{what}, step {k}: relative error {error:.1e}"


def test_final_weights(run):
    weights = run.gru.get_weights()
    for name, wanted in run.recording.named("final/").items():
        assert relative_error(weights[name], wanted) < TENSOR[run.recording.dtype], name


def _by_mode(recorded):
    """{mode: {N: (recall, mrr)}} of the keys MODE/N."""
    found = {}
    for key, value in recorded.items():
        mode, N = key.split("/")
        found.setdefault(mode, {})[int(N)] = value
    return found


@pytest.mark.parametrize("which", ["all", "subset", "sessions_batch"])
def test_evaluation(run, which):
    recording = run.recording
    if which == "subset":
        wanted = _by_mode(recording.named("eval/subset/"))
        assert set(wanted) == {"standard", "conservative"}
    else:
        # Two ways to one figure; what the reference could not do in one of them was recorded in the other.
        wanted = _by_mode(recording.named("eval/sessions_batch/") | recording.named("eval/all/"))
        assert {"standard", "conservative"} <= set(wanted)
    evaluate = evaluation.evaluate_sessions_batch if which == "sessions_batch" else evaluation.evaluate_gpu
    # A listed target's two look-ups may differ in the last bit in the reference: one event may fall on either side.
    tolerance = METRIC[recording.dtype]
    if which == "subset":
        tolerance += 1 / len(evaluation.ranks(run.gru, recording.test, **recording.keys))
    for mode, by_N in wanted.items():
        found = evaluate(
            run.gru,
            recording.test,
            recording["eval/items"] if which == "subset" else None,
            cut_off=list(by_N),
            batch_size=int(recording["eval/batch_size"]),
            mode=mode,
            **recording.keys,
        )
        for N, (recall, mrr) in by_N.items():
            assert found[N][0] == pytest.approx(recall, abs=tolerance, rel=0), (mode, N)
            # The reference's conservative rank of an unlisted target may be 0, its MRR infinite.
            assert np.isfinite(found[N][1])
            if np.isfinite(mrr):
                assert found[N][1] == pytest.approx(mrr, abs=tolerance, rel=0), (mode, N)


def test_predictions(run):
    run.gru.reset_sessions()
    for j in range(4):
        session_ids, item_ids = run.recording[f"predict{j}/session_ids"], run.recording[f"predict{j}/input_item_ids"]
        scores = run.gru.predict_next_batch(session_ids, item_ids, batch=2)
        np.testing.assert_array_equal(scores.index, run.recording["itemidmap"])
        assert relative_error(scores, run.recording[f"predict{j}/scores"]) < TENSOR[run.recording.dtype]


@pytest.mark.parametrize(
    "backend, name",
    [
        ("c", "opt-duplicates-momentum"),
        pytest.param("c", "order-random", marks=pytest.mark.slow),
        pytest.param("jax", "rsc15-cross-entropy", marks=NO_JAX),
        pytest.param("jax", "dropout-both-constrained", marks=[NO_JAX, pytest.mark.slow]),
    ],
)
def test_fit_trains_as_the_steps_do(name, backend):
    """fit runs the graph without gradients, and draws its masks itself."""
    recording, losses = Recording(name), []
    gru = recording.model(GRU4Rec, backend=backend)
    gru.fit(recording.train, recording.sample_store, on_epoch_end=lambda epoch, loss: losses.append(loss))
    np.testing.assert_allclose(losses, recording["epoch_loss"], rtol=0, atol=1e-6)
    for tensor, wanted in recording.named("final/").items():
        assert relative_error(gru.get_weights()[tensor], wanted) < TENSOR[recording.dtype], tensor
