"""This project's own faults."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("gradient not flowing through the negatives' softmax", "gradients", "bpr-max", own=True)
def gradient_stopped() -> Patches:
    from keras import ops

    from keras_port.losses import Scores

    weights = Scores.negatives_weights
    return [(Scores, "negatives_weights", lambda self: ops.stop_gradient(weights(self)))]


@FAMILY.fault("L2 term added to the gradient instead of the step", "update", "regularised", own=True)
def coupled_decay() -> Patches:
    from keras_port import optimizers

    update_dense = optimizers.update_dense

    def coupled(rule, rates, p, g, slots):
        return update_dense(rule, rates._replace(shrink=1.0), p, g + rates.lmbd * p, slots)

    return [(optimizers, "update_dense", coupled)]


@FAMILY.fault("gradient cap on each tensor instead of the common norm", "update", "regularised", own=True)
def separate_caps() -> Patches:
    from keras_port import optimizers

    capped = optimizers.capped

    def separate(gradients, grad_cap):
        return {name: capped({name: g}, grad_cap)[name] for name, g in gradients.items()}

    return [(optimizers, "capped", separate)]


@FAMILY.fault("label smoothing spread over K items instead of K - 1", "loss", "regularised", own=True)
def smoothing_over_all() -> Patches:
    from keras_port.losses import LogitCrossEntropy

    def per_lane(self, scores):
        share = self.smoothing / scores.count
        return (1.0 - self.smoothing) * self.nll(scores.target)[:, 0] + share * scores.total(self.nll(scores.yhat))

    return [(LogitCrossEntropy, "per_lane", per_lane)]


def log_support_as(changed: Callable[[Any], Any]) -> Patches:
    """A patch of what logq takes as the log of each item's support: ``changed(log_support)``, both (n,)."""
    from keras_port import step

    with_log_q = step.with_log_q

    def patched(model, state, batch):
        return with_log_q(model, {**state, "log_support": changed(state["log_support"])}, batch)

    return [(step, "with_log_q", patched)]


@FAMILY.fault("logq with the support as a share of all events", "loss", "logq", own=True)
def share_of_events() -> Patches:
    from keras import ops

    return log_support_as(lambda logs: logs - ops.logsumexp(logs))  # a softmax does not tell them apart, bpr-max does


@FAMILY.fault("logq with the plain support for samples too", "loss", "logq", own=True)
def plain_support() -> Patches:
    from keras_port import step

    with_log_q = step.with_log_q

    def without_alpha(model, state, batch):
        plain: Any = SimpleNamespace(settings=model.settings.replaced(sample_alpha=1.0), split=model.split)
        return with_log_q(plain, state, batch)

    return [(step, "with_log_q", without_alpha)]


@FAMILY.fault("logq subtracted from predictions too", "forward", "logq", own=True)
def predictions_corrected() -> Patches:
    from keras_port import GRU4Rec

    scores = GRU4Rec.scores

    def corrected(self, X, hidden, items=None):
        found, states = scores(self, X, hidden, items)
        support = self.support if items is None else self.support[items]
        return found - self.logq * np.log(support), states

    return [(GRU4Rec, "scores", corrected)]


@FAMILY.fault("layersize read as the units of the last layer", "initial-weights", "logq", own=True)
def last_layersize() -> Patches:
    from keras_port.settings import Settings

    return [(Settings, "input_width", property(lambda self: self.layers[-1]))]


@FAMILY.fault("one dropout mask drawn and used for good", "dropout", "dropout", own=True)
def one_mask() -> Patches:
    from keras_port.dropout import MaskStream

    draw = MaskStream.draw

    def same(self, rows, width):
        if not hasattr(self, "first"):
            self.first = draw(self, rows, width)
        return self.first[:rows]

    return [(MaskStream, "draw", same)]


@FAMILY.fault("MRR not cut off at N", "metrics", "bpr-max", own=True)
def uncut() -> Patches:
    from keras_port import evaluation

    def recall_and_mrr(rank, cut_off=20):
        return {N: (float(np.mean(rank <= N)), float(np.mean(1.0 / rank))) for N in cut_off}

    return [(evaluation, "recall_and_mrr", recall_and_mrr)]


@FAMILY.fault("lanes that ran out still train in fit", "fit", "bpr-max", own=True)
def lanes_go_on() -> Patches:
    from keras_port.batches import SessionParallel

    chunk = SessionParallel.chunk

    def filled(self, number):
        found = chunk(self, number)
        return {**found, "lanes": np.ones_like(found["lanes"])}

    return [(SessionParallel, "chunk", filled)]


@FAMILY.fault("weights saved in half precision", "weights-transfer", "bpr-max", own=True)
def half_precision() -> Patches:
    from keras_port import GRU4Rec

    save = GRU4Rec.save

    def halved(self, path):
        weights = self.get_weights()
        self.set_weights({name: w.astype(np.float16).astype(w.dtype) for name, w in weights.items()})
        save(self, path)
        self.set_weights(weights)

    return [(GRU4Rec, "save", halved)]
