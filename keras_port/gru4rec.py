"""GRU4Rec: session-based recommendation with recurrent networks (Hidasi et al., arXiv 1511.06939 and 1706.03847)."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_port import batches, checkpoint, evaluation, events, item_ids, keras_file, prediction, serving, training
from keras_port.callbacks import check as check_callbacks
from keras_port.model import SessionModel
from keras_port.settings import OPTIONS, Settings, whole_number
from keras_port.training import Step, Trainer


class GRU4Rec:
    """GRU4Rec v2 with the published options, in their published order, on Keras 3; further options by name.

    Options are attributes too. ``pickle`` and ``copy.deepcopy`` make whole copies, without the training data.

    Args:
        loss: and all further options, with what is accepted: see :class:`keras_port.settings.Settings`.
    """

    def __init__(
        self, loss: str = "bpr-max", final_act: str = "linear", hidden_act: str = "tanh",
        layers: Sequence[int] = (100,), n_epochs: int = 10, batch_size: int = 32, dropout_p_hidden: float = 0.0,
        dropout_p_embed: float = 0.0, learning_rate: float = 0.1, momentum: float = 0.0, lmbd: float = 0.0,
        embedding: int | str = 0, n_sample: int = 2048, sample_alpha: float = 0.75, smoothing: float = 0.0,
        constrained_embedding: bool = False, adapt: str | None = "adagrad", adapt_params: Sequence[float] = (),
        grad_cap: float = 0.0, bpreg: float = 1.0, sigma: float = 0.0, init_as_normal: bool = False,
        train_random_order: bool = False, time_sort: bool = True, session_key: str = "SessionId",
        item_key: str = "ItemId", time_key: str = "Time", *, logq: float = 0.0, dwell_time: int = 0,
        dwell_weight: float = 0.0, dtype: str = "float32", seed: int = 42, dropout_seed: int = 12345,
        steps_per_call: int = 32, jit_compile: bool = True, devices: int = 1,
    ) -> None:  # fmt: skip
        given = locals()
        self._settings = Settings(**{name: given[name] for name in OPTIONS})
        self._settings.warn_of_odd_pairs(stacklevel=2)
        self.trainer: Trainer | None = None
        self.itemidmap: pd.Series | None = None
        self._ids = pd.Index([])  # of itemidmap
        self._known = prediction.KnownSessions()

    def __getattr__(self, name: str) -> Any:
        if name not in OPTIONS or "_settings" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        value = getattr(self._settings, name)
        return list(value) if isinstance(value, tuple) else value

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_params(**{name: value}) if name in OPTIONS else super().__setattr__(name, value)

    def settings(self) -> Settings:
        """The present options."""
        return self._settings

    def get_params(self) -> dict[str, Any]:
        """Every option in order, as plain JSON values."""
        return self._settings.as_dict()

    def set_params(self, **params: Any) -> "GRU4Rec":
        """Set options from values or texts ('100/50', '1'), all or none; errors: see :meth:`.Settings.changed`."""
        self._settings = self._settings.changed(params, OPTIONS if self.trainer is None else ("n_epochs",))
        if self.trainer is not None:
            self.trainer.model.settings = self._settings
        return self

    def fit(self, data: Any, sample_store: int = 10_000_000, retrain: bool = False, *, resume: bool = False,
            callbacks: Any = None, validation_data: Any = None, on_step: Any = None, on_epoch_end: Any = None,
            verbose: Any = 0) -> keras.callbacks.History:  # fmt: skip
        """Train for ``n_epochs`` epochs; the first step with a NaN cost, or a weight that is not finite, ends it.

        Args:
            data, sample_store: pandas or Polars frame of events; negative samples drawn ahead, 0 draws them as needed.
            retrain: go on from the present weights with new data, whose unseen items are appended.
            resume: go on exactly where a model stopped, up to ``n_epochs``; the data must be the same.
            validation_data: events on which ``val_recall@20`` and ``val_mrr@20`` are taken after each epoch.
            on_step, on_epoch_end: called with a :class:`.Progress` after many steps; with (epoch, loss) after an epoch.
            callbacks, verbose: as in ``keras.Model.fit``.

        Raises:
            RuntimeError: retrain or resume of a model without weights. TypeError: ``data`` is no frame.
            ValueError: data, options or callbacks do not fit, or with ``resume`` are not those of the training.
        """
        if retrain and resume:
            raise ValueError("retrain=True with resume=True: one of the two is accepted")
        check_callbacks(callbacks)
        if retrain or resume:
            found, store = self._read(data, sample_store, self._trainer.model.item_ids)
            self._name(self._trainer.resume(found, store) if resume else self._trainer.retrained(found, store))
        else:
            self.prepare(data, sample_store)
        validate = None if validation_data is None else evaluation.Validation(self, validation_data)
        return self._trainer.fit(callbacks, validate, on_step, on_epoch_end, verbose)

    def prepare(self, data: Any, sample_store: int = 10_000_000) -> None:
        """All that ``fit`` does before its first step: item map, session order, weights, first store of samples."""
        found, store = self._read(data, sample_store)
        self.build(len(found.item_ids))
        self._name(self._trainer, found.item_ids)
        self._trainer.start(found, store)

    def build(self, n_items: int) -> None:
        """Draw initial weights for ``n_items`` items; clear optimizer and hidden states; restart both streams."""
        trainer = Trainer(SessionModel(whole_number("n_items", n_items, 1), self._settings))
        trainer.draw_weights()
        self._name(trainer, np.arange(trainer.model.n_items))

    def _read(self, data: Any, sample_store: Any, known: np.ndarray | None = None) -> tuple[events.Events, int]:
        columns, store = events.Columns.of(self._settings), whole_number("sample_store", sample_store, 0)
        found = events.read(data, columns)
        batches.check(found, self._settings, columns)
        return found if known is None else found.numbered(known, columns), store

    def _name(self, trainer: Trainer, ids: np.ndarray | None = None) -> None:
        self.trainer, trainer.model.item_ids = trainer, trainer.model.item_ids if ids is None else ids
        self.itemidmap = item_ids.item_map(trainer.model.item_ids, self.item_key)
        self._ids = self.itemidmap.index
        self.reset_sessions()

    @property
    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise RuntimeError(evaluation.NO_WEIGHTS)
        return self.trainer

    @property
    def model(self) -> SessionModel | None:
        """The Keras model; None before there are weights."""
        return None if self.trainer is None else self.trainer.model

    @property
    def n_items(self) -> int:
        """Number of items of the model."""
        return self._trainer.model.n_items

    @property
    def support(self) -> np.ndarray | None:
        """(n,) events of each item in the training data; None before there are any."""
        return None if self.trainer is None else self.trainer.state.support

    @property
    def error_during_train(self) -> bool:
        """Whether a NaN cost, or a weight that is not finite, ended the last training, in that step."""
        return self.trainer is not None and self.trainer.state.diverged

    @property
    def fault(self) -> str:
        """The same in words: epoch, step, lane and weight; '' where there was none, and in a loaded model."""
        return self.trainer.state.fault if self.trainer else ""

    def get_weights(self) -> dict[str, np.ndarray]:
        """Weights by name: Wx0, Wh0, Wrz0, Bh0, ..., Wy, By; E with a separate embedding, D with ``dwell_time``."""
        return self._trainer.state.get_weights()

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set the named weights, leave the others. Raises ValueError for an unknown name or another shape."""
        self._trainer.state.set_weights(weights)

    def get_optimizer_state(self) -> dict[str, np.ndarray]:
        """Optimizer state, named SLOT/WEIGHT: acc, upd, mean, count, vel."""
        return self._trainer.state.get_slots()

    def set_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Set the named slots, leave the others. Raises ValueError for an unknown name or another shape."""
        self._trainer.state.set_slots(state)

    def get_hidden(self) -> list[np.ndarray]:
        """The training hidden state, one (M, L_k) array a layer."""
        return self._trainer.state.get_hidden()

    def set_hidden(self, hidden: Sequence[Any]) -> None:
        """Set the training hidden state; its number of rows is the number of lanes of the next step."""
        self._trainer.state.set_hidden(hidden)

    def batches(self) -> Iterator[batches.Batch | batches.DwellBatch]:
        """The batches of the next epoch's steps, from the model's random stream. Raises RuntimeError without data."""
        return self._trainer.next_epoch()

    def dropout_sites(self) -> list[tuple[str, int, float]]:
        """(name, width, retain probability) of each dropout site in graph order: embed, then hidden0, hidden1, ..."""
        return self._trainer.model.settings.dropout_sites

    def draw_masks(self, M: int) -> list[np.ndarray]:
        """The next masks of the dropout stream: one (M, width) bool array a site, true = kept."""
        return self._trainer.state.masks.draw(M)

    def train_step(self, X: Any, Y: Any, R: Any, masks: Any = None, gradients: bool = False, *, dwell: Any = None,
                   weights: Any = None) -> Step:  # fmt: skip
        """One step; without gradients the very program that ``fit`` runs; see :meth:`.Trainer.step`."""
        return self._trainer.step(X, Y, R, masks, gradients, dwell, weights)

    def scores(self, X: Any, hidden: Any, items: Any = None, dwell: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Scores after final_act, and the next hidden state; see :func:`keras_port.prediction.scores`."""
        return prediction.scores(self._trainer.model, X, hidden, items, dwell)

    def predict_next_batch(self, session_ids: Any, input_item_ids: Any, predict_for_item_ids: Any = None,
                           batch: int = 100, dwell: Any = None) -> pd.DataFrame:  # fmt: skip
        """Scores of the next item: rows = items, columns = lanes; see :func:`keras_port.prediction.next_batch`."""
        arguments = session_ids, input_item_ids, predict_for_item_ids, batch, dwell
        return prediction.next_batch(self._trainer.model, self._ids, self._known, *arguments)

    def reset_sessions(self) -> None:
        """Let the next ``predict_next_batch`` start all lanes afresh."""
        self._known = prediction.KnownSessions()

    forget_predictions = reset_sessions

    def item_indices(self, ids: Any, name: str = "item_ids") -> np.ndarray:
        """Indices of item ids. Raises ValueError naming the first unknown one."""
        return item_ids.indices_of(pd.Index(self._trainer.model.known_ids), ids, name)

    def recommend(self, session_items: Any, k: int = 20, times: Any = None, **chosen: Any) -> Any:
        """Top-k next items of a session, of many, or of a frame's; see :func:`keras_port.serving.recommend`."""
        return serving.recommend(self._trainer.model, self._ids, session_items, k, times, **chosen)

    def export(self, path: str | os.PathLike, k: int = 20, form: str = "savedmodel") -> None:
        """Write a TensorFlow SavedModel, or ONNX, that serves top-k; see :func:`keras_port.serving.export`."""
        serving.export(self._trainer.model, self._ids, path, k, form)

    def save(self, path: str | os.PathLike) -> None:
        """Write weights, settings, item ids, optimizer state, random streams and epochs done to one file, whole."""
        training.save(self._trainer, path)

    @classmethod
    def load(cls, path: str | os.PathLike, **options: Any) -> "GRU4Rec":
        """Read a file of :meth:`save`, or a .keras one. ValueError: damaged; options: as in :meth:`from_model`."""
        return cls.from_model((keras_file.load if keras_file.is_one(path) else checkpoint.read)(path), **options)

    @classmethod
    def from_model(cls, model: SessionModel | checkpoint.Checkpoint, **options: Any) -> "GRU4Rec":
        """A model around one that Keras loaded from a .keras file; options: n_epochs and how it computes."""
        found = model if isinstance(model, checkpoint.Checkpoint) else checkpoint.of_keras(model)
        gru = cls(**found.settings.changed(options, ("n_epochs", "steps_per_call", "jit_compile", "devices")).as_dict())
        gru._name(Trainer.of(found, gru.settings()))
        return gru

    def __getstate__(self) -> dict[str, Any]:
        held = None if self.trainer is None else (self.trainer.checkpoint(), self.get_hidden())
        return {"settings": self._settings, "held": held, "known": self._known.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(_settings=state["settings"], trainer=None, itemidmap=None, _ids=pd.Index([]))
        if state["held"] is not None:
            self._name(Trainer.of(state["held"][0], self._settings))
            self.set_hidden(state["held"][1])
        self._known = state["known"]
