"""The two engines side by side in float64: retraining on new items, which the protocol of the harness does not have."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("aesara")
keras = pytest.importorskip("keras")

import keras_port  # noqa: E402
import original.gru4rec  # noqa: E402

SMALL = {"layers": [20], "batch_size": 8, "n_sample": 64, "n_epochs": 1, "dtype": "float64"}


def frame_of(seed, n_items=150, n_sessions=400):
    rng = np.random.RandomState(seed)
    lengths = rng.randint(1, 12, n_sessions)
    items = (rng.zipf(1.3, lengths.sum()) * 7) % n_items
    session = np.repeat(np.arange(n_sessions), lengths)
    return pd.DataFrame({"SessionId": session, "ItemId": items, "Time": rng.randint(0, 5000, len(items))})


def pair_of(**options):
    """(original, keras_port) of the same options."""
    options = {**SMALL, **options}
    return original.gru4rec.GRU4Rec(**options), keras_port.GRU4Rec(**options, jit_compile=False)


def worst(found, wanted):
    """(error, name) of the array with the largest relative error ||a - b|| / ||b|| of two dicts of arrays."""
    assert found.keys() == wanted.keys()
    errors = ((np.linalg.norm(found[name] - wanted[name]) / np.linalg.norm(wanted[name]), name) for name in wanted)
    return max(errors)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"embedding": 12, "dropout_p_hidden": 0.2, "dropout_p_embed": 0.1},
        {"constrained_embedding": True, "sigma": 0.1, "init_as_normal": True},
    ],
    ids=["none", "separate", "constrained"],
)
def test_retraining_on_new_items(options):
    """Rows of new items, samples and masks come from where the first training left both streams."""
    tame = {"loss": "cross-entropy", "final_act": "softmax", "learning_rate": 0.02, "momentum": 0.1}
    pair = pair_of(**tame, **options)
    first, later = frame_of(0, 60, 60), frame_of(1, 150, 60)
    for engine in pair:
        engine.fit(first, sample_store=700)
        engine.fit(later, sample_store=700, retrain=True)
    reference, port = pair
    assert list(port.itemidmap.index) == list(reference.itemidmap.index)
    assert set(first["ItemId"]) < set(port.itemidmap.index) == set(first["ItemId"]) | set(later["ItemId"])
    np.testing.assert_array_equal(port.support, reference.support)
    for what in ("get_weights", "get_optimizer_state"):
        error, name = worst(getattr(port, what)(), getattr(reference, what)())
        assert error < 1e-9, f"{what}: {name} differs by {error:.1e}"
