"""Faults to be put into the Keras engine, each a small patch of one of its functions or classes.

The first 29 were found in reimplementations of GRU4Rec that people use (Hidasi and Czapp, "The effect of third party
implementations on reproducibility", arXiv 2307.14956) or by use; the others are this project's own. The port has no
switch for any of them.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator
from unittest.mock import patch

import numpy as np

_SMALL = dict(layers=[6], batch_size=6, n_sample=7, n_epochs=1, learning_rate=0.1, sample_alpha=0.5)

# The small settings that the faults are tried in: each shows its fault where it would do harm.
SETTINGS: dict[str, dict[str, Any]] = {
    "bpr-max": _SMALL | dict(loss="bpr-max", final_act="elu-0.5", bpreg=0.8),
    "momentum": _SMALL | dict(loss="bpr-max", final_act="linear", momentum=0.4, n_sample=25),
    "dropout": _SMALL
    | dict(
        loss="cross-entropy", final_act="softmax", layers=[6, 5], embedding=7, dropout_p_hidden=0.3, dropout_p_embed=0.2
    ),
    "extreme": _SMALL | dict(loss="cross-entropy", final_act="softmax", sigma=11.0),
    "regularised": _SMALL | dict(loss="xe_logit", final_act="softmax_logit", smoothing=0.2, lmbd=0.05, grad_cap=0.3),
    "logq": _SMALL | dict(loss="bpr-max", final_act="linear", layers=[6, 5], embedding="layersize", logq=0.7),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong, the check that has to catch it, its setting of :data:`SETTINGS`, whether it is our own."""

    name: str
    check: str
    setting: str
    patches: Callable[[], list[tuple[Any, str, Any]]]  # (object, attribute, replacement)
    own: bool = False

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Within, engines that are built have the fault."""
        with ExitStack() as stack:
            for target, attribute, replacement in self.patches():
                stack.enter_context(patch.object(target, attribute, replacement))
            yield


_ALL: list[Fault] = []


def _fault(name: str, check: str, setting: str, own: bool = False):
    def register(patches):
        _ALL.append(Fault(name, check, setting, patches, own))
        return patches

    return register


# ---- sessions and hidden states


@_fault("hidden state not reset at a session's end while training", "forward", "bpr-max")
def _():
    from keras import ops

    from keras_port.model import SessionModel

    step = SessionModel._step
    return [(SessionModel, "_step", lambda self, state, b: step(self, state, {**b, "R": ops.zeros_like(b["R"])}))]


@_fault("reset mask only recomputed when some session ends", "batches", "bpr-max")
def _():
    from keras_port.sessions import SessionParallel

    batches = SessionParallel.batches

    def stale(self):
        R = None
        for batch in batches(self):
            R = batch.R if R is None or batch.R.any() or len(R) != len(batch.R) else R
            yield batch._replace(R=R)

    return [(SessionParallel, "batches", stale)]


@_fault("state not reset in evaluation", "ranks", "bpr-max")
def _():
    from keras_port import evaluation

    hidden_states = evaluation._hidden_states

    def carried_over(model, test, batch_size):
        # two sessions after one another read as one
        H, at = hidden_states(
            model, test._replace(offsets=np.unique(np.r_[test.offsets[::2], test.offsets[-1]])), batch_size
        )
        kept = ~np.isin(at, test.offsets)
        return H[kept], at[kept]

    return [(evaluation, "_hidden_states", carried_over)]


@_fault("epoch ends when the remaining sessions no longer fill the batch", "batches", "bpr-max")
def _():
    from keras_port import sessions

    schedule = sessions.schedule

    def cut(*arguments):
        positions = schedule(*arguments)
        return positions[(positions >= 0).all(axis=1)]

    return [(sessions, "schedule", cut)]


# ---- losses and scores


@_fault("softmax applied twice", "loss", "dropout")
def _():
    from keras_port import activations

    softmax = activations.softmax
    return [(activations, "softmax", lambda scores, columns=None: softmax(softmax(scores, columns), columns))]


@_fault("negatives sampled after the softmax", "loss", "dropout")
def _():
    from keras import ops

    from keras_port.layers import ItemScorer

    call = ItemScorer.call

    def over_all_items(self, h, Wy=None, By=None, columns=None, training=False):
        if not training:
            return call(self, h, Wy, By, columns, training)
        everything = ops.logsumexp(h @ ops.transpose(self.Wy) + ops.transpose(self.By), axis=1, keepdims=True)
        return ops.exp(h @ ops.transpose(Wy) + ops.transpose(By) - everything)

    return [(ItemScorer, "call", over_all_items)]


@_fault("bpr-max without score regularisation", "loss", "bpr-max")
def _():
    from keras_port.losses import BPRMax

    per_lane = BPRMax.per_lane

    def unregularised(self, scores):
        self.bpreg = 0.0
        return per_lane(self, scores)

    return [(BPRMax, "per_lane", unregularised)]


def _negatives_weights(weights):
    """A patch of the weights w of the negatives: ``weights(scores, negative)``, both (B, N)."""
    from keras import ops

    from keras_port.losses import _Scores

    def patched(self):
        return weights(self, ops.logical_and(self.columns, ops.logical_not(self.diagonal)))

    return [(_Scores, "negatives_softmax", patched)]


@_fault("bpr-max with plain mean instead of the softmax weights", "loss", "bpr-max")
def _():
    from keras import ops

    def plain(scores, negative):
        one = ops.cast(negative, scores.yhat.dtype)
        return one / ops.sum(one, axis=1, keepdims=True)

    return _negatives_weights(plain)


@_fault("target not masked in the negatives' softmax", "loss", "bpr-max")
def _():
    from keras_port import activations

    return _negatives_weights(lambda scores, negative: activations.softmax(scores.yhat, scores.columns))


@_fault("log without its 1e-24", "loss", "extreme")
def _():
    from keras_port import losses

    return [(losses, "LOG_FLOOR", 0.0)]


@_fault("cost not scaled by M/B", "loss", "bpr-max")
def _():
    from keras import ops

    from keras_port.model import SessionModel

    forward = SessionModel._training_forward

    def unscaled(self, rows, hidden, batch):
        cost, after = forward(self, rows, hidden, batch)
        return cost * batch["lanes"].shape[0] / ops.sum(ops.cast(batch["lanes"], cost.dtype)), after

    return [(SessionModel, "_training_forward", unscaled)]


# ---- dropout


@_fault("dropout rate used as keep rate", "dropout", "dropout")
def _():
    from keras_port.model import SessionModel

    sites = SessionModel.dropout_sites
    swapped = lambda self: [(name, width, 1.0 - retain) for name, width, retain in sites(self)]  # noqa: E731
    return [(SessionModel, "dropout_sites", swapped)]


def _without_dropout(at):
    """A patch that leaves dropout out at the site ``at(model)``."""
    from keras_port.model import SessionModel

    dropout = SessionModel._dropout

    def partial(self, batch):
        apply = dropout(self, batch)
        return lambda name, x: x if name == at(self) else apply(name, x)

    return [(SessionModel, "_dropout", partial)]


@_fault("dropout left out on the last GRU layer", "forward", "dropout")
def _():
    return _without_dropout(lambda model: f"hidden{len(model.gru_layers) - 1}")


@_fault("embedding dropout left out", "loss", "dropout")
def _():
    return _without_dropout(lambda model: "embed")


@_fault("recurrent state kept free of dropout", "forward", "dropout")
def _():
    from keras_port.layers import SessionGRU
    from keras_port.model import SessionModel

    call, forward, undropped = SessionGRU.call, SessionModel._training_forward, []

    def remembered(self, x, H):
        undropped.append(call(self, x, H))
        return undropped[-1]

    def clean(self, rows, hidden, batch):
        undropped.clear()
        return forward(self, rows, hidden, batch)[0], list(undropped)

    return [(SessionGRU, "call", remembered), (SessionModel, "_training_forward", clean)]


# ---- optimizers


@_fault("adagrad accumulator starting at 0.1", "trajectory", "bpr-max")
def _():
    from keras_port import GRU4Rec

    build = GRU4Rec.build

    def filled(self, n_items):
        build(self, n_items)
        self.set_optimizer_state({name: np.full_like(v, 0.1) for name, v in self.get_optimizer_state().items()})

    return [(GRU4Rec, "build", filled)]


@_fault("adagrad eps outside the root", "update", "bpr-max")
def _():
    from keras import ops

    from keras_port.optimizers import EPS, Adagrad, _read

    dense, rows = Adagrad.dense, Adagrad.rows

    def dense_outside(self, g, s):
        new = dense(self, g, s)[1]
        return g / (ops.sqrt(new["acc"]) + EPS), new

    def rows_outside(self, g, s, at):
        return g / (ops.sqrt(_read(s["acc"], at) + g * g) + EPS), rows(self, g, s, at)[1]

    return [(Adagrad, "dense", dense_outside), (Adagrad, "rows", rows_outside)]


@_fault("learning rate decay", "update", "bpr-max")
def _():
    from keras_port import GRU4Rec

    train_step = GRU4Rec.train_step

    def decayed(self, *arguments, **options):
        before, self.steps_done = self.get_weights(), getattr(self, "steps_done", 0)
        result = train_step(self, *arguments, **options)
        rate = 0.999**self.steps_done  # of a step without momentum: the change is proportional to the rate
        self.set_weights({name: before[name] + rate * (w - before[name]) for name, w in self.get_weights().items()})
        self.steps_done += 1
        return result

    return [(GRU4Rec, "train_step", decayed)]


@_fault("momentum ignored", "update", "momentum")
def _():
    from keras_port.optimizers import Updater

    made = Updater.__init__

    def without(self, settings):
        made(self, settings)
        self.momentum = 0.0

    return [(Updater, "__init__", without)]


@_fault("adagrad state of a repeated row: last instead of sum", "update", "momentum")
def _():
    from keras import ops

    from keras_port.optimizers import Adagrad, _read, _set

    rows = Adagrad.rows

    def last(self, g, s, at):
        after = _read(s["acc"], at) + g * g
        return rows(self, g, s, at)[0], {"acc": _set(s["acc"], at, ops.take(after, at.last, axis=0))}

    return [(Adagrad, "rows", last)]


@_fault("momentum of a repeated row: sum instead of last", "update", "momentum")
def _():
    from keras_port.optimizers import Updater, _add, _read, _set

    rows = Updater.rows

    def summed(self, table, read, g, s, at):
        new = rows(self, table, read, g, s, at)
        delta = self.lr * self.rule.rows(g, s, at)[0]
        kept = _set(s["vel"], at, self.momentum * _read(s["vel"], at))
        new[1]["vel"] = _add(kept, at, -delta)
        return new

    return [(Updater, "rows", summed)]


@_fault("repeated rows applied once", "update", "momentum")
def _():
    from keras import ops

    from keras_port.optimizers import Updater, _read, _set

    rows = Updater.rows

    def once(self, table, read, g, s, at):
        new = rows(self, table, read, g, s, at)[1]
        return _set(table, at, read + ops.cast(_read(new["vel"], at), read.dtype)), new

    return [(Updater, "rows", once)]


# ---- sampling and initial weights


def _sampler_with(**changed):
    from keras_port import train_state

    class Sampler(train_state.NegativeSampler):
        def __init__(self, support, n_sample, alpha, store, rng, state=None):
            super().__init__(support, n_sample, changed.get("alpha", alpha), store, rng, state)

    return [(train_state, "NegativeSampler", Sampler)]


@_fault("uniform instead of popularity sampling", "negatives", "bpr-max")
def _():
    return _sampler_with(alpha=0)


@_fault("sample_alpha ignored", "negatives", "bpr-max")
def _():
    return _sampler_with(alpha=1.0)


@_fault("wrong initial range", "initial-weights", "bpr-max")
def _():
    from keras_port import initial_weights

    block = initial_weights._block

    def of_joined_blocks(rng, shape, sigma, normal, dtype):
        return block(rng, shape, np.sqrt(6.0 / (shape[0] + 3 * shape[1])), normal, dtype)

    return [(initial_weights, "_block", of_joined_blocks)]


# ---- the GRU


def _gru_with(equations):
    """A patch of the GRU: ``equations(gru, v, H, sigmoid)`` gives the new state; v = x·Wx + Bh (M, 3*L), H (M, L)."""
    from keras import ops

    from keras_port.layers import SessionGRU

    def call(self, x, H):
        return equations(self, (x if self.Wx is None else x @ self.Wx) + self.Bh, H, ops.sigmoid)

    return [(SessionGRU, "call", call)]


@_fault("gates' order swapped", "forward", "bpr-max")
def _():
    def swapped(gru, v, H, sigmoid):
        gates = sigmoid(v[:, gru.units :] + H @ gru.Wrz)
        z, r = gates[:, : gru.units], gates[:, gru.units :]
        return (1.0 - z) * H + z * gru.activation((H * r) @ gru.Wh + v[:, : gru.units])

    return _gru_with(swapped)


@_fault("reset gate applied after the matrix product (cuDNN)", "forward", "bpr-max")
def _():
    def reset_after(gru, v, H, sigmoid):
        gates = sigmoid(v[:, gru.units :] + H @ gru.Wrz)
        r, z = gates[:, : gru.units], gates[:, gru.units :]
        return (1.0 - z) * H + z * gru.activation(r * (H @ gru.Wh) + v[:, : gru.units])

    return _gru_with(reset_after)


# ---- evaluation


@_fault("unknown test items kept as item 0", "ranks", "bpr-max")
def _():
    from keras_port import evaluation

    test_sessions = evaluation.test_sessions

    def kept(gru, test_data, session_key=None, item_key=None, time_key=None):
        key = item_key or gru.item_key
        known = test_data[key].isin(gru.itemidmap.index)
        return test_sessions(gru, test_data.assign(**{key: test_data[key].where(known, gru.itemidmap.index[0])}))

    return [(evaluation, "test_sessions", kept)]


@_fault("ranks by argsort, which hides ties", "ranks", "bpr-max")
def _():
    from keras_port import evaluation

    return [(evaluation, "_rank", lambda greater, equal, mode: greater + 1)]


# ---- this project's own


@_fault("gradient not flowing through the negatives' softmax", "gradients", "bpr-max", own=True)
def _():
    from keras import ops

    from keras_port.losses import _Scores

    softmax = _Scores.negatives_softmax
    return [(_Scores, "negatives_softmax", lambda self: ops.stop_gradient(softmax(self)))]


@_fault("L2 term added to the gradient instead of the step", "update", "regularised", own=True)
def _():
    from keras_port.optimizers import Updater

    dense = Updater.dense

    def coupled(self, p, g, s):
        shrink, self.shrink = self.shrink, 1.0
        try:
            return dense(self, p, g + self.lmbd * p, s)
        finally:
            self.shrink = shrink

    return [(Updater, "dense", coupled)]


@_fault("gradient cap on each tensor instead of the common norm", "update", "regularised", own=True)
def _():
    from keras_port.optimizers import Updater

    cap = Updater.cap
    separate = lambda self, gradients: {k: cap(self, {k: g})[k] for k, g in gradients.items()}  # noqa: E731
    return [(Updater, "cap", separate)]


@_fault("label smoothing spread over K items instead of K - 1", "loss", "regularised", own=True)
def _():
    from keras_port.losses import LogitCrossEntropy

    def per_lane(self, scores):
        share = self.smoothing / scores.count
        return (1.0 - self.smoothing) * self.nll(scores.target)[:, 0] + share * scores.total(self.nll(scores.yhat))

    return [(LogitCrossEntropy, "per_lane", per_lane)]


def _log_support_as(changed):
    """A patch of what logq takes as the log of each item's support: ``changed(log_support)``, both (n,)."""
    from keras_port.model import SessionModel

    with_log_q = SessionModel._with_log_q

    def patched(self, state, batch):
        return with_log_q(self, {**state, "log_support": changed(state["log_support"])}, batch)

    return [(SessionModel, "_with_log_q", patched)]


