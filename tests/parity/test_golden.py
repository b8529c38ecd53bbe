"""The recorded reference runs, by the shipped engines, by the NumPy example and by the harness's own program."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gru4rec import engines
from parity import golden
from parity.checks.assignment import fewest_moved
from parity.recordings.manifest import owed
from parity.recordings.reading import find, read

PATHS = {path.stem: path for path in find([])}
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
PLAIN = "parity.plain:Plain"


@cache
def recording(name):
    return read(PATHS[name])


def replay(name, engine):
    return golden.replay(recording(name), engines.named(engine))


def failures(checks):
    return {check.name: check.broken or str(check.first_failure) for check in checks.failed}


@pytest.mark.parametrize("engine", ["original-jax", "keras"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == FAST else pytest.mark.slow) for n in PATHS])
def test_shipped_engines_reproduce_every_recording(name, engine):
    checks = replay(name, engine)
    assert not failures(checks)
    assert checks.verdict == "held", {check.name: check.reasons for check in checks.values() if check.reasons}
    for check, wanted in owed(recording(name)).items():
        assert checks[check].compared >= wanted, check
    assert checks["fit"].verdict == "held"


@pytest.mark.parametrize("name", PATHS)
def test_the_harness_s_own_program_reproduces_every_recording(name):
    checks = replay(name, PLAIN)
    assert not failures(checks)
    uncovered = {check.name for check in checks.values() if check.verdict == "not covered"}
    assert uncovered <= {"metrics"}  # it has no evaluation


@pytest.mark.parametrize("name", PATHS)
def test_the_numpy_example_reproduces_what_it_covers(name):
    checks = replay(name, "numpy_gru4rec:GRU4Rec")
    assert not failures(checks)
    assert checks.verdict == "not covered"  # it has no evaluation
    if name in NUMPY:
        assert [check.name for check in checks.values() if check.verdict == "not covered"] == ["metrics"]
    else:
        assert checks.compared == 0


def changed(at, **parts):
    """The fast recording with parts of step ``at`` changed."""
    whole = recording(FAST)
    steps = list(whole.steps)
    kept = {name: parts.pop(name) for name in list(parts) if name in ("Hnext", "dense_gradients", "after")}
    steps[at] = replace(steps[at], **parts, **({"kept": replace(steps[at].kept, **kept)} if kept else {}))
    return replace(whole, steps=tuple(steps))


def moved(values, name):
    """The tensors, with the first value of one of them a little larger."""
    other = np.array(values[name])
    other.flat[0] += 1e-9
    return {**values, name: other}


def spoilt():
    whole, kept = recording(FAST), recording(FAST).steps[2].kept
    X = np.array(whole.steps[3].X)
    X[0] = (X[0] + 1) % whole.n_items
    H = list(kept.Hnext)
    H[0] = H[0] + 1e-9
    return {
        "batches": changed(3, X=X),
        "loss": changed(3, cost=whole.steps[3].cost * (1 + 1e-11)),
        "gradients": changed(2, dense_gradients=moved(kept.dense_gradients, "Wh0")),
        "update": changed(2, after=moved(kept.after, "Bh0")),
        "forward": changed(2, Hnext=tuple(H)),
        "initial-weights": replace(whole, init=moved(whole.init, "Wx0")),
    }


@pytest.mark.parametrize("check", spoilt())
def test_a_recording_with_one_value_changed_fails_where_it_was_changed(check):
    checks = golden.replay(spoilt()[check], engines.named("numpy_gru4rec:GRU4Rec"), golden.reach(recording(FAST)))
    assert check in failures(checks)
    assert checks.first_failure[0].name == check


def test_changed_last_weights_fail_after_the_steps_and_after_fit():
    spoilt = replace(recording(FAST), final=moved(recording(FAST).final, "Wy"))
    checks = golden.replay(spoilt, engines.named(PLAIN))
    assert {"trajectory", "fit"} <= set(failures(checks))


def test_changed_metrics_fail():
    whole = recording(FAST)
    each = next(iter(whole.evaluations))
    N = max(each.by_cut_off)
    events = 1 / 29
    for what in ("recall", "mrr"):
        by_cut_off = {
            **each.by_cut_off,
            N: each.by_cut_off[N]._replace(**{what: getattr(each.by_cut_off[N], what) + events}),
        }
        evaluations = replace(
            whole.evaluations,
            **{
                name: tuple(replace(e, by_cut_off=by_cut_off) if e is each else e for e in value)
                for name, value in vars(whole.evaluations).items()
                if isinstance(value, tuple) and each in list(value)
            },
        )
        assert "metrics" in failures(golden.replay(replace(whole, evaluations=evaluations), engines.named(PLAIN)))


def test_an_infinite_reciprocal_rank_of_the_reference_is_compared_by_the_harness_s_own():
    name = next(
        n for n in PATHS if any(np.isinf(m.mrr) for e in recording(n).evaluations for m in e.by_cut_off.values())
    )
    checks = replay(name, PLAIN)
    assert "metrics" not in failures(checks)
    assert checks["metrics"].compared == 0  # explained, and the program has no evaluation of its own


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_one_assignment_has_to_explain_every_metric(moved):
    random = np.random.default_rng(moved)
    low = random.integers(1, 30, 40).astype(float)
    high = low + random.integers(0, 3, 40)
    true = low.copy()
    candidates = np.flatnonzero((high > low) & (low <= 18))
    true[candidates[:moved]] += 1
    recorded = {N: (np.mean(true <= N), np.mean(np.where(true <= N, 1 / true, 0))) for N in (1, 5, 10, 20)}
    assert fewest_moved(low, low, high, recorded, 1e-12) == moved
    spoilt = {N: (recall, mrr + 1e-5) for N, (recall, mrr) in recorded.items()}
    assert fewest_moved(low, low, high, spoilt, 1e-12) is None
    assert fewest_moved(low, low, low, recorded, 1e-12) == (0 if moved == 0 else None)


def test_a_loss_is_judged_to_rounding_beyond_the_digits_that_were_recorded():
    whole = recording(FAST)
    checks = replay(FAST, PLAIN)
    printed = checks["loss"].by_tensor["loss of epoch 1"]
    assert printed.error.relative <= printed.bound < 1e-12
    off = golden.replay(replace(whole, epoch_loss=whole.epoch_loss + 1.1e-6), engines.named(PLAIN))
    assert off["loss"].first_failure.tensor == "loss of epoch 1"
