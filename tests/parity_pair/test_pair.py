"""The two engines side by side in float64: each step from a common state, then whole epochs, files apart."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("aesara")
keras = pytest.importorskip("keras")

import keras_port  # noqa: E402
import keras_port.evaluation  # noqa: E402
import original.evaluation  # noqa: E402
import original.gru4rec  # noqa: E402

SMALL = {"layers": [20], "batch_size": 8, "n_sample": 64, "n_epochs": 1, "dtype": "float64"}
PUBLISHED = {
    "bpr-max": {"loss": "bpr-max", "final_act": "elu-0.5", "learning_rate": 0.2, "momentum": 0.3, "sample_alpha": 0.0},
    "bpr-max-constrained": {
        "loss": "bpr-max",
        "final_act": "elu-0.5",
        "learning_rate": 0.2,
        "momentum": 0.1,
        "sample_alpha": 0.0,
        "bpreg": 0.5,
        "constrained_embedding": True,
    },
    "cross-entropy": {
        "loss": "cross-entropy",
        "final_act": "softmax",
        "dropout_p_hidden": 0.3,
        "learning_rate": 0.1,
        "momentum": 0.7,
        "sample_alpha": 0.0,
    },
}
STEPS = 200


def frame_of(seed, n_items=150, n_sessions=400):
    rng = np.random.RandomState(seed)
    lengths = rng.randint(1, 12, n_sessions)
    items = (rng.zipf(1.3, lengths.sum()) * 7) % n_items
    session = np.repeat(np.arange(n_sessions), lengths)
    return pd.DataFrame({"SessionId": session, "ItemId": items, "Time": rng.randint(0, 5000, len(items))})


@pytest.fixture(scope="module", params=list(PUBLISHED))
def pair(request):
    """(original, keras) after the same preparation."""
    options = {**SMALL, **PUBLISHED[request.param]}
    engines = original.gru4rec.GRU4Rec(**options), keras_port.GRU4Rec(**options, jit_compile=False)
    for engine in engines:
        engine.prepare(frame_of(0), sample_store=2000)
    return engines


def worst(found, wanted):
    """The largest relative error of two dicts of arrays, and where."""
    assert set(found) == set(wanted)

    def error(name):
        return np.linalg.norm(found[name] - wanted[name]) / max(np.linalg.norm(wanted[name]), 1e-30)

    return max((error(name), name) for name in wanted)


@pytest.mark.slow
def test_teacher_forced_steps_and_metrics(pair):
    reference, port = pair
    assert worst(port.get_weights(), reference.get_weights())[0] == 0
    before = np.arange(SMALL["batch_size"])
    reference.set_hidden([np.zeros((len(before), units)) for units in SMALL["layers"]])
    batches = zip(reference.batches(), port.batches(), strict=True)
    for step, (batch, own) in zip(range(STEPS), batches):
        for part in ("X", "Y", "R", "lanes"):
            np.testing.assert_array_equal(getattr(own, part), getattr(batch, part), err_msg=f"{part} of step {step}")
        if len(before) != len(batch.lanes):
            reference.set_hidden([H[np.isin(before, batch.lanes)] for H in reference.get_hidden()])
        before = batch.lanes
        port.set_weights(reference.get_weights())
        port.set_optimizer_state(reference.get_optimizer_state())
        port.set_hidden(reference.get_hidden())
        masks, own_masks = (engine.draw_masks(len(batch.X)) for engine in pair)
        for mask, own_mask in zip(masks, own_masks, strict=True):
            np.testing.assert_array_equal(own_mask, mask)
        wanted, found = (engine.train_step(*batch[:3], masks=masks, gradients=True) for engine in pair)
        assert found.cost == pytest.approx(wanted.cost, rel=1e-10)
        for what, values in (
            ("gradient", (found.gradients, wanted.gradients)),
            ("weight", (port.get_weights(), reference.get_weights())),
            ("slot", (port.get_optimizer_state(), reference.get_optimizer_state())),
            ("hidden", ({"H": port.get_hidden()[0]}, {"H": reference.get_hidden()[0]})),
        ):
            error, name = worst(*values)
            assert error < 1e-10, f"step {step}: {what} {name} differs by {error:.1e}"
    assert step == STEPS - 1
    port.set_weights(reference.get_weights())
    for mode in ("standard", "conservative", "median"):
        for items in (None, list(port.itemidmap.index[:40])):
            found, wanted = (
                module.evaluate_gpu(engine, frame_of(1), items, cut_off=[1, 5, 10, 20], mode=mode)
                for module, engine in ((keras_port.evaluation, port), (original.evaluation, reference))
            )
            assert found == {N: pytest.approx(wanted[N], rel=1e-12) for N in wanted}, mode
