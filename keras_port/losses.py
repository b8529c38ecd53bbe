"""The six losses of GRU4Rec as Keras losses.

BPR and TOP1 are of arXiv 1511.06939, section "Ranking loss"; cross-entropy over sampled outputs, TOP1-max and BPR-max
of arXiv 1706.03847, sections "Categorical cross-entropy" and "Ranking-max loss functions". Label smoothing stands in
neither. What the published program computes differs from the papers in details: the target's own column counts in BPR
and TOP1, whose regularisation of it is taken out again; the target takes no part in the weights of the two max losses,
though its 0 does when their maximum is taken; 1e-24 stands in the logarithms.

Every loss is called with

* ``y_true`` (B,): 1 for a lane that has a target, 0 for an empty lane. The target of lane i is column i, always;
* ``y_pred`` (B, N): the activated scores: B columns for the lanes' targets, then the shared negative samples.

It gives one value a lane, 0 for an empty lane. Columns of empty lanes count neither as negatives nor in any mean.
Keras' default reduction takes the mean over all B lanes: that is the mean over the M lanes with a target, times M/B,
the cost of a step.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_port.optimizers import is_off
from keras_port.settings import Settings

LOG_FLOOR = 1e-24  # inside the logarithms, as published


class Scores:
    """Views of one batch of scores, in which the losses are written.

    lanes: (B,) bool, lanes with a target. columns: (1, N) bool, scored items. count: how many these are, M + n_sample.
    diagonal: (B, N) bool, each lane's target. yhat: (B, N) activated scores. target: (B, 1) each lane's own.
    """

    def __init__(self, y_true: Any, y_pred: Any):
        B, N = y_pred.shape
        dtype = y_pred.dtype
        self.lanes = y_true > 0.5
        samples = ops.ones((N - B,), dtype="bool")
        self.columns = ops.reshape(ops.concatenate([self.lanes, samples]), (1, N))
        self.count = ops.cast(ops.sum(ops.cast(self.columns, "int32")), dtype)
        self.diagonal = ops.eye(B, N, dtype="bool")
        self.yhat = y_pred
        own = ops.where(ops.eye(B, dtype="bool"), y_pred[:, :B], ops.zeros((B, B), dtype))
        self.target = ops.sum(own, axis=1, keepdims=True)

    def total(self, values: Any) -> Any:
        """Sum of (B, N) values over the scored items: (B,)."""
        return _row_sums(ops.where(self.columns, values, ops.zeros_like(values)))

    def mean(self, values: Any) -> Any:
        """Mean of (B, N) values over the scored items: (B,)."""
        return self.total(values) / self.count

    def negatives_weights(self) -> Any:
        """Softmax over each lane's negatives, up to one factor a lane: (B, N), 0 for the target. Gradients flow."""
        negative = ops.logical_and(self.columns, ops.logical_not(self.diagonal))
        zeros = ops.zeros_like(self.yhat)
        scores = ops.where(negative, self.yhat, zeros)
        # the maximum is over the row with the target's 0 in it, so the 0 of an empty lane's column changes nothing;
        # it is part of the factor, which has no gradient
        largest = ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
        return ops.where(negative, ops.exp(scores - largest), zeros)

    def negatives_mean(self) -> Callable[[Any], Any]:
        """f(values (B, N)) -> (B,): sum_j w_j values_j, w the negatives' softmax.

        It is normalised after the sum: one division a lane instead of a row of them.
        """
        w = self.negatives_weights()
        total = _row_sums(w)
        return lambda values: _row_sums(w * values) / total


def _row_sums(values: Any) -> Any:
    """(B, N) -> (B,). As a product with ones, which runs in the matrix library; XLA makes a slower tree of a sum."""
    ones = ops.ones((values.shape[1], 1), values.dtype)
    return ops.reshape(values @ ones, (-1,))  # ops.matmul rounds float64 to float32 on PyTorch


