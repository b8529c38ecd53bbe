"""Losses and scores."""

from collections.abc import Callable
from typing import Any

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("softmax applied twice", "loss", "dropout")
def softmax_twice() -> Patches:
    from keras_port import activations

    softmax = activations.softmax
    return [(activations, "softmax", lambda scores, columns=None: softmax(softmax(scores, columns), columns))]


@FAMILY.fault("negatives sampled after the softmax", "loss", "dropout")
def softmax_over_all() -> Patches:
    from keras import ops

    from keras_port.layers import ItemScorer

    call = ItemScorer.call

    def over_all_items(self, h, Wy=None, By=None, columns=None, training=False):
        if not training:
            return call(self, h, Wy, By, columns, training)
        everything = ops.logsumexp(h @ ops.transpose(self.Wy) + ops.transpose(self.By), axis=1, keepdims=True)
        return ops.exp(h @ ops.transpose(Wy) + ops.transpose(By) - everything)

    return [(ItemScorer, "call", over_all_items)]


@FAMILY.fault("bpr-max without score regularisation", "loss", "bpr-max")
def unregularised() -> Patches:
    from keras_port.losses import BPRMax

    per_lane = BPRMax.per_lane

    def without(self, scores):
        self.bpreg = 0.0
        return per_lane(self, scores)

    return [(BPRMax, "per_lane", without)]


def negatives_weights(weights: Callable[[Any, Any], Any]) -> Patches:
    """A patch of the weights w of the negatives: ``weights(scores, negative)``, both (B, N)."""
    from keras import ops

    from keras_port.losses import Scores

    def patched(self):
        return weights(self, ops.logical_and(self.columns, ops.logical_not(self.diagonal)))

    return [(Scores, "negatives_weights", patched)]


@FAMILY.fault("bpr-max with plain mean instead of the softmax weights", "loss", "bpr-max")
def plain_mean() -> Patches:
    from keras import ops

    def plain(scores, negative):
        one = ops.cast(negative, scores.yhat.dtype)
        return one / ops.sum(one, axis=1, keepdims=True)

    return negatives_weights(plain)


@FAMILY.fault("target not masked in the negatives' softmax", "loss", "bpr-max")
def target_in_weights() -> Patches:
    from keras_port import activations

    return negatives_weights(lambda scores, negative: activations.softmax(scores.yhat, scores.columns))


@FAMILY.fault("log without its 1e-24", "loss", "extreme")
def no_floor() -> Patches:
    from keras_port import losses

    return [(losses, "LOG_FLOOR", 0.0)]


@FAMILY.fault("cost not scaled by M/B", "loss", "bpr-max")
def unscaled() -> Patches:
    from keras import ops

    from keras_port.model import SessionModel

    training_cost = SessionModel.training_cost

    def over_lanes(self, rows, hidden, batch):
        cost, hidden = training_cost(self, rows, hidden, batch)
        return cost * batch["lanes"].shape[0] / ops.sum(ops.cast(batch["lanes"], cost.dtype)), hidden

    return [(SessionModel, "training_cost", over_lanes)]
