"""GRU4Rec: session-based recommendation with recurrent networks (Hidasi et al., arXiv 1511.06939 and 1706.03847)."""

import logging
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import pandas as pd

from keras_port import backends, evaluation, initial_weights, serving, sessions, storage
from keras_port.dwell import check_times, given_buckets
from keras_port.model import SessionModel
from keras_port.progress import ProgressReport
from keras_port.settings import Settings, parse

logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one training step gives back."""

    cost: float  # mean loss over the lanes, times M / batch_size
    gradients: dict | None  # by weight name, before grad_cap; per occurrence for row tensors


class GRU4Rec:
    """GRU4Rec v2 with the published options, in their published order, on Keras 3; further options by name.

    loss: 'top1', 'bpr', 'cross-entropy', 'xe_logit', 'top1-max' or 'bpr-max'. final_act: 'softmax' (meant for
    cross-entropy), 'softmax_logit' (for xe_logit), 'linear', 'relu', 'tanh', 'leaky-X', 'elu-X' or 'selu-X-Y';
    hidden_act: the same without the softmaxes. layers: units of each GRU layer. embedding: width of a separate item
    embedding, 0 for none, 'layersize' for that of the first layer; constrained_embedding: the output weights serve as
    embedding (wins). n_sample: negatives a step besides the other lanes' targets; sample_alpha: they are drawn with
    probability ~ support^alpha. adapt: None, 'adagrad', 'rmsprop', 'adadelta' or 'adam', adapt_params its decay rates.
    bpreg: score regularisation of bpr-max. sigma: range of the initial weights, 0 for sqrt(6/(rows+cols)).

    logq: while training, logq * log P is subtracted from a score before final_act, which undoes the favour of popular
    items in the loss (Bengio and Senécal 2008; published with GRU4Rec in 2020). P: events of the item in the training
    data for the columns of targets, the same to the power sample_alpha for those of samples. 0: off.

    dwell_time: with N > 0 the network also sees how long the session stayed at the event before the present one, in
    N buckets on a log scale (bucket 0: a session's first event): rows of a table D, zeros at first and updated as a
    dense tensor, are added to the first layer's input part. dwell_weight: with w > 0 the loss of a target that the
    session stayed at for d seconds counts (1 + w*log2(1 + d)) / c, c the mean over the training data; a session's last
    event, whose dwell is unknown, counts 1. Both need times in seconds; formulas in :mod:`keras_port.dwell`.

    dtype: 'float32' or 'float64'. seed: of the NumPy stream of weights, samples and session order. dropout_seed: of the
    MRG31k3p stream of dropout masks. steps_per_call: training steps compiled into one call; jit_compile: whether
    TensorFlow compiles by XLA, which starts later, runs much faster, and alone keeps a step's cost from growing with n.
    Neither changes a result.

    Raises ValueError for an option that is not accepted.
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
        dwell_time=0,
        dwell_weight=0.0,
        dtype="float32",
        seed=42,
        dropout_seed=12345,
        steps_per_call=32,
        jit_compile=True,
    ):
        given = locals()
        for f in fields(Settings):
            value = given[f.name]
            setattr(self, f.name, list(value) if isinstance(value, (list, tuple)) else value)
        self.steps_per_call = steps_per_call
        if isinstance(steps_per_call, bool) or not isinstance(steps_per_call, int) or steps_per_call < 1:
            raise ValueError(f"steps_per_call={steps_per_call!r}: an integer of at least 1 is accepted")
        if not isinstance(jit_compile, bool):
            raise ValueError(f"jit_compile={jit_compile!r}: True or False is accepted")
        self.jit_compile = jit_compile
        self.settings().validate()
        self.model = None
        self.itemidmap = self.support = self._dataset = None
        self.forget_predictions()

    def settings(self):
        """The present options as a :class:`~keras_port.settings.Settings`."""
        return Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})

    def set_params(self, **params):
        """Set options from text: lists as '100/50', booleans as True, 1, False or 0. Raises ValueError otherwise."""
        parsed = {name: parse(name, text) for name, text in params.items()}
        for name, value in parsed.items():
            setattr(self, name, value)

    # -- training
    # -------------------------------------------------------------------------------------------------------------

    def fit(
        self,
        data,
        sample_store=10000000,
        retrain=False,
        *,
        resume=False,
        callbacks=None,
        validation_data=None,
        on_step=None,
        on_epoch_end=None,
        verbose=0,
    ):
        """Train on a DataFrame of events for ``n_epochs`` epochs; returns Keras' ``History``.

        sample_store: negative samples drawn ahead; 0 draws them step by step. retrain: go on from the present weights
        with new data, whose unseen items are appended. resume: go on exactly where a loaded model stopped, up to
        ``n_epochs``; the data must be the same. callbacks: Keras callbacks. validation_data: DataFrame on which
        Recall@20 and MRR@20 are taken after each epoch, logged as ``val_recall@20`` and ``val_mrr@20``. on_step,
        on_epoch_end: functions called with a :class:`~keras_port.progress.Progress` after each call of many steps, and
        with (epoch, loss) after each epoch. verbose: as in ``keras.Model.fit``.

        A NaN cost stops the training and sets ``error_during_train``. Raises ValueError for data or options that do not
        fit.
        """
        if retrain and resume:
            raise ValueError("retrain=True with resume=True: one of the two is accepted")
        if resume:
            self._resume(data, sample_store)
        elif retrain:
            self._extend(data, sample_store)
        else:
            self.prepare(data, sample_store)
        if validation_data is not None:
            evaluation.test_sessions(self, validation_data)  # its faults show before the training, not an epoch later
        self.forget_predictions()
        callbacks = list(callbacks or [])
        if on_step is not None or on_epoch_end is not None:
            callbacks.append(ProgressReport(self._dataset, on_step, on_epoch_end))
        return self.model.fit(
            self._dataset,
            epochs=self.n_epochs,
            initial_epoch=self.model.train_state.epochs_done,
            callbacks=callbacks,
            validation_data=None if validation_data is None else lambda: self._validate(validation_data),
            verbose=verbose,
        )

    @property
    def error_during_train(self):
        """True when a NaN cost ended the last training."""
        return self.model is not None and self.model.error_during_train

    def _validate(self, frame):
        recall, mrr = evaluation.evaluate_gpu(self, frame, **self._columns())
        return {"recall@20": recall, "mrr@20": mrr}

    def _columns(self):
        return {"session_key": self.session_key, "item_key": self.item_key, "time_key": self.time_key}

    def _check_training_data(self, data, sample_store):
        self.settings().validate()
        if isinstance(sample_store, bool) or not isinstance(sample_store, (int, np.integer)) or sample_store < 0:
            raise ValueError(f"sample_store={sample_store!r}: an integer of at least 0 is accepted")
        sessions.check_frame(data, **self._columns())
        if self.settings().reads_times:
            check_times(data, self.time_key, "data")
        lengths = data[self.session_key].value_counts()
        if len(lengths) < self.batch_size:
            raise ValueError(f"batch_size={self.batch_size} is more than the {len(lengths)} sessions of the data")
        if lengths.iloc[0] < 2:
            raise ValueError("every session of the data has one event only: there is no next item to learn")

    def prepare(self, data, sample_store=10000000):
        """All that ``fit`` does before its first step: item map, session order, weights, first store of samples."""
        self._check_training_data(data, sample_store)
        itemidmap = sessions.item_map(data, self.item_key)
        self.build(len(itemidmap))
        self._name_items(itemidmap.index)
        self._start_data(data, sample_store)

    def build(self, n_items):
        """Draw initial weights for ``n_items`` items; clear optimizer and hidden states; restart both streams."""
        settings = self.settings()
        settings.validate()
        if isinstance(n_items, bool) or not isinstance(n_items, (int, np.integer)) or n_items < 1:
            raise ValueError(f"n_items={n_items!r}: an integer of at least 1 is accepted")
        if self.adapt == "adadelta" and self.learning_rate != 1.0:
            logger.warning("adapt='adadelta' sets its own pace: learning_rate=%s becomes 1.0", self.learning_rate)
        self._new_model(int(n_items))
        self.set_weights(initial_weights.draw(settings, int(n_items), self.model.train_state.rng))
        self._name_items(pd.Index(np.arange(n_items)))

    def _name_items(self, ids):
        self.itemidmap = pd.Series(np.arange(len(ids)), index=ids.rename(self.item_key), name="ItemIdx")
        self.model.item_ids = ids.to_numpy()

    def _new_model(self, n_items):
        self.model = SessionModel(n_items, self.settings())
        self.model.jit_compile = self.jit_compile
        self.support = self._dataset = None
        self.forget_predictions()

    def _start_data(self, data, sample_store):
        self.support = sessions.item_support(data, self.item_key, self.itemidmap)
        self.model.train_state.start_sampler(self.support, int(sample_store))
        self._set_dataset(data)

    def _set_dataset(self, data):
        state = self.model.train_state
        occurrences = {where for where in self.model.row_index.values()} if self.momentum > 0 else ()
        self._dataset = sessions.SessionParallel(
            sessions.sort_events(data, self.itemidmap, **self._columns(), with_dwell=self.settings().reads_times),
            self.settings(),
            state,
            [width for _, width, _ in self.model.dropout_sites()],
            sorted(occurrences),
            self.steps_per_call,
        )

    def _extend(self, data, sample_store):
        self._need_model()
        self._check_training_data(data, sample_store)
        ids = pd.Index(data[self.item_key].unique())
        new = ids[~ids.isin(self.itemidmap.index)]
        weights, state = self.get_weights(), self.model.train_state
        weights = initial_weights.extend(weights, self.model.row_index, len(new), self.settings(), state.rng)
        known = self.itemidmap.index.append(new)
        self._new_model(len(known))
        self.model.train_state.continue_streams(state)
        self._name_items(known)
        self.set_weights(weights)
        self._start_data(data, sample_store)

    def _resume(self, data, sample_store):
        self._need_model()
        self._check_training_data(data, sample_store)
        state = self.model.train_state
        if state.sampler is None:
            raise ValueError("resume=True: this model has never been fitted")
        if not sessions.item_map(data, self.item_key).equals(self.itemidmap) or not np.array_equal(
            sessions.item_support(data, self.item_key, self.itemidmap), state.sampler.support
        ):
            raise ValueError("resume=True: the items of the data are not those that the model was trained on")
        if sample_store != state.sampler.store:
            raise ValueError(
                f"sample_store={sample_store} with resume=True: the training began with {state.sampler.store}"
            )
        self._set_dataset(data)

    # -- step by step
    # ---------------------------------------------------------------------------------------------------------

    @property
    def n_items(self):
        """Number of items of the model."""
        self._need_model()
        return self.model.n_items

    def batches(self):
        """The :class:`~keras_port.sessions.Batch` of each step of the next epoch, from the model's random stream."""
        if self._dataset is None:
            raise ValueError("no data: call prepare(data) first")
        self._dataset.start_epoch()
        return self._dataset.batches()

    def get_weights(self):
        """Weights by name (Wx0, Wh0, Wrz0, Bh0, ..., Wy, By; E with a separate embedding) as NumPy arrays."""
        self._need_model()
        return {name: backends.to_numpy(variable) for name, variable in self.model.named_weights.items()}

    def set_weights(self, weights):
        """Set the named weights, leave the others. Raises ValueError for an unknown name or another shape."""
        self._need_model()
        _assign("weights", self.model.named_weights, weights)

    def get_optimizer_state(self):
        """Optimizer state as NumPy arrays, named SLOT/WEIGHT: acc, upd, mean, count, vel."""
        self._need_model()
        return {name: backends.to_numpy(variable) for name, variable in self.model.train_state.slots.items()}

    def set_optimizer_state(self, state):
        """Set the named slots, leave the others. Raises ValueError for an unknown name or another shape."""
        self._need_model()
        _assign("state", self.model.train_state.slots, state)

    def get_hidden(self):
        """The training hidden state, one (M, L_k) array a layer."""
        self._need_model()
        state = self.model.train_state
        return [backends.to_numpy(variable)[: state.lanes] for variable in state.hidden]

    def set_hidden(self, hidden):
        """Set the training hidden state; its number of rows is the number of lanes of the next step."""
        self._need_model()
        rows = self._check_hidden(hidden)
        if rows > self.batch_size:
            raise ValueError(f"hidden has {rows} rows: at most batch_size={self.batch_size} are accepted")
        self.model.train_state.lanes = rows
        for variable, values in zip(self.model.train_state.hidden, hidden):
            variable.assign(_pad_rows(np.asarray(values, self.dtype), self.batch_size, 0))

    def dropout_sites(self):
        """(name, width, retain probability) of each dropout site in graph order: embed, then hidden0, hidden1, ..."""
        self._need_model()
        return self.model.dropout_sites()

    def draw_masks(self, M):
        """The next masks of the dropout stream: one (M, width) bool array a site, true = kept."""
        return [
            stream.draw(M, width)
            for stream, (_, width, _) in zip(self.model.train_state.mask_streams, self.dropout_sites())
        ]

    def train_step(self, X, Y, R, masks=None, gradients=False, *, dwell=None, weights=None):
        """One training step from the present weights, optimizer state and hidden state, all of which it updates.

        X, R: (M,) input items and ends of sessions; Y: (M + samples,) targets, then samples. masks: one (M, width) bool
        array a dropout site; None draws them. dwell, with ``dwell_time``: (M,) seconds since each session's event
        before, NaN at its first; None is NaN for all. weights, with ``dwell_weight``: (M,) weight of each lane's loss;
        None is 1 for all. Returns a :class:`Step`. Raises ValueError for shapes or items that do not fit.
        """
        self._need_model()
        X, Y, R = (np.asarray(part) for part in (X, Y, R))
        M, B, state = len(X), self.batch_size, self.model.train_state
        if not 1 <= M <= B or M != state.lanes or len(Y) < M or len(R) != M:
            raise ValueError(
                f"X, Y, R have {M}, {len(Y)}, {len(R)} entries: {state.lanes} lanes, as many of X and R, "
                "no fewer of Y, are accepted"
            )
        self._check_items("X", X)
        self._check_items("Y", Y)
        if self.model.settings.logq and state.sampler is None:
            raise ValueError(
                f"logq={self.model.settings.logq}: no data to count the items in, call prepare(data) first"
            )
        masks = self.draw_masks(M) if masks is None else [np.asarray(mask, bool) for mask in masks]
        shapes = [(M, width) for _, width, _ in self.dropout_sites()]
        if [mask.shape for mask in masks] != shapes:
            raise ValueError(f"masks of shapes {[mask.shape for mask in masks]}: {shapes} are accepted")
        chunk = {
            "X": _pad_rows(X, B, X[0])[None].astype(np.int32),
            "Y": np.concatenate([_pad_rows(Y[:M], B, Y[0]), Y[M:]])[None].astype(np.int32),
            "R": _pad_rows(R.astype(bool), B, False)[None],
            "lanes": (np.arange(B) < M)[None],
            **{f"mask{j}": _pad_rows(mask, B, True)[None] for j, mask in enumerate(masks)},
            **{name: _pad_rows(values, B, 0)[None] for name, values in self._dwell_inputs(M, dwell, weights).items()},
        }
        where = sorted(set(self.model.row_index.values())) if self.momentum > 0 else ()
        sessions.add_occurrences(chunk, where, np.zeros(self.n_items, np.int32))
        if not gradients:
            cost = self.model.program("steps")({"steps": np.int32(1), **chunk})
            return Step(float(backends.to_numpy(cost)[0]), None)
        cost, found = self.model.program("step", jit=False)({name: values[0] for name, values in chunk.items()})
        real = {
            "X": _real(M, B),
            "Y": _real(M, B, len(Y) - M),
            "XY": np.concatenate([_real(M, B), _real(M, B, len(Y) - M)]),
        }
        found = {name: backends.to_numpy(g) for name, g in found.items()}
        found.update({name: found[name][real[at]] for name, at in self.model.row_index.items()})
        return Step(float(backends.to_numpy(cost)), found)

    def _dwell_inputs(self, M, dwell, weights=None):
        """What the dwell options add to the input of a step of M lanes."""
        s, added = self.model.settings, {}
        found = given_buckets(dwell, M, s.dwell_time)
        if found is not None:
            added["dwell"] = found
        if weights is not None and not s.dwell_weight:
            raise ValueError("weights are given with dwell_weight=0: a model with dwell_weight takes them")
        if s.dwell_weight:
            added["weights"] = np.ones(M, self.dtype) if weights is None else np.asarray(weights, self.dtype)
            if added["weights"].shape != (M,):
                raise ValueError(f"weights has shape {np.shape(weights)}: one value a lane, ({M},), is accepted")
        return added

    def scores(self, X, hidden, items=None, dwell=None):
        """Scores after final_act, (M, n) or (M, len(items)), and the next hidden state. Changes nothing.

        dwell, with ``dwell_time``: (M,) seconds since each session's event before; NaN, or None for all, for none.
        """
        self._need_model()
        X = self._check_items("X", np.asarray(X))
        if self._check_hidden(hidden) != len(X):
            raise ValueError(f"hidden has {len(hidden[0])} rows: as many as X, {len(X)}, are accepted")
        inputs = {"X": X.astype(np.int32), **{f"hidden{k}": np.asarray(h, self.dtype) for k, h in enumerate(hidden)}}
        buckets = given_buckets(dwell, len(X), self.model.settings.dwell_time)
        if buckets is not None:
            inputs["dwell"] = buckets
        if items is not None:
            inputs["items"] = self._check_items("items", np.asarray(items)).astype(np.int32)

        def predict(given):
            hidden = [given[f"hidden{k}"] for k in range(len(self.layers))]
            return self.model(given["X"], hidden, given.get("items"), given.get("dwell"))

        # shapes vary from call to call here: op by op is faster than compiling each
        program = self.model.read_program("predict" if items is None else "predict items", predict, jit=False)
        values, after = program(inputs)
        return backends.to_numpy(values), [backends.to_numpy(h) for h in after]

    # -- prediction
    # -----------------------------------------------------------------------------------------------------------

    def predict_next_batch(self, session_ids, input_item_ids, predict_for_item_ids=None, batch=100, dwell=None):
        """Scores of the next item, as a DataFrame: rows = items, columns = lanes 0..batch-1.

        session_ids, input_item_ids: (batch,) the running session of each lane and its newest item. A lane whose session
        id differs from the previous call's starts from a zero state; another ``batch`` starts all lanes afresh.
        predict_for_item_ids: score these items only. dwell, with ``dwell_time``: (batch,) seconds since each session's
        event before, of no account for a lane that starts; None or NaN where they are not known. Raises ValueError for
        an unknown item, another number of lanes, or a dwell below 0.
        """
        self._need_model()
        session_ids, input_item_ids = np.asarray(session_ids), np.asarray(input_item_ids)
        for name, values in (("session_ids", session_ids), ("input_item_ids", input_item_ids)):
            if values.shape != (batch,):
                raise ValueError(f"{name} has shape {values.shape}: batch={batch} values are accepted")
        X = self.item_indices(input_item_ids, "input_item_ids")
        items = (
            None if predict_for_item_ids is None else self.item_indices(predict_for_item_ids, "predict_for_item_ids")
        )
        given_buckets(dwell, batch, self.model.settings.dwell_time)  # its faults show before any state changes
        if self._lane_sessions is None or len(self._lane_sessions) != batch:
            self._lane_hidden = [np.zeros((batch, units), self.dtype) for units in self.layers]
            starts = np.ones(batch, bool)
        else:
            starts = self._lane_sessions != session_ids
            for H in self._lane_hidden:
                H[starts] = 0
        self._lane_sessions = session_ids.copy()
        dwell = None if dwell is None else np.where(starts, np.nan, dwell)
        scores, self._lane_hidden = self.scores(X, self._lane_hidden, items, dwell)
        ids = self.itemidmap.index if items is None else self.itemidmap.index[items]
        return pd.DataFrame(scores.T, index=ids)

    def forget_predictions(self):
        """Let the next ``predict_next_batch`` start all lanes afresh."""
        self._lane_sessions = self._lane_hidden = None

    def item_indices(self, item_ids, name="item_ids"):
        """Indices of item ids. Raises ValueError naming the first unknown one."""
        item_ids = pd.Index(np.asarray(item_ids))
        indices = self.itemidmap.index.get_indexer(item_ids)
        if (indices < 0).any():
            raise ValueError(
                f"{name}: item {item_ids[indices < 0][0]!r} is not among the {self.n_items} items of the model"
            )
        return indices

    def recommend(self, session_items, k=20, times=None):
        """Top-k next items of one running session or of many; see :func:`keras_port.serving.recommend`."""
        self._need_model()
        return serving.recommend(self, session_items, k, times)

    def export(self, path, k=20):
        """Write a TensorFlow SavedModel that serves top-k; see :func:`keras_port.serving.export`."""
        self._need_model()
        serving.export(self, path, k)

    # -- files
    # ----------------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write weights, settings, item map, optimizer state, random streams and epochs done to one file."""
        self._need_model()
        storage.save(self, path)

    @classmethod
    def load(cls, path, **options):
        """Read a file of :meth:`save`. Raises ValueError for a file that is damaged or does not fit together.

        options: as in :meth:`from_model`.
        """
        return storage.load(cls, path, options)

    @classmethod
    def from_model(cls, model, **options):
        """A ``cls`` around a :class:`~keras_port.model.SessionModel`, such as Keras loads from a .keras file.

        options: those of the constructor that a model does not hold, such as ``steps_per_call``.
        """
        gru = cls(**model.settings.to_json(), **options)
        gru.model = model
        gru.model.jit_compile = gru.jit_compile
        gru._name_items(pd.Index(np.arange(model.n_items) if model.item_ids is None else model.item_ids))
        gru._take_support()
        return gru

    def _take_support(self):
        sampler = self.model.train_state.sampler
        self.support = None if sampler is None else np.asarray(sampler.support)

    # -- checks
    # ---------------------------------------------------------------------------------------------------------------

    def _need_model(self):
        if self.model is None:
            raise ValueError("the model has no weights yet: call fit, prepare or build, or load a file")

    def _check_items(self, name, indices):
        if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(
                f"{name} has shape {indices.shape} and type {indices.dtype}: a vector of integers is accepted"
            )
        if len(indices) and not (0 <= indices.min() and indices.max() < self.n_items):
            raise ValueError(
                f"{name} names item index {indices.min()}..{indices.max()}: 0..{self.n_items - 1} are accepted"
            )
        return indices

    def _check_hidden(self, hidden):
        shapes = [np.shape(h) for h in hidden]
        rows = shapes[0][0] if shapes and shapes[0] else 0
        if shapes != [(rows, units) for units in self.layers]:
            raise ValueError(f"hidden has shapes {shapes}: one (M, L_k) a layer, L = {self.layers}, is accepted")
        return rows


def _pad_rows(values, rows, fill):
    """values with rows of ``fill`` appended up to ``rows``."""
    padding = np.full((rows - len(values), *values.shape[1:]), fill, dtype=values.dtype)
    return np.concatenate([values, padding])


def _real(M, B, samples=0):
    return np.concatenate([np.arange(B) < M, np.ones(samples, bool)])


def _assign(what, variables, values):
    """Assign arrays to variables by name, after checking all of them."""
    for name, value in values.items():
        if name not in variables:
            raise ValueError(f"{what}: unknown name {name!r}, {', '.join(variables) or 'none'} are accepted")
        if np.shape(value) != tuple(variables[name].shape):
            raise ValueError(
                f"{what}[{name!r}] has shape {np.shape(value)}: {tuple(variables[name].shape)} is accepted"
            )
    for name, value in values.items():
        variables[name].assign(np.asarray(value))