class SessionLoss(keras.losses.Loss):
    """A loss over (lane, scored item) pairs. A subclass gives ``per_lane(scores) -> (B,)``."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        scores = Scores(y_true, y_pred)
        values = self.per_lane(scores)
        return ops.where(scores.lanes, values, ops.zeros_like(values))


class _Smoothed(SessionLoss):
    """Label smoothing s: (1 - s*K/(K-1)) * nll(target) + s/(K-1) * sum_j nll_j, K = M + n_sample."""

    def __init__(self, smoothing: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.smoothing = smoothing

    def per_lane(self, scores: Scores) -> Any:
        target = self.nll(scores.target)[:, 0]
        if is_off(self.smoothing):
            return target
        share = self.smoothing / (scores.count - 1.0)
        return (1.0 - share * scores.count) * target + share * scores.total(self.nll(scores.yhat))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "smoothing": self.smoothing}


@keras.saving.register_keras_serializable(package="keras_port")
class CrossEntropy(_Smoothed):
    """-log(yhat_target + 1e-24), for softmax scores."""

    def nll(self, yhat: Any) -> Any:
        return -ops.log(yhat + LOG_FLOOR)


@keras.saving.register_keras_serializable(package="keras_port")
class LogitCrossEntropy(_Smoothed):
    """The target's softmax_logit, which is its negative log-likelihood already."""

    def nll(self, yhat: Any) -> Any:
        return yhat


@keras.saving.register_keras_serializable(package="keras_port")
class BPR(SessionLoss):
    """mean_j -log sigmoid(yhat_target - yhat_j), the target's own column included."""

    def per_lane(self, scores: Scores) -> Any:
        return scores.mean(ops.softplus(scores.yhat - scores.target))


@keras.saving.register_keras_serializable(package="keras_port")
class TOP1(SessionLoss):
    """mean_j [sigmoid(yhat_j - yhat_target) + sigmoid(yhat_j^2)] - sigmoid(yhat_target^2) / (M + n_sample)."""

    def per_lane(self, scores: Scores) -> Any:
        target = scores.target[:, 0]
        return scores.mean(_top1_terms(scores)) - ops.sigmoid(target * target) / scores.count


@keras.saving.register_keras_serializable(package="keras_port")
class TOP1Max(SessionLoss):
    """sum_j w_j [sigmoid(yhat_j - yhat_target) + sigmoid(yhat_j^2)], w the negatives' softmax."""

    def per_lane(self, scores: Scores) -> Any:
        return scores.negatives_mean()(_top1_terms(scores))


@keras.saving.register_keras_serializable(package="keras_port")
class BPRMax(SessionLoss):
    """-log(sum_j w_j sigmoid(yhat_target - yhat_j) + 1e-24) + bpreg * sum_j w_j yhat_j^2, w the same."""

    def __init__(self, bpreg: Any = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.bpreg = bpreg

    def per_lane(self, scores: Scores) -> Any:
        mean = scores.negatives_mean()
        likelihood = mean(ops.sigmoid(scores.target - scores.yhat))
        return -ops.log(likelihood + LOG_FLOOR) + self.bpreg * mean(scores.yhat * scores.yhat)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bpreg": self.bpreg}


def _top1_terms(scores: Scores) -> Any:
    return ops.sigmoid(scores.yhat - scores.target) + ops.sigmoid(scores.yhat * scores.yhat)


def from_settings(settings: Settings, smoothing: Any, bpreg: Any) -> SessionLoss:
    """The Keras loss that the settings name, reduced to the sum over the lanes, with these numbers in it."""
    options = {"dtype": settings.dtype, "reduction": "sum"}  # Keras' mean rounds to float32 outside TensorFlow
    return {
        "cross-entropy": lambda: CrossEntropy(smoothing, **options),
        "xe_logit": lambda: LogitCrossEntropy(smoothing, **options),
        "bpr": lambda: BPR(**options),
        "top1": lambda: TOP1(**options),
        "top1-max": lambda: TOP1Max(**options),
        "bpr-max": lambda: BPRMax(bpreg, **options),
    }[settings.loss]()
