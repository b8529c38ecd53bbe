"""The six ranking losses (arXiv 1511.06939, section 3.2; arXiv 1706.03847, sections 2 to 3).

Every function takes ``yhat`` (M, N), the activated scores of the step's scored items, and ``columns``
(:class:`Columns`), and returns each lane's loss, (M,). Column i is the target of lane i; every other column is a
negative of that lane.
"""

import aesara.tensor as at


class Columns:
    """Which columns of an (M, N) score matrix are targets, negatives, or padding.

    Parameters
    ----------
    target : symbolic (M, N), 1 in column i of row i, 0 elsewhere.
    count : symbolic scalar, the number of real columns, M + n_sample.
    real : symbolic (N,), 1 for a real column, 0 for padding; None where every column is real. A graph of fixed shape
        pads its lanes when sessions run out, with copies of lane 0; padding must not count.
    tiny : the 1e-24 that keeps logarithms finite.
    """

    def __init__(self, target, count, real, tiny):
        self.target, self.count, self.real, self.tiny = target, count, real, tiny
        self.negative = self.only(1 - target)

    def only(self, x):
        """``x`` with padding set to zero."""
        return x if self.real is None else x * self.real

    def sum(self, x):
        return self.only(x).sum(axis=1)

    def mean(self, x):
        return self.sum(x) / self.count

    def targets(self, yhat):
        """Each lane's target score, (M, 1)."""
        return (yhat * self.target).sum(axis=1, keepdims=True)


def _label_smoothing(target_loss, all_losses, columns, smoothing):
    """Spread ``smoothing`` of the target's weight evenly: (1 - s*K/(K-1)) * target + s/(K-1) * sum over all K scored
    items.
    """
    K = columns.count
    return (1 - smoothing * K / (K - 1)) * target_loss + smoothing / (K - 1) * columns.sum(all_losses)


def cross_entropy(yhat, columns, smoothing=None):
    """-log(t + 1e-24), for softmax scores."""
    loss = -at.log(columns.targets(yhat)[:, 0] + columns.tiny)
    return loss if smoothing is None else _label_smoothing(loss, -at.log(yhat + columns.tiny), columns, smoothing)


def xe_logit(yhat, columns, smoothing=None):
    """t, for softmax_logit scores, which are negative log probabilities already."""
    loss = columns.targets(yhat)[:, 0]
    return loss if smoothing is None else _label_smoothing(loss, yhat, columns, smoothing)


def bpr(yhat, columns):
    """Mean over all N columns, the target's own included, of -log(sigmoid(t - yhat))."""
    return columns.mean(-at.log(at.sigmoid(columns.targets(yhat) - yhat)))


def top1(yhat, columns):
    """Mean of sigmoid(yhat - t) + sigmoid(yhat^2), less the target's own second term over the number of columns."""
    t = columns.targets(yhat)
    return (
        columns.mean(at.sigmoid(yhat - t) + at.sigmoid(at.square(yhat)))
        - at.sigmoid(at.square(t[:, 0])) / columns.count
    )


def negatives_softmax(yhat, columns):
    """Softmax over the negatives: the target's score counts as 0 in the maximum and its weight is 0. Gradients flow
    through it.
    """
    masked = yhat * columns.negative
    e = at.exp(masked - masked.max(axis=1, keepdims=True)) * columns.negative
    return e / e.sum(axis=1, keepdims=True)


def top1_max(yhat, columns):
    """Sum over negatives of w * (sigmoid(yhat - t) + sigmoid(yhat^2)) (1706.03847, eq. 6)."""
    w, t = negatives_softmax(yhat, columns), columns.targets(yhat)
    return (w * (at.sigmoid(yhat - t) + at.sigmoid(at.square(yhat)))).sum(axis=1)


def bpr_max(yhat, columns, bpreg):
    """-log(sum of w * sigmoid(t - yhat) + 1e-24) + bpreg * sum of w * yhat^2 (1706.03847, eqs. 8 and 10)."""
    w, t = negatives_softmax(yhat, columns), columns.targets(yhat)
    likelihood = (w * at.sigmoid(t - yhat)).sum(axis=1)
    return -at.log(likelihood + columns.tiny) + bpreg * (w * at.square(yhat)).sum(axis=1)


LOSSES = {
    "top1": top1,
    "bpr": bpr,
    "cross-entropy": cross_entropy,
    "xe_logit": xe_logit,
    "top1-max": top1_max,
    "bpr-max": bpr_max,
}
