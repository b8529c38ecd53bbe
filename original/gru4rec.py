"""GRU4Rec: session-based recommendation with a recurrent network.

B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk: Session-based Recommendations with Recurrent Neural Networks (arXiv
1511.06939); B. Hidasi, A. Karatzoglou: Recurrent Neural Networks with Top-k Gains for Session-based Recommendations
(arXiv 1706.03847).
"""

import inspect
import logging
import math
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from original import backend as backends
from original import settings, storage
from original.dropout import DropoutMasks
from original.network import Network, dropout_sites, row_tensors, weight_shapes
from original.padding import Padding
from original.sampling import NegativeSampler
from original.sessions import Batch, Sessions, check_frame, item_indices, item_map, parallel_batches

log = logging.getLogger(__name__)

__all__ = ["GRU4Rec", "Batch", "Step", "Progress"]


class Step(NamedTuple):
    """What one training step gives back."""

    cost: float  # mean loss over the lanes, times M / batch_size
    gradients: dict | None  # by weight name, before grad_cap; per occurrence for row tensors


class Progress(NamedTuple):
    """Where ``fit`` stands."""

    epoch: int  # from 0
    step: int  # steps done in this epoch
    events: int  # events trained on in this epoch
    total_events: int  # events of an epoch
    loss: float  # mean cost of this epoch's steps so far, weighted by their lanes


def _loss(costs, lanes):
    """Mean of the steps' costs, weighted by their lanes; NaN where there was no step."""
    return float(np.average(costs, weights=lanes)) if costs else math.nan


