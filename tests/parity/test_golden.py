"""The recorded reference runs, by the shipped engines and by the NumPy example."""

import numpy as np
import pytest

from parity import engines, golden

NAMES = [path.stem for path in golden.find([])]
FAST = "loss-cross-entropy-softmax"
# what the NumPy example covers; everything else must be reported as not covered
NUMPY = {
    "columns-renamed",
    "loss-bpr-max-linear-bpreg0",
    "loss-cross-entropy-softmax",
    "sampling-none-in-batch-only",
    "sampling-popularity-no-store",
    "sampling-uniform",
}


def replay(name, engine):
    return golden.replay(golden.Recording(golden.SHIPPED / f"{name}.npz"), engines.named(engine))


def failures(checks):
    return {check.name: check.broken or str(check.worst) for check in checks.failed}


@pytest.mark.parametrize("engine", ["original-jax", "keras"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == FAST else pytest.mark.slow) for n in NAMES])
def test_shipped_engines_reproduce_every_recording(name, engine):
    checks = replay(name, engine)
    assert not failures(checks)
    always = {"batches", "initial-weights", "forward", "loss", "gradients", "update", "trajectory", "metrics"}
    assert always <= {check.name for check in checks.values() if check.status == "held"}


@pytest.mark.parametrize("name", NAMES)
def test_the_numpy_example_reproduces_what_it_covers(name):
    checks = replay(name, "numpy_gru4rec:GRU4Rec")
    assert not failures(checks)
    assert checks.status == ("held" if name in NUMPY else "not covered")
    if name in NUMPY:
        assert checks["gradients"].compared and checks["update"].compared
        assert checks["metrics"].status == "not covered"


@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("step003/X", "batches"),
        ("step003/cost", "loss"),
        ("step002/grad/Wh0", "gradients"),
        ("step009/after/Bh0", "update"),
        ("step001/Hnext0", "forward"),
        ("init/Wx0", "initial-weights"),
        ("final/Wy", "trajectory"),
    ],
)
def test_a_recording_with_one_value_changed_fails_where_it_was_changed(key, check):
    recording = golden.Recording(golden.SHIPPED / f"{FAST}.npz")
    changed = np.array(recording.arrays[key])
    changed.flat[0] = (changed.flat[0] + 1) if changed.dtype.kind == "i" else changed.flat[0] + 1e-7
    recording.arrays[key] = changed
    checks = golden.replay(recording, engines.named("numpy_gru4rec:GRU4Rec"))
    assert list(failures(checks)) == [check]


def test_a_file_that_is_no_recording_is_named(tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="other.npz is no recording"):
        golden.Recording(path)
    np.savez(path, a=np.arange(3))
    with pytest.raises(ValueError, match="other.npz is no recording"):
        golden.Recording(path)


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recording"):
        golden.find([tmp_path])
