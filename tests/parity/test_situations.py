"""Situations: the harness's own program holds in each, shipped engines do, and faults in it are caught."""

import numpy as np
import pytest

from gru4rec import engines
from gru4rec.engines import EngineSpec
from parity import situations
from parity.plain import Plain
from parity.situations.situation import halves

# of the shipped engines, which take some seconds a situation; golden runs all of them
SOME = ("retraining-constrained", "going-on", "cost-is-nan", "saturated-smoothing", "samples-2")


def failures(checks):
    return {check.name: check.broken or str(check.first_failure) for check in checks.failed}


def judged(name, cls):
    return situations.judge(name, EngineSpec("spoilt", cls))


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_the_harness_s_own_program_holds(name):
    checks = judged(name, Plain)
    assert not failures(checks)
    uncovered = {check.name for check in checks.values() if check.verdict == "not covered"}
    assert uncovered <= {"ranks", "metrics"}  # it has no evaluation
    assert checks.compared > 20


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["original-jax", "keras"])
@pytest.mark.parametrize("name", SOME)
def test_shipped_engines_hold(name, engine):
    checks = situations.judge(name, engines.named(engine))
    assert not failures(checks)
    assert checks.verdict == "held", {check.name: check.reasons for check in checks.values()}


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="situation 'nothing': long-epochs, .* are known"):
        situations.situation("nothing")


def test_further_data_has_items_that_the_first_lack():
    first, further = halves(situations.situation("retraining").scenario.dataset)
    assert set(further.train["ItemId"]) - set(first.train["ItemId"])
    assert set(further.train["ItemId"]) & set(first.train["ItemId"])
    assert not set(further.train["SessionId"]) & set(first.train["SessionId"])


class OldSigma(Plain):
    """New items get the range of a new model."""

    def block(self, rows, columns, otherwise=None):
        return super().block(rows, columns)


class OutputFirst(Plain):
    """New rows of the output are drawn before those of the input."""

    def _extend(self, n_items):
        table, self.table = self.table, "Wy"
        n_new, before = n_items - self.n_items, self.n_items
        rows, columns = self.weights[table].shape
        super()._extend(n_items)
        self.table = table
        new = self.block(n_new, columns, np.sqrt(6 / (rows + columns + n_new)))
        self.weights[table] = np.vstack([self.weights[table][:before], new])
        self._start_afresh()


class KeepsTheOptimizer(Plain):
    def _start_afresh(self):
        kept = dict(getattr(self, "state", {}))
        super()._start_afresh()
        self.state |= {name: a for name, a in kept.items() if a.shape == self.state[name].shape}


class GoesOn(Plain):
    """A cost that is no number does not end the training."""

    def fit(self, data, sample_store=10_000_000, retrain=False, on_epoch_end=None):
        self.prepare(data, sample_store, retrain)
        self.error_during_train = True
        for batch in self.batches():
            self.hidden = [H[: len(batch.X)] for H in self.hidden]
            self.train_step(batch.X, batch.Y, batch.R)


class NeverResets(Plain):
    """Sessions go on when the caller asks to forget them."""

    def reset_sessions(self):
        if not hasattr(self, "running"):
            super().reset_sessions()


class KeepsStates(Plain):
    """A lane whose session changes goes on from the other's state."""

    def predict_next_batch(self, session_ids, input_item_ids, predict_for_item_ids=None, batch=100):
        if self.running is not None and len(self.running.sessions) == batch:
            self.running.sessions = np.array(list(session_ids), object)
        return super().predict_next_batch(session_ids, input_item_ids, predict_for_item_ids, batch)


class CostInNineDigits(Plain):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        step = super().train_step(X, Y, R, masks, gradients)
        return step._replace(cost=step.cost * (1 + 1e-10))


class IgnoresAlpha(Plain):
    def _draw(self):
        self.params = self.params | {"sample_alpha": 0.5}
        return super()._draw()


@pytest.mark.parametrize(
    "name, cls, check",
    [
        ("retraining", OldSigma, "initial-weights"),
        ("retraining", OutputFirst, "initial-weights"),
        ("retraining-constrained", KeepsTheOptimizer, "fit"),
        ("cost-is-nan", GoesOn, "fit"),
        ("long-epochs", NeverResets, "forward"),
        ("long-epochs", KeepsStates, "forward"),
        ("saturated-softmax", CostInNineDigits, "loss"),
        ("samples-2", IgnoresAlpha, "negatives"),
    ],
)
def test_faults_are_caught(name, cls, check):
    checks = judged(name, cls)
    assert checks[check].first_failure, failures(checks)
    assert not checks[check].broken


class WithoutRetrain(Plain):
    def fit(self, data, sample_store=10_000_000, on_epoch_end=None):
        super().fit(data, sample_store, on_epoch_end=on_epoch_end)


def test_what_an_engine_lacks_is_not_covered_with_the_reason():
    checks = judged("retraining-constrained", WithoutRetrain)
    assert not failures(checks)
    assert checks["fit"].reasons == ["the engine's fit has no retrain"]


def test_an_engine_without_predictions():
    members = {name: part for name, part in vars(Plain).items() if name not in ("predict_next_batch", "__dict__")}
    checks = judged("long-epochs", type("Bare", (), members))
    assert not failures(checks)
    assert checks["forward"].reasons == ["the engine has no predict_next_batch"]
