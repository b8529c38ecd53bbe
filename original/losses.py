"""The six ranking losses.

top1 and bpr: arXiv 1511.06939, section "Ranking loss". cross-entropy over sampled outputs, top1-max and bpr-max: arXiv
1706.03847, sections "Categorical cross-entropy" and "Ranking-max loss functions". Label smoothing stands in neither.
Where the program of 2018 computes something else than the papers write, the function says so, and the code follows the
program.

Every function takes ``yhat`` (M, N), the activated scores of the step's scored items, and ``columns``
(:class:`Columns`), and returns each lane's loss, (M,). Column i is the target of lane i, its score is t; every other
column is a negative of that lane.
"""

from collections.abc import Callable

from original.graphs.library import Variable, tensor


class Columns:
    """Which columns of an (M, N) score matrix are targets, negatives, or padding.

    A graph of fixed shape pads its lanes when sessions run out, with copies of lane 0; padding must not count.

    Args:
        target: (M, N), 1 in column i of row i, 0 elsewhere.
        count: the number of real columns, M + n_sample; None where scores are only activated.
        real: (N,), 1 for a real column, 0 for padding; None where every column is real.
        tiny: the 1e-24 that keeps logarithms finite.
    """

    def __init__(self, target: Variable, count: Variable, real: Variable | None, tiny: Variable) -> None:
        self.target, self.count, self.real, self.tiny = target, count, real, tiny
        self.negative = self.only(1 - target)

    def only(self, x: Variable) -> Variable:
        """``x`` with padding set to zero."""
        return x if self.real is None else x * self.real

    def sum(self, x: Variable) -> Variable:
        """Each row's sum over the real columns, (M,)."""
        return self.only(x).sum(axis=1)

    def mean(self, x: Variable) -> Variable:
        """Each row's mean over the real columns, (M,)."""
        return self.sum(x) / self.count

    def targets(self, yhat: Variable) -> Variable:
        """Each lane's target score t, (M, 1)."""
        return (yhat * self.target).sum(axis=1, keepdims=True)


def _label_smoothing(target_loss: Variable, losses: Variable, columns: Columns, smoothing: Variable) -> Variable:
    """(1 - s*K/(K-1)) * target's loss + s/(K-1) * sum over all K scored items of theirs."""
    K = columns.count
    return (1 - smoothing * K / (K - 1)) * target_loss + smoothing / (K - 1) * columns.sum(losses)


def cross_entropy(yhat: Variable, columns: Columns, smoothing: Variable | None = None) -> Variable:
    """-log(t + 1e-24), for softmax scores. The 1e-24 is the program's, to keep the logarithm finite."""
    loss = -tensor.log(columns.targets(yhat)[:, 0] + columns.tiny)
    return loss if smoothing is None else _label_smoothing(loss, -tensor.log(yhat + columns.tiny), columns, smoothing)


def xe_logit(yhat: Variable, columns: Columns, smoothing: Variable | None = None) -> Variable:
    """t, for softmax_logit scores, which are negative log probabilities already."""
    loss = columns.targets(yhat)[:, 0]
    return loss if smoothing is None else _label_smoothing(loss, yhat, columns, smoothing)


def bpr(yhat: Variable, columns: Columns) -> Variable:
    """Mean of -log(sigmoid(t - yhat)), over all N columns: the target's own counts, which the paper leaves out."""
    return columns.mean(-tensor.log(tensor.sigmoid(columns.targets(yhat) - yhat)))


def top1(yhat: Variable, columns: Columns) -> Variable:
    """Mean over all N columns of sigmoid(yhat - t) + sigmoid(yhat^2), less sigmoid(t^2) / N.

    The paper sums over the negatives only. The program's mean takes the target's own column too, and what it subtracts
    is that column's second term; the first one, sigmoid(0), stays and is a constant.
    """
    t = columns.targets(yhat)
    return (
        columns.mean(tensor.sigmoid(yhat - t) + tensor.sigmoid(tensor.square(yhat)))
        - tensor.sigmoid(tensor.square(t[:, 0])) / columns.count
    )


def negatives_weights(yhat: Variable, columns: Columns) -> Variable:
    """e^yhat of each negative, (M, N): what :func:`negatives_softmax` normalises.

    The target's score counts as 0 in the row's maximum, which is subtracted first, and its weight is 0.
    """
    masked = yhat * columns.negative
    return tensor.exp(masked - masked.max(axis=1, keepdims=True)) * columns.negative


def negatives_softmax(yhat: Variable, columns: Columns) -> Variable:
    """w, the softmax over each lane's negatives, (M, N). Gradients flow through it."""
    weights = negatives_weights(yhat, columns)
    return weights / weights.sum(axis=1, keepdims=True)


def top1_max(yhat: Variable, columns: Columns) -> Variable:
    """Sum over negatives of w * (sigmoid(yhat - t) + sigmoid(yhat^2)): "Ranking-max loss functions", TOP1-max."""
    w, t = negatives_softmax(yhat, columns), columns.targets(yhat)
    return (w * (tensor.sigmoid(yhat - t) + tensor.sigmoid(tensor.square(yhat)))).sum(axis=1)


def bpr_max(yhat: Variable, columns: Columns, bpreg: Variable) -> Variable:
    """-log(sum of w * sigmoid(t - yhat) + 1e-24) + bpreg * sum of w * yhat^2, over negatives.

    "Ranking-max loss functions", BPR-max with score regularisation; the 1e-24 is the program's.
    """
    w, t = negatives_softmax(yhat, columns), columns.targets(yhat)
    likelihood = (w * tensor.sigmoid(t - yhat)).sum(axis=1)
    return -tensor.log(likelihood + columns.tiny) + bpreg * (w * tensor.square(yhat)).sum(axis=1)


LOSSES: dict[str, Callable[..., Variable]] = {
    "top1": top1,
    "bpr": bpr,
    "cross-entropy": cross_entropy,
    "xe_logit": xe_logit,
    "top1-max": top1_max,
    "bpr-max": bpr_max,
}