class GRU4Rec:
    """GRU4Rec v2 (2018-06-08).

    Parameters
    ----------
    loss : top1, bpr, cross-entropy, xe_logit, top1-max or bpr-max. cross-entropy is meant with softmax, xe_logit with
    softmax_logit.
    final_act, hidden_act : linear, relu, tanh, leaky-<X>, elu-<X>, selu-<X>-<Y>; final_act also softmax, softmax_logit.
    layers : units of each GRU layer.
    n_epochs, batch_size : epochs of ``fit``; sessions trained side by side (lanes).
    dropout_p_hidden, dropout_p_embed : share of a layer's output, of the embedding, that is dropped.
    learning_rate, momentum, lmbd : step size, momentum, L2 regularisation.
    embedding : units of a separate item embedding, 0 for none, 'layersize' for ``layers[0]``;
        ``constrained_embedding=True`` uses the output weights as embedding, and wins over it.
    n_sample, sample_alpha : negative samples a step besides the other lanes' targets, drawn with probability
    support**sample_alpha.
    smoothing : label smoothing of cross-entropy and xe_logit.
    adapt, adapt_params : None (SGD), adagrad, rmsprop [decay], adadelta [decay], adam [b1, b2].
    grad_cap : cap on the norm of the gradient, 0 for none.
    bpreg : weight of bpr-max's score regularisation.
    sigma, init_as_normal : range, or standard deviation, of the initial weights; 0 for sqrt(6/(rows+cols)).
    train_random_order, time_sort : sessions in random order, or by their first timestamp, or (neither) by session id.
    session_key, item_key, time_key : column names.
    logq : how much of log P is subtracted from the scores, before ``final_act``, while training, 0 for none of it; P
        is the support of a target's item, support**sample_alpha of a sample (X. Yi et al.: Sampling-Bias-Corrected
        Neural Modeling for Large Corpus Item Recommendations, RecSys 2019).
    dtype, seed, dropout_seed : float32 or float64; of the NumPy stream (weights, samples, order); of the dropout
    stream.
    backend, device : 'c' (compiled C, on the CPU) or 'jax' (XLA; 'auto' takes a GPU if JAX sees one).
    """

    def __init__(
        self,
        loss="bpr-max",
        final_act="linear",
        hidden_act="tanh",
        layers=[100],
        n_epochs=10,
        batch_size=32,
        dropout_p_hidden=0.0,
        dropout_p_embed=0.0,
        learning_rate=0.1,
        momentum=0.0,
        lmbd=0.0,
        embedding=0,
        n_sample=2048,
        sample_alpha=0.75,
        smoothing=0.0,
        constrained_embedding=False,
        adapt="adagrad",
        adapt_params=[],
        grad_cap=0.0,
        bpreg=1.0,
        sigma=0.0,
        init_as_normal=False,
        train_random_order=False,
        time_sort=True,
        session_key="SessionId",
        item_key="ItemId",
        time_key="Time",
        *,
        logq=0.0,
        dtype="float32",
        seed=42,
        dropout_seed=12345,
        backend="c",
        device="auto",
    ):
        for name, value in list(locals().items()):
            if name != "self":
                setattr(
                    self,
                    name,
                    list(value) if name in settings.LIST_OPTIONS and isinstance(value, (list, tuple)) else value,
                )
        settings.check(self)
        self.error_during_train = False
        self.epochs_done = 0
        self.itemidmap = None
        self.support = None
        self._network = None
        self._sessions = None

    def get_params(self):
        """Every constructor option by name, in order."""
        return {name: getattr(self, name) for name in settings.RULES}

    def set_params(self, **params):
        """Set options by name. Strings are read: lists as ``100/50``, booleans as True, 1, False, 0. An unknown name is
        a ValueError.
        """
        before, options = self.get_params(), inspect.signature(GRU4Rec).parameters
        for name, value in params.items():
            if name not in before:
                raise ValueError(f"{name!r} is no option; accepted are {', '.join(before)}")
        try:
            for name, value in params.items():
                if isinstance(value, str):
                    value = settings.from_string(name, value, options[name].default)
                setattr(self, name, value)
            settings.check(self)
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
        return self

    # ---- initial state

    @property
    def n_items(self):
        return self._built().n_items

    def _built(self):
        if self._network is None:
            raise RuntimeError("the model has no weights yet: call fit, prepare, build or load first")
        return self._network

    def _block(self, rows, cols, sigma=None):
        """A block of initial weights, float64."""
        sigma = self.sigma or sigma or math.sqrt(6 / (rows + cols))
        if self.init_as_normal:
            return self._stream.randn(rows, cols) * sigma
        block = self._stream.rand(rows, cols)
        block *= sigma
        block *= 2
        block -= sigma
        return block

    def build(self, n_items):
        """Draw the initial weights for ``n_items`` items; clear optimizer and hidden states. Restarts both random
        streams.
        """
        settings.check(self)
        self._stream = np.random.RandomState(self.seed)
        weights = {}
        for name, blocks in weight_shapes(self, n_items).items():
            if name.startswith("B"):
                weights[name] = np.zeros(blocks[0], self.dtype)
            else:
                weights[name] = np.hstack([self._block(*shape).astype(self.dtype) for shape in blocks])
        self._install(weights)
        self.epochs_done = 0

    def _install(self, weights, masks=None):
        """Make a network of ``weights``; ``masks``, if given, is the dropout stream that goes on."""
        self._backend = backends.make(self.backend, self.dtype, self.device)
        self._network = Network(self, self._backend, weights)
        self._padding = (
            Padding(self.batch_size, self._network.n_items, self.dtype) if self._backend.fixed_shapes else None
        )
        self._masks = masks or DropoutMasks(self.dropout_sites(), self.dropout_seed, self.dtype, backends.c_mode())
        self._lanes = self.batch_size
        self._steps, self._predictions = {}, {}
        self.reset_sessions()

    def _extend(self, new_items):
        """Give the item tensors of a trained model rows for ``new_items`` more items (retraining)."""
        weights = self.get_weights()
        for name in row_tensors(self):
            rows, cols = weights[name].shape
            new = np.zeros((new_items, cols))
            if name != "By":
                new = self._block(new_items, cols, math.sqrt(6 / (rows + cols + new_items)))
            weights[name] = np.vstack([weights[name], new])
        return weights

    def prepare(self, data, sample_store=10_000_000, retrain=False):
        """All that ``fit`` does before its first step: item map, session order, weights, first store of negative
        samples.
        """
        settings.check(self)
        check_frame(data, self.session_key, self.item_key, self.time_key)
        if not isinstance(sample_store, (int, np.integer)) or sample_store < 0:
            raise ValueError(f"sample_store={sample_store!r}: accepted is a whole number, 0 for no store")
        n_sessions = data[self.session_key].nunique()
        if n_sessions < self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} lanes, but the data has only {n_sessions} sessions; "
                f"accepted is at most that"
            )
        if data[self.session_key].duplicated().sum() == 0:
            raise ValueError(
                f"data: every one of the {n_sessions} sessions has a single event; there is nothing to predict"
            )
        if retrain:
            self._built()
            new = pd.Index(data[self.item_key].unique()).difference(self.itemidmap.index, sort=False)
            self._install(self._extend(len(new)) if len(new) else self.get_weights(), self._masks)
            ids = self.itemidmap.index.append(new)
            self.itemidmap = pd.Series(np.arange(len(ids)), index=ids.rename(self.item_key), name="ItemIdx")
            self.epochs_done = 0
        else:
            self.itemidmap = item_map(data, self.item_key)
            self.build(len(self.itemidmap))
        self._read(data)
        self._sample_store = int(sample_store)
        self._sampler = self._new_sampler(sample_store)

    def _read(self, data):
        self._sessions = Sessions(data, self.itemidmap, self.session_key, self.item_key, self.time_key)
        self.support = np.bincount(self._sessions.items, minlength=len(self.itemidmap))

    def _new_sampler(self, sample_store):
        if not self.n_sample:
            return None
        return NegativeSampler(self.support, self.sample_alpha, self.n_sample, sample_store, self._stream)

    # ---- training

    def batches(self):
        """The batches of the next epoch over the prepared data, samples included, drawn from the model's stream."""
        if self._sessions is None:
            raise RuntimeError("the model has no data yet: call fit or prepare first")
        if self.train_random_order:
            order = self._stream.permutation(len(self._sessions))
        else:
            order = self._sessions.by_time if self.time_sort else np.arange(len(self._sessions))
        return parallel_batches(self._sessions, order, self.batch_size, self.n_sample, self._sampler)

    def dropout_sites(self):
        """(name, width, retain probability) of each dropout site in graph order: ``embed``, then ``hidden0``,
        ``hidden1``, ...
        """
        return dropout_sites(self)

    def draw_masks(self, M):
        """The next masks of the dropout stream: one (M, width) bool array a site, true = kept."""
        return [np.asarray(mask) > 0 for mask in self._masks(M)]

    def _compiled_step(self, gradients=False):
        if gradients not in self._steps:
            self._steps[gradients] = self._built().training_step(gradients, self.support)
        return self._steps[gradients]

    def _inputs(self, X, Y, R, masks, lanes):
        """The inputs of the compiled step: as they are, or filled up to the graph's fixed shape."""
        R = R.astype(self.dtype)
        return self._padding(X, Y, R, masks, lanes) if self._padding else [X, Y, R, *masks]

    def train_step(self, X, Y, R, masks=None, gradients=False):
        """One training step from the present weights, optimizer state and hidden state, all of which it updates.

        Parameters
        ----------
        X : (M,) item indices; Y : (M + n_sample,) item indices, targets then samples; R : (M,) true where a session
        ends.
        masks : one (M, width) array a dropout site, true = kept; None draws them from the model's stream.
        gradients : also return the gradients (another graph is compiled for that).

        The hidden state must have M rows (see ``set_hidden``). Raises ValueError for other lengths, RuntimeError where
        ``logq`` > 0 lacks the items' support.
        """
        self._built()
        if self.logq > 0 and (self.support is None or len(self.support) != self.n_items):
            raise RuntimeError(
                f"logq={self.logq} needs the support of the {self.n_items} items, and the model has no data yet: "
                f"call fit or prepare first, or set logq=0"
            )
        X, Y, R = np.asarray(X, np.int32), np.asarray(Y, np.int32), np.asarray(R)
        M, lanes = len(X), self._lanes
        if not 1 <= M <= self.batch_size or M != lanes:
            raise ValueError(
                f"X has {M} lanes, the hidden state {lanes}, batch_size is {self.batch_size}: accepted "
                f"is the same number"
            )
        if len(Y) != M + self.n_sample or len(R) != M:
            raise ValueError(
                f"len(Y)={len(Y)}, len(R)={len(R)}: accepted is {M + self.n_sample} (lanes + n_sample) and {M}"
            )
        for name, index in (("X", X), ("Y", Y)):
            if index.min() < 0 or index.max() >= self.n_items:
                raise ValueError(
                    f"{name} holds {index.min()} to {index.max()}: accepted are item indices 0 to {self.n_items - 1}"
                )
        sites = self.dropout_sites()
        if masks is None:
            masks = self._masks(M)
        elif [np.shape(mask) for mask in masks] != [(M, width) for _, width, _ in sites]:
            raise ValueError(
                f"masks of shapes {[np.shape(mask) for mask in masks]}: accepted is "
                f"{[(M, width) for _, width, _ in sites]}"
            )
        inputs = self._inputs(X, Y, R, [np.ascontiguousarray(mask, self.dtype) for mask in masks], np.arange(M))
        function, names = self._compiled_step(gradients)
        if not gradients:
            return Step(float(function([inputs])[0]), None)
        cost, *values = function(*inputs)
        return Step(float(cost), self._real_gradients(dict(zip(names, values)), M))

    def _real_gradients(self, gradients, M):
        """Gradients as plain arrays, those of padding rows left out."""
        gradients = {name: np.array(value) for name, value in gradients.items()}
        B = self.batch_size
        if self._padding and M < B:
            for name in row_tensors(self):
                starts = [0, B] if name == "Wy" and self.constrained_embedding else [0]
                padding = np.concatenate([np.arange(start + M, start + B) for start in starts])
                gradients[name] = np.delete(gradients[name], padding, axis=0)
        return gradients

    def fit(self, data, sample_store=10_000_000, retrain=False, *, resume=False, on_step=None, on_epoch_end=None):
        """Train for ``n_epochs``.

        Parameters
        ----------
        data : DataFrame with a session, an item and a time column; it is not changed.
        sample_store : how many negative samples are drawn ahead; 0 draws them step by step.
        retrain : go on from the present weights on new data; items not seen before are added, the optimizer starts
        afresh.
        resume : go on with a loaded model exactly where its training was saved, on the same data, until ``n_epochs``
        are done.
        on_step, on_epoch_end : called with a :class:`Progress` every few steps; with (epoch, loss) after each epoch.

        A cost that is not a number stops training and sets ``error_during_train``.
        """
        if resume:
            self._resume(data)
        else:
            self.prepare(data, sample_store, retrain)
        self.error_during_train = False
        total = len(self._sessions.items) - len(self._sessions)
        for epoch in range(self.epochs_done, self.n_epochs):
            loss = self._epoch(epoch, total, on_step)
            if self.error_during_train:
                return
            self.epochs_done = epoch + 1
            log.info("epoch %d, loss %.6f", epoch, loss)
            if on_epoch_end:
                on_epoch_end(epoch, loss)

    def _epoch(self, epoch, total, on_step):
        """Train one epoch; returns its loss, the steps' costs weighted by their lanes."""
        self.set_hidden([np.zeros((self.batch_size, L)) for L in self.layers])
        step, _ = self._compiled_step()
        batches, lanes = self.batches(), np.arange(self.batch_size)
        costs, weights, reported = [], [], 0
        while True:
            inputs = []
            for batch in islice(batches, self._backend.steps_a_call):
                if len(batch.lanes) < len(lanes):
                    lanes = self._remove_lanes(lanes, batch.lanes)
                inputs.append(self._inputs(batch.X, batch.Y, batch.R, self._masks(len(batch.X)), batch.lanes))
                weights.append(len(batch.X))
            if inputs:
                costs.extend(step(inputs).tolist())
            self.error_during_train = any(map(math.isnan, costs[-len(inputs) :])) if inputs else False
            over = len(inputs) < self._backend.steps_a_call or self.error_during_train
            if on_step and (over or len(costs) - reported >= 25):
                reported = len(costs)
                on_step(Progress(epoch, len(costs), sum(weights), total, _loss(costs, weights)))
            if over:
                break
        if self.error_during_train:
            log.error(
                "epoch %d: the cost of step %d is not a number, training stopped",
                epoch,
                int(np.argmax(np.isnan(costs))),
            )
        return _loss(costs, weights)

    def _remove_lanes(self, before, lanes):
        """Drop the hidden state of lanes that have ended. Where shapes are fixed every lane keeps its row, and nothing
        moves.
        """
        if not self._backend.fixed_shapes:
            kept = np.isin(before, lanes)
            self.set_hidden([H[kept] for H in self.get_hidden()])
        return lanes

    # ---- state by name

    def _get(self, variables):
        return {name: self._backend.get(variable) for name, variable in variables.items()}

    def _set(self, variables, values, what):
        for name, value in values.items():
            if name not in variables:
                raise ValueError(f"{name!r} is no {what} of this model; accepted are {', '.join(variables)}")
            shape = self._backend.get(variables[name]).shape
            if np.shape(value) != shape:
                raise ValueError(f"{what} {name!r} of shape {np.shape(value)}: accepted is {shape}")
        for name, value in values.items():
            self._backend.set(variables[name], value)

    def get_weights(self):
        """All weights by name, copies."""
        return self._get(self._built().weights)

    def set_weights(self, weights):
        """Set the named weights, leave the others. Raises ValueError for an unknown name or another shape."""
        self._set(self._built().weights, weights, "weight")

    def get_optimizer_state(self):
        """All optimizer state by ``SLOT/WEIGHT``, copies."""
        return self._get(self._built().optimizer_state)

    def set_optimizer_state(self, state):
        """Set the named optimizer state, leave the rest. Raises ValueError for an unknown name or another shape."""
        self._set(self._built().optimizer_state, state, "optimizer state")

    def get_hidden(self):
        """The training hidden state, one (M, L_k) array a layer, copies."""
        return [self._backend.get(H)[: self._lanes] for H in self._built().hidden]

    def set_hidden(self, hidden):
        """Set the training hidden state. Its number of rows is the number of lanes of the next step."""
        network = self._built()
        widths, lanes = [np.shape(H)[1:] for H in hidden], {len(H) for H in hidden}
        if widths != [(L,) for L in self.layers] or len(lanes) != 1 or not 1 <= max(lanes) <= self.batch_size:
            raise ValueError(
                f"hidden state of shapes {[np.shape(H) for H in hidden]}: accepted is one (lanes, "
                f"units) array a layer, "
                f"of {self.layers} units and up to {self.batch_size} lanes"
            )
        (self._lanes,) = lanes
        for variable, H in zip(network.hidden, hidden):
            if self._backend.fixed_shapes:
                H = np.concatenate([H, np.zeros((self.batch_size - self._lanes, np.shape(H)[1]))])
            self._backend.set(variable, H)

    # ---- prediction

    def _prediction(self, M, items):
        """(compiled function, lanes that it takes)."""
        if not self._backend.fixed_shapes:
            key, lanes, n_scored = items is None, None, None
        else:
            n_scored = None if items is None else len(items)
            fitting = [k for k in self._predictions if k[1] == n_scored and k[0] >= M]
            key = min(fitting, default=(M, n_scored))
            lanes = key[0]
        if key not in self._predictions:
            self._predictions[key] = self._built().prediction(lanes, n_scored, all_items=items is None)
        return self._predictions[key], lanes or M

    def scores(self, X, hidden, items=None):
        """Scores (M, n) of all items, or (M, len(items)) of the item indices ``items``, and the next hidden state of
        each layer.

        X : (M,) item indices; hidden : one (M, L_k) array a layer. After final_act, softmaxes as probabilities; no
        dropout.
        """
        X, M = np.asarray(X, np.int32), len(X)
        items = None if items is None else np.ascontiguousarray(items, np.int32)
        for name, index in (("X", X), ("items", X if items is None else items)):
            if len(index) == 0 or index.min() < 0 or index.max() >= self.n_items:
                raise ValueError(f"{name}: accepted are one or more item indices, 0 to {self.n_items - 1}")
        if [np.shape(H) for H in hidden] != [(M, L) for L in self.layers]:
            raise ValueError(
                f"hidden state of shapes {[np.shape(H) for H in hidden]}: accepted is {[(M, L) for L in self.layers]}"
            )
        function, lanes = self._prediction(M, items)
        inputs = [X, *(np.ascontiguousarray(H, self.dtype) for H in hidden)]
        if lanes > M:
            inputs = [np.concatenate([a, np.zeros((lanes - M, *a.shape[1:]), a.dtype)]) for a in inputs]
        scores, *states = function(*inputs, *([] if items is None else [items]))
        return scores[:M], [state[:M] for state in states]

    def reset_sessions(self):
        """Forget the sessions of earlier ``predict_next_batch`` calls: the next call starts every lane from zeros."""
        self._predicted_for, self._predict_hidden, self._predict_batch = None, None, None

    def predict_next_batch(self, session_ids, input_item_ids, predict_for_item_ids=None, batch=100):
        """Scores of the next item for ``batch`` sessions side by side.

        Parameters
        ----------
        session_ids, input_item_ids : (batch,) each lane's session and its latest item. A lane whose session differs
            from the previous call's starts from zeros; another ``batch`` starts all lanes afresh.
        predict_for_item_ids : items to score; None for all.

        Returns
        -------
        DataFrame, a row an item (its id), a column a lane. Raises ValueError for other lengths or an item not in the
        training data.
        """
        self._built()
        session_ids, input_item_ids = np.asarray(session_ids), np.asarray(input_item_ids)
        if len(session_ids) != batch or len(input_item_ids) != batch:
            raise ValueError(
                f"len(session_ids)={len(session_ids)}, len(input_item_ids)={len(input_item_ids)}: "
                f"accepted is batch={batch} of each"
            )
        X = item_indices(self.itemidmap, input_item_ids, "input_item_ids")
        if predict_for_item_ids is None:
            items, index = None, self.itemidmap.index
        else:
            items, index = (
                item_indices(self.itemidmap, predict_for_item_ids, "predict_for_item_ids"),
                predict_for_item_ids,
            )
        if self._predict_hidden is None or self._predict_batch != batch:
            self._predict_hidden = [np.zeros((batch, L), self.dtype) for L in self.layers]
            self._predict_batch = batch
        else:
            for H in self._predict_hidden:
                H[self._predicted_for != session_ids] = 0
        scores, self._predict_hidden = self.scores(X, self._predict_hidden, items)
        self._predict_hidden = [np.array(H) for H in self._predict_hidden]
        self._predicted_for = session_ids.copy()
        return pd.DataFrame(np.asarray(scores).T, index=index)

    # ---- files

    def _resume(self, data):
        """Make ready to go on with a loaded training: same items, same supports, streams and store as when it was
        saved.
        """
        self._built()
        if not hasattr(self, "_saved_store"):
            raise RuntimeError("resume=True: this model was not loaded from a file that fit had saved")
        check_frame(data, self.session_key, self.item_key, self.time_key)
        if not data[self.item_key].isin(self.itemidmap.index).all():
            raise ValueError(
                "data: its items are not those that the saved model was trained on; resume=True needs the same data"
            )
        support = np.bincount(item_indices(self.itemidmap, data[self.item_key]), minlength=len(self.itemidmap))
        if not np.array_equal(support, self.support):
            raise ValueError(
                "data: its items' supports are not those that the saved model was trained on; "
                "resume=True needs the same data"
            )
        self._read(data)
        state, pointer = self._saved_store
        if state is None:
            self._sampler = self._new_sampler(0)
        else:
            now = self._stream.get_state()
            self._stream.set_state(state)
            self._sampler = self._new_sampler(self._sample_store)
            self._sampler.pointer = pointer
            self._stream.set_state(now)
        del self._saved_store

    def _store_state(self):
        """(state of the stream before the present store was drawn, position in the store); (None, None) without a
        store.
        """
        if hasattr(self, "_saved_store"):
            return self._saved_store
        store = self._sampler is not None and self._sampler.store is not None
        return (self._sampler.state_before_store, self._sampler.pointer) if store else (None, None)

    def save(self, path):
        """Write settings, item map, weights, optimizer state and the state of training to one file, at once or not at
        all.
        """
        storage.save(self, path)

    @classmethod
    def load(cls, path):
        """A model as it was saved: it predicts, and ``fit(data, resume=True)`` goes on with its training."""
        return storage.load(cls, path)
