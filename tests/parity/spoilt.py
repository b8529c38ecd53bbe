"""The NumPy example with one fault each, and an evaluation for it: what the harness must tell from the real one."""

import numpy as np
from numpy_gru4rec import GRU4Rec

from gru4rec.engines import EngineSpec
from parity.checks.ranking import NOISE

PARAMS = dict(
    loss="cross-entropy", final_act="softmax", layers=[5], batch_size=6, n_sample=4, n_epochs=1, learning_rate=0.05
)  # fmt: skip


class BiasesTooFar(GRU4Rec):
    """Its update of the biases is a thousandth too large."""

    def train_step(self, *arguments, **options):
        before = self.get_weights()["By"]
        result = super().train_step(*arguments, **options)
        self.set_weights({"By": before + 1.001 * (self.get_weights()["By"] - before)})
        return result


class Evaluation:
    """Ranks by the definitions, one event at a time. hides_ties: as a sort does. uncut: MRR is not cut off at N."""

    def __init__(self, hides_ties=False, uncut=False, one_mode=False):
        self.hides_ties, self.uncut, self.one_mode = hides_ties, uncut, one_mode

    def ranks(self, engine, test, items=None, mode="conservative", batch_size=100):
        return {"rank": _Column(ranks_of(engine, test, items, "standard" if self.hides_ties else mode))}

    def evaluate_gpu(self, engine, test, items=None, cut_off=(20,), mode="conservative", batch_size=100):
        rank = ranks_of(engine, test, items, "conservative" if self.one_mode else mode)
        return {N: (np.mean(rank <= N), np.mean((self.uncut | (rank <= N)) / rank)) for N in cut_off}


class _Column(np.ndarray):
    def __new__(cls, values):
        return values.view(cls)

    def to_numpy(self):
        return np.asarray(self)


def ranks_of(engine, test, items, mode, rng=np.random.RandomState(0)):
    known = test[test["ItemId"].isin(engine.itemidmap.index)].sort_values(["SessionId", "Time", "ItemId"])
    listed = range(engine.n_items) if items is None else engine.itemidmap[items]
    found = []
    for _, session in known.groupby("SessionId"):
        indices, hidden = engine.itemidmap[session["ItemId"]].tolist(), [np.zeros((1, engine.L))]
        for at, target in zip(indices, indices[1:]):
            scores, hidden = engine.scores(np.array([at]), hidden)
            if mode == "tiebreaking":
                scores = scores + NOISE * rng.rand(*scores.shape)
            own, others = scores[0, target], [scores[0, i] for i in listed]
            above, level = sum(o > own for o in others), sum(o == own for o in others)
            rank = {"conservative": above + level, "median": above + 0.5 * (level - 1) + 1}.get(mode, above + 1)
            found.append(max(rank, 1))
    return np.array(found, float)


def spec(cls, name=None, evaluation=None, **members):
    """An engine spec of ``cls`` with some members replaced."""
    made = type(name or cls.__name__, (cls,), members) if members else cls
    return EngineSpec(name or cls.__name__, made, {}, evaluation or Evaluation())


class InFit(GRU4Rec):
    """A base of engines whose faults are in ``fit`` alone."""

    fitting = False

    def fit(self, *arguments, **options):
        self.fitting = True
        try:
            return super().fit(*arguments, **options)
        finally:
            self.fitting = False


class HalvesByInFit(InFit):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        before = self.W["By"].copy()
        step = super().train_step(X, Y, R, masks, gradients)
        if self.fitting:
            self.W["By"] = before + 0.5 * (self.W["By"] - before)
        return step


class NoResetInFit(InFit):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        return super().train_step(X, Y, np.zeros_like(R) if self.fitting else R, masks, gradients)


class HalvesByWithoutGradients(GRU4Rec):
    """The program that ``fit`` runs is another one, and wrong; the one with gradients is right."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        before = self.W["By"].copy()
        step = super().train_step(X, Y, R, masks, gradients)
        if not gradients:
            self.W["By"] = before + 0.5 * (self.W["By"] - before)
        return step


class WrongRow(GRU4Rec):
    """One row of the largest tensor moves a thousandth too far."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        before = self.W["Wy"].copy()
        step = super().train_step(X, Y, R, masks, gradients)
        row = int(Y[-1])
        self.W["Wy"][row] = before[row] + 1.001 * (self.W["Wy"][row] - before[row])
        return step


class MovesUnread(GRU4Rec):
    """An item that the step did not read moves by a rounding."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        step = super().train_step(X, Y, R, masks, gradients)
        unread = np.setdiff1d(np.arange(self.n_items), np.r_[X, Y])
        if len(unread):
            self.W["Wy"][unread[0]] *= 1 + 4 * np.finfo(float).eps
        return step


class SecondEpoch(GRU4Rec):
    """Its second epoch begins with the sessions reversed."""

    epochs = 0

    def batches(self):
        self.epochs += 1
        if self.epochs == 2:
            self.sessions = self.sessions[::-1]
        return super().batches()


class SortsTheFrame(GRU4Rec):
    def prepare(self, data, sample_store=10_000_000):
        super().prepare(data.copy(), sample_store)
        data.sort_values(["SessionId", "Time"], inplace=True)


class NegativeZero(GRU4Rec):
    def build(self, n_items):
        super().build(n_items)
        self.W["Bh0"] = -self.W["Bh0"]


class OtherType(GRU4Rec):
    def get_weights(self):
        return {name: w.astype(np.longdouble) for name, w in super().get_weights().items()}


class CostIsNaN(GRU4Rec):
    done = 0

    def train_step(self, X, Y, R, masks=None, gradients=False):
        self.done += 1
        step = super().train_step(X, Y, R, masks, gradients)
        return step._replace(cost=np.nan) if self.done > 1 else step


class NoEvaluation(GRU4Rec):
    pass


class NoGradients(GRU4Rec):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        if gradients:
            raise NotImplementedError("gradients are not given")
        return super().train_step(X, Y, R, masks, gradients)


class BreaksInScores(GRU4Rec):
    def scores(self, X, hidden, items=slice(None)):
        raise ZeroDivisionError("in scores")


class SavesNothing(GRU4Rec):
    """A file that holds the weights of nobody."""
