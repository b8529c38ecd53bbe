"""GRU4Rec as a Keras model: the network, one training step as a pure function, and the loop that runs many a call."""

import contextlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_port import backends, losses, optimizers
from keras_port.layers import DwellTable, ItemScorer, ItemTable, SessionGRU
from keras_port.settings import Settings
from keras_port.train_state import TrainState

logger = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="keras_port")
class SessionModel(keras.Model):
    """The network of GRU4Rec over ``n_items`` items, with its own training loop.

    ``model(X, hidden)``: X (M,) item indices, hidden one (M, L_k) array a layer; returns the scores of all items (M, n)
    and the next hidden state. With ``dwell_time``, ``dwell`` (M,) are the buckets of the time since each session's
    event before; 0, which is the default, for none. ``model.fit(dataset)`` takes a
    :class:`~keras_port.sessions.SessionParallel`.
    """

    def __init__(self, n_items, settings, **kwargs):
        settings = settings if isinstance(settings, Settings) else Settings(**settings)
        if settings.dtype == "float64":
            backends.use_float64()
        super().__init__(**{"dtype": settings.dtype, "name": "gru4rec", **kwargs})
        self.n_items, self.settings = n_items, settings
        self.item_ids = None  # (n,) ids in the order of the item tensors, once they are known; saved with the model
        policy = {"dtype": settings.dtype}
        widths = [settings.input_width, *settings.layers[:-1]]
        self.input_table = None
        if settings.input_mode == "separate":
            self.input_table = ItemTable(n_items, settings.input_width, "E", name="input_table", **policy)
        elif settings.input_mode == "none":
            self.input_table = ItemTable(n_items, 3 * settings.layers[0], "Wx0", name="input_table", **policy)
        self.dwell_table = None
        if settings.dwell_time:
            self.dwell_table = DwellTable(settings.dwell_time, 3 * settings.layers[0], name="dwell_table", **policy)
        self.gru_layers = [
            SessionGRU(units, width, settings.hidden_act, index=k, name=f"gru{k}", **policy)
            for k, (units, width) in enumerate(zip(settings.layers, widths))
        ]
        self.scorer = ItemScorer(n_items, settings.layers[-1], settings.final_act, name="scorer", **policy)
        self.built = True
        self.session_loss = losses.from_settings(settings)
        self.updater = optimizers.Updater(settings)
        # which scored or read items each row tensor is read at: inputs X, scored items Y, or both joined
        self.row_index = {
            "none": {"Wx0": "X", "Wy": "Y", "By": "Y"},
            "separate": {"E": "X", "Wy": "Y", "By": "Y"},
            "constrained": {"Wy": "XY", "By": "Y"},
        }[settings.input_mode]
        self.jit_compile = True  # programs are compiled by XLA, where the backend is TensorFlow
        self.optimizer = None  # standard callbacks ask for a Keras optimizer; the updater is none
        self.error_during_train = False
        self._initial_epoch = None
        self.train_state = TrainState(self)
        self._programs = {}

    # -- weights ------------------------------------------------------------------------------------------------------

    @property
    def named_weights(self):
        """The weights as a dict name -> variable, in the order of the network."""
        order = [part.table for part in (self.input_table, self.dwell_table) if part is not None]
        for gru in self.gru_layers:
            order += [w for w in (gru.Wx, gru.Wh, gru.Wrz, gru.Bh) if w is not None]
        return {w.name: w for w in [*order, self.scorer.Wy, self.scorer.By]}

    def dropout_sites(self):
        """(name, width, retain probability) of each dropout site in graph order."""
        s = self.settings
        sites = []
        if s.dropout_p_embed > 0 and s.input_width is not None:
            sites.append(("embed", s.input_width, 1.0 - s.dropout_p_embed))
        if s.dropout_p_hidden > 0:
            sites += [(f"hidden{k}", units, 1.0 - s.dropout_p_hidden) for k, units in enumerate(s.layers)]
        return sites

    # -- the network --------------------------------------------------------------------------------------------------

    def call(self, X, hidden, items=None, dwell=None):
        """Scores (M, n), or (M, len(items)) for item indices, and the next hidden state. No dropout."""
        hidden = self.step_hidden(X, hidden, dwell)
        rows = (None, None) if items is None else self.scorer.lookup(items)
        return self.scorer(hidden[-1], *rows), hidden

    def step_hidden(self, X, hidden, dwell=None):
        """The hidden states after the items X (M,). No dropout."""
        x = self.scorer.lookup(X)[0] if self.input_table is None else self.input_table(X)
        return self._through_layers(x, hidden, ops.zeros_like(X) if dwell is None else dwell)

    def _through_layers(self, x, hidden, dwell, dropout=lambda site, x: x):
        """The hidden states after the first layer's input x, in dwell buckets ``dwell`` where there is a table."""
        added = {} if self.dwell_table is None else {"added": self.dwell_table(dwell)}
        after = []
        for k, (gru, H) in enumerate(zip(self.gru_layers, hidden)):
            x = dropout(f"hidden{k}", gru(x, H, **(added if k == 0 else {})))
            after.append(x)
        return after

    def _training_forward(self, rows, hidden, batch):
        """Cost of a step and the hidden states after it. rows: looked-up rows of the row tensors by name."""
        dropout = self._dropout(batch)
        lanes = batch["lanes"]
        if self.input_table is None:
            x, Wy = rows["Wy"][: lanes.shape[0]], rows["Wy"][lanes.shape[0] :]
        else:
            x, Wy = rows[self.input_table.weight_name], rows["Wy"]
        after = self._through_layers(dropout("embed", x), hidden, batch.get("dwell"), dropout)
        samples = ops.ones((Wy.shape[0] - lanes.shape[0],), dtype="bool")
        columns = ops.reshape(ops.concatenate([lanes, samples]), (1, Wy.shape[0]))
        By = rows["By"]
        if "log_q" in batch:
            By = By - ops.expand_dims(batch["log_q"], 1)  # o - log_q, as o = h·Wyᵀ + By
        yhat = self.scorer(after[-1], Wy, By, columns=columns, training=True)
        total = self.session_loss(ops.cast(lanes, yhat.dtype), yhat, sample_weight=batch.get("weights"))
        return total / lanes.shape[0], after

    def _dropout(self, batch):
        sites = {name: (j, retain) for j, (name, _, retain) in enumerate(self.dropout_sites())}

        def apply(name, x):
            if name not in sites:
                return x
            j, retain = sites[name]
            return x * ops.cast(batch[f"mask{j}"], x.dtype) / retain

        return apply

    # -- one step -----------------------------------------------------------------------------------------------------

    def _step(self, state, batch):
        """One training step as a pure function of (state, batch): (state, cost, gradients before grad_cap)."""
        at = self._occurrences(batch)
        rows = {name: ops.take(state[name], at[name].idx, axis=0) for name in self.row_index}
        dense = {name: state[name] for name in self.named_weights if name not in self.row_index}
        hidden = [state[f"hidden{k}"] for k in range(len(self.gru_layers))]

        def cost_of(arguments):
            with self.using(arguments, names=dense):
                return self._training_forward(arguments, hidden, batch)

        cost, after, gradients = backends.value_and_gradients(cost_of, {**rows, **dense})
        goes_on = ops.expand_dims(ops.logical_and(batch["lanes"], ops.logical_not(batch["R"])), 1)
        new = {f"hidden{k}": ops.where(goes_on, h, ops.zeros_like(h)) for k, h in enumerate(after)}
        for name, g in self.updater.cap(gradients).items():
            slots = {slot: state[f"{slot}/{name}"] for slot in self.updater.slots}
            if name in rows:
                new[name], slots = self.updater.rows(state[name], rows[name], g, slots, at[name])
            else:
                new[name], slots = self.updater.dense(state[name], g, slots)
            new.update({f"{slot}/{name}": value for slot, value in slots.items()})
        return new, cost, gradients

    def _with_log_q(self, state, batch):
        """The batch, or chunk of batches, and the ``log_q`` (..., N) that is subtracted from the scores of Y.

        log_q = logq * log P; P = support of the item for the B targets, support^sample_alpha for the samples.
        """
        s = self.settings
        if not s.logq:
            return batch
        log_P = ops.take(state["log_support"], batch["Y"], axis=0)
        alpha = np.where(np.arange(log_P.shape[-1]) < s.batch_size, 1.0, s.sample_alpha)
        return {**batch, "log_q": log_P * ops.cast(s.logq * alpha, s.dtype)}

    def _occurrences(self, batch):
        """:class:`~keras_port.optimizers.Occurrences` of each row tensor."""
        lanes = ops.cast(batch["lanes"], self.settings.dtype)
        samples = ops.ones((batch["Y"].shape[0] - lanes.shape[0],), dtype=lanes.dtype)
        idx = {"X": batch["X"], "Y": batch["Y"], "XY": ops.concatenate([batch["X"], batch["Y"]])}
        valid = {"X": [lanes], "Y": [lanes, samples], "XY": [lanes, lanes, samples]}
        return {
            name: optimizers.Occurrences(
                idx[where], ops.expand_dims(ops.concatenate(valid[where]), 1), batch.get(f"last_{where}")
            )
            for name, where in self.row_index.items()
        }

    @contextlib.contextmanager
    def using(self, values, names=None):
        """Within, the layers compute with ``values`` (by weight name) in place of their variables."""
        variables = self.named_weights
        with keras.StatelessScope(state_mapping=[(variables[name], values[name]) for name in (names or variables)]):
            yield

    # -- many steps in one call
    # -------------------------------------------------------------------------------------------

    def _run_steps(self, state, chunk):
        """``chunk['steps']`` training steps, fewer when a cost is NaN. Results: each step's cost."""
        batches = {name: ops.convert_to_tensor(values) for name, values in chunk.items() if name != "steps"}
        batches = self._with_log_q(state, batches)
        steps = ops.cast(chunk["steps"], "int32")
        places = ops.arange(batches["X"].shape[0], dtype="int32")

        def goes_on(i, failed, state, costs):
            return ops.logical_and(i < steps, ops.logical_not(failed))

        def body(i, failed, state, costs):
            new, cost, _ = self._step(state, {name: ops.take(values, i, axis=0) for name, values in batches.items()})
            return i + 1, ops.isnan(cost), {**state, **new}, ops.where(places == i, cost, costs)

        costs = ops.zeros((batches["X"].shape[0],), dtype=self.settings.dtype)
        start = (ops.zeros((), "int32"), ops.zeros((), "bool"), state, costs)
        _, _, state, costs = ops.while_loop(goes_on, body, start)
        return state, costs

    def _single_step(self, state, batch):
        batch = {name: ops.convert_to_tensor(values) for name, values in batch.items()}
        state, cost, gradients = self._step(state, self._with_log_q(state, batch))
        return state, (cost, gradients)

    def program(self, name, jit=True):
        """The compiled program 'steps' (a chunk of training steps) or 'step' (one, with gradients).

        jit=False: not by XLA, even if ``jit_compile`` is true.
        """
        if name not in self._programs:
            function = {"steps": self._run_steps, "step": self._single_step}[name]
            variables = self.train_state.variables()
            self._programs[name] = backends.compile_program(function, variables, jit and self.jit_compile)
        return self._programs[name]

    def read_program(self, key, function, jit=True):
        """A compiled ``function(inputs) -> results`` that reads the weights and changes nothing; kept under ``key``."""
        if key not in self._programs:

            def read(state, inputs):
                with self.using(state):
                    return {}, function({name: ops.convert_to_tensor(value) for name, value in inputs.items()})

            self._programs[key] = backends.compile_program(read, self.named_weights, jit and self.jit_compile)
        return self._programs[key]

    # -- training loop ------------------------------------------------------------------------------------------------

    def fit(self, x, epochs=1, initial_epoch=0, callbacks=None, validation_data=None, verbose=0):
        """Train on a :class:`~keras_port.sessions.SessionParallel` dataset; returns Keras' ``History``.

        A "batch" of the callbacks is one call of many steps, numbered by its last step. validation_data: a callable
        that returns a dict of metrics; they are logged after each epoch with the prefix ``val_``. A NaN cost ends
        training at once and sets ``error_during_train``.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.callbacks.CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                model=self,
                verbose=verbose,
                epochs=epochs,
                steps=None,
            )
        self.stop_training = self.error_during_train = False
        self._initial_epoch = None
        callbacks.on_train_begin()
        logs = {}
        for epoch in range(self._initial_epoch or initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            logs = self._fit_epoch(x, callbacks)
            if self.error_during_train:
                logger.error("epoch %d: the cost is NaN, training stops", epoch + 1)
                break
            self.train_state.epochs_done = epoch + 1
            if validation_data is not None:
                logs.update({f"val_{name}": value for name, value in validation_data().items()})
            logger.info("epoch %d: %s", epoch + 1, ", ".join(f"{name} {value:.6f}" for name, value in logs.items()))
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)
        return self.history

    def _fit_epoch(self, dataset, callbacks):
        """One epoch; returns {'loss': mean cost of the steps weighted by their lanes}."""
        dataset.start_epoch()
        self.train_state.clear_hidden()
        run = self.program("steps")
        total, lanes_seen, done = 0.0, 0, 0
        # the next chunk is drawn while this one is computed; streams are saved between epochs only, when none is ahead
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(dataset.__getitem__, 0) if dataset.num_batches else None
            for index in range(dataset.num_batches):
                chunk = ahead.result()
                if index + 1 < dataset.num_batches:
                    ahead = pool.submit(dataset.__getitem__, index + 1)
                steps = int(chunk["steps"])
                callbacks.on_train_batch_begin(done)
                costs = backends.to_numpy(run(chunk))[:steps].astype(np.float64)
                if np.isnan(costs).any():
                    self.error_during_train = True
                    return {"loss": float("nan")}
                M = chunk["lanes"][:steps].sum(axis=1)
                total, lanes_seen, done = total + costs @ M, lanes_seen + M.sum(), done + steps
                callbacks.on_train_batch_end(done - 1, {"loss": total / lanes_seen})
        return {"loss": float(total / lanes_seen) if lanes_seen else 0.0}

    # -- Keras saving -------------------------------------------------------------------------------------------------

    def get_config(self):
        return {"name": self.name, "n_items": self.n_items, "settings": self.settings.to_json()}

    def save_own_variables(self, store):
        """The optimizer state, the random streams and the epochs done; the layers save the weights."""
        for name, values in self.train_state.to_arrays().items():
            store[name.replace("/", ".")] = values

    def load_own_variables(self, store):
        self.train_state.from_arrays({name.replace(".", "/"): np.asarray(store[name]) for name in store.keys()})

    def save_assets(self, dir_path):
        """The item ids, as JSON."""
        if self.item_ids is not None:
            Path(dir_path, "item_ids.json").write_text(json.dumps(self.item_ids.tolist()), encoding="utf-8")

    def load_assets(self, dir_path):
        path = Path(dir_path, "item_ids.json")
        if path.exists():
            self.item_ids = np.array(json.loads(path.read_text(encoding="utf-8")))