@_fault("logq with the support as a share of all events", "loss", "logq", own=True)
def _():
    from keras import ops

    return _log_support_as(lambda logs: logs - ops.logsumexp(logs))  # a softmax does not tell them apart, bpr-max does


@_fault("logq with the plain support for samples too", "loss", "logq", own=True)
def _():
    from keras_port.model import SessionModel

    with_log_q = SessionModel._with_log_q

    def without_alpha(self, state, batch):
        alpha, self.settings.sample_alpha = self.settings.sample_alpha, 1.0
        try:
            return with_log_q(self, state, batch)
        finally:
            self.settings.sample_alpha = alpha

    return [(SessionModel, "_with_log_q", without_alpha)]


@_fault("logq subtracted from predictions too", "forward", "logq", own=True)
def _():
    from keras_port import GRU4Rec

    scores = GRU4Rec.scores

    def corrected(self, X, hidden, items=None):
        found, after = scores(self, X, hidden, items)
        support = self.support if items is None else self.support[items]
        return found - self.logq * np.log(support), after

    return [(GRU4Rec, "scores", corrected)]


@_fault("layersize read as the units of the last layer", "initial-weights", "logq", own=True)
def _():
    from keras_port.settings import Settings

    return [(Settings, "input_width", property(lambda self: self.layers[-1]))]


