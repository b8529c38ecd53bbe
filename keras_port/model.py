"""GRU4Rec as a Keras model: the network, from item indices to scores and to the cost of a training step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_port import backend, checkpoint, losses, numbers
from keras_port.distribution import Split
from keras_port.layers import DwellTable, ItemScorer, ItemTable, SessionGRU
from keras_port.settings import Settings


class Training(Protocol):
    """What a model's file holds besides the weights."""

    def to_arrays(self) -> dict[str, np.ndarray]: ...

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None: ...


@keras.saving.register_keras_serializable(package="keras_port")
class SessionModel(keras.Model):
    """The network of GRU4Rec over ``n_items`` items.

    ``model(X, hidden)``: X (M,) item indices, hidden one (M, L_k) array a layer; returns the scores of all items (M, n)
    and the next hidden state. With ``dwell_time``, ``dwell`` (M,) are the buckets of the time since each session's
    event before; 0, which is the default, for none.

    :class:`keras_port.training.Trainer` trains it: its updates are per occurrence of a row, which no Keras optimizer's
    are, so ``compile`` and ``fit`` of Keras are not for it. ``save`` and ``keras.saving.load_model`` are;
    ``GRU4Rec.from_model`` takes a loaded one up.

    Args:
        n_items: n.
        settings: a :class:`~keras_port.settings.Settings`, or a dict of its options.
    """

    def __init__(self, n_items: int, settings: Settings | Mapping[str, Any], **kwargs: Any):
        settings = settings if isinstance(settings, Settings) else Settings(**settings)
        if settings.dtype == "float64":
            backend.use_float64()
        super().__init__(**{"dtype": settings.dtype, "name": "gru4rec", **kwargs})
        self.n_items, self.settings, self.split = n_items, settings, Split(n_items, settings.devices)
        policy = {"dtype": settings.dtype, "split": self.split}
        self.input_table = self.dwell_table = None
        width = settings.input_width
        if width is not None and settings.input_mode == "separate":
            self.input_table = ItemTable(n_items, width, "E", name="input_table", **policy)
        elif settings.input_mode == "none":
            self.input_table = ItemTable(n_items, 3 * settings.layers[0], "Wx0", name="input_table", **policy)
        if settings.dwell_time:
            self.dwell_table = DwellTable(settings.dwell_time, 3 * settings.layers[0], name="dwell_table", **policy)
        widths = [width, *settings.layers[:-1]]
        self.gru_layers = [
            SessionGRU(units, width, settings.hidden_act, index=k, name=f"gru{k}", **policy)
            for k, (units, width) in enumerate(zip(settings.layers, widths))
        ]
        self.scorer = ItemScorer(n_items, settings.layers[-1], settings.final_act, name="scorer", **policy)
        self.built = True
        self.optimizer = None  # standard callbacks ask for a Keras optimizer; the updates are none of its kind
        self.item_ids: np.ndarray | None = None  # (n,) ids in index order, once they are known; saved with the model
        self.training: Training | None = None  # once it is trained; saved with the model
        self.saved_digest: str | None = None  # of the file that it was loaded from
        self.known_finite = False  # that all weights are, since they were last written

    @property
    def known_ids(self) -> np.ndarray:
        """:attr:`item_ids`. Raises RuntimeError before they are known."""
        if self.item_ids is None:
            raise RuntimeError("the model has no item ids yet")
        return self.item_ids

    @property
    def named_weights(self) -> dict[str, keras.Variable]:
        """The weights by name, in the order of the network."""
        order = [part.table for part in (self.input_table, self.dwell_table) if part is not None]
        for gru in self.gru_layers:
            order += [w for w in (gru.Wx, gru.Wh, gru.Wrz, gru.Bh) if w is not None]
        return {w.name: w for w in [*order, self.scorer.Wy, self.scorer.By]}

    @property
    def read_at(self) -> dict[str, str]:
        """Where each row tensor is read: at the inputs X, at the scored items Y, or at both, XY, joined."""
        return {
            "none": {"Wx0": "X", "Wy": "Y", "By": "Y"},
            "separate": {"E": "X", "Wy": "Y", "By": "Y"},
            "constrained": {"Wy": "XY", "By": "Y"},
        }[self.settings.input_mode]

    @property
    def momentum_reads(self) -> list[str]:
        """Where momentum needs the last occurrence of each row: some of 'X', 'Y', 'XY'."""
        return sorted(set(self.read_at.values())) if self.settings.momentum > 0 else []

    def call(self, X: Any, hidden: Sequence[Any], items: Any = None, dwell: Any = None) -> tuple[Any, list[Any]]:
        """Scores (M, n), or (M, len(items)) for item indices, and the next hidden state. No dropout."""
        hidden = self.step_hidden(X, hidden, dwell)
        rows = (None, None) if items is None else self.scorer.lookup(items)
        return self.scorer(hidden[-1], *rows)[:, : self.n_items if items is None else None], hidden

    def step_hidden(self, X: Any, hidden: Sequence[Any], dwell: Any = None) -> list[Any]:
        """The hidden states after the items X (M,). No dropout."""
        x = self.scorer.lookup(X)[0] if self.input_table is None else self.input_table(X)
        return self.through_layers(x, hidden, ops.zeros_like(X) if dwell is None else dwell)

    def training_cost(self, rows: Mapping[str, Any], hidden: Sequence[Any], batch: Mapping[str, Any]) -> tuple:
        """The cost of a step, and the hidden states after it.

        Args:
            rows: the looked-up rows of the row tensors, by name.
            hidden: the states before it.
            batch: one step of a chunk of :class:`~keras_port.batches.SessionParallel`, with ``log_q`` (N,) under logq.
        """
        dropout, lanes = self.dropout_of(batch), batch["lanes"]
        if self.input_table is None:
            x, Wy = rows["Wy"][: lanes.shape[0]], rows["Wy"][lanes.shape[0] :]
        else:
            x, Wy = rows[self.input_table.weight_name], rows["Wy"]
        hidden = self.through_layers(dropout("embed", x), hidden, batch.get("dwell"), dropout)
        samples = ops.ones((Wy.shape[0] - lanes.shape[0],), dtype="bool")
        columns = ops.reshape(ops.concatenate([lanes, samples]), (1, Wy.shape[0]))
        By = rows["By"]
        if "log_q" in batch:
            By = By - ops.expand_dims(batch["log_q"], 1)  # o - log_q, as o = h·Wyᵀ + By
        yhat = self.scorer(hidden[-1], Wy, By, columns=columns, training=True)
        given = numbers.within(self.settings, batch)
        loss = losses.from_settings(self.settings, given.smoothing, given.bpreg)
        total = loss(ops.cast(lanes, yhat.dtype), yhat, sample_weight=batch.get("weights"))
        return total / lanes.shape[0], hidden

    def through_layers(
        self, x: Any, hidden: Sequence[Any], dwell: Any, dropout: Callable[[str, Any], Any] = lambda site, x: x
    ) -> list[Any]:
        """The hidden states after the first layer's input x, in dwell buckets ``dwell`` where there is a table.

        The dropped-out state is both the input of the next layer and the next recurrent state, as published.
        """
        added = {} if self.dwell_table is None else {"added": self.dwell_table(dwell)}
        states = []
        for k, (gru, H) in enumerate(zip(self.gru_layers, hidden)):
            x = dropout(f"hidden{k}", gru(x, H, **(added if k == 0 else {})))
            states.append(x)
        return states

    def dropout_of(self, batch: Mapping[str, Any]) -> Callable[[str, Any], Any]:
        """``apply(site, x)``: x, or at a dropout site x times its mask, divided by the retain probability."""
        sites = {name: j for j, (name, _, _) in enumerate(self.settings.dropout_sites)}
        given = numbers.within(self.settings, batch)

        def apply(name: str, x: Any) -> Any:
            if name not in sites:
                return x
            return x * ops.cast(batch[f"mask{sites[name]}"], x.dtype) / given.retain(name)

        return apply

    @contextmanager
    def using(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Within, the layers compute with ``values`` (by weight name) in place of their variables."""
        pairs = [(variable, values[name]) for name, variable in self.named_weights.items() if name in values]
        with keras.StatelessScope(state_mapping=pairs):
            yield

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name, "n_items": self.n_items, "settings": self.settings.saved()}

    def save_own_variables(self, store: Any) -> None:
        """Put the state of the training into a Keras file; the layers save the weights."""
        checkpoint.to_keras_store(store, {} if self.training is None else self.training.to_arrays())

    def load_own_variables(self, store: Any) -> None:
        """Take the state of the training from a Keras file."""
        self.known_finite = False
        if self.training is None:
            self.training = checkpoint.Loaded()
        self.training.from_arrays(checkpoint.from_keras_store(store))

    def save_assets(self, dir_path: str) -> None:
        """Put the item ids into a Keras file."""
        if self.item_ids is not None:
            digest = None if self.training is None else checkpoint.digest_of(checkpoint.of_keras(self))
            checkpoint.write_ids(self.item_ids, digest, dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Take the item ids from a Keras file."""
        self.item_ids, self.saved_digest = checkpoint.read_ids(dir_path, self.n_items)