@_fault("one dropout mask drawn and used for good", "dropout", "dropout", own=True)
def _():
    from keras_port.random_streams import MaskStream

    draw = MaskStream.draw

    def same(self, rows, width):
        if not hasattr(self, "first"):
            self.first = draw(self, rows, width)
        return self.first[:rows]

    return [(MaskStream, "draw", same)]


@_fault("MRR not cut off at N", "metrics", "bpr-max", own=True)
def _():
    from keras_port import evaluation

    def uncut(rank, cut_off=20):
        return {N: (float(np.mean(rank <= N)), float(np.mean(1.0 / rank))) for N in cut_off}

    return [(evaluation, "recall_and_mrr", uncut)]


@_fault("lanes that ran out still train in fit", "training", "bpr-max", own=True)
def _():
    from keras_port.sessions import SessionParallel

    chunk = SessionParallel.__getitem__

    def filled(self, index):
        found = chunk(self, index)
        return {**found, "lanes": np.ones_like(found["lanes"])}

    return [(SessionParallel, "__getitem__", filled)]


@_fault("weights saved in half precision", "weights-transfer", "bpr-max", own=True)
def _():
    from keras_port import GRU4Rec

    save = GRU4Rec.save

    def halved(self, path):
        weights = self.get_weights()
        self.set_weights({name: w.astype(np.float16).astype(w.dtype) for name, w in weights.items()})
        save(self, path)
        self.set_weights(weights)

    return [(GRU4Rec, "save", halved)]


FAULTS = tuple(_ALL)
