"""GRU4Rec: session-based recommendation with a recurrent network (arXiv 1511.06939 and 1706.03847)."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from original import state as states
from original.batches import Batch
from original.dropout import Site, dropout_sites
from original.initial_weights import Weights
from original.prediction import next_scores, require_finite
from original.settings import OPTIONS, Settings
from original.training import Progress, Step

__all__ = ["Batch", "GRU4Rec", "Progress", "Step"]
_OF_STATE = ("itemidmap", "support", "epochs_done", "error_during_train", "fault")


class GRU4Rec:
    """GRU4Rec v2 (2018-06-08). Every option is an attribute too, which goes through :meth:`set_params`.

    Args:
        loss: and all further options, in the published order: :class:`original.settings.Settings` says what they mean.

    Attributes:
        itemidmap: Series, item id -> index, in order of first appearance; None before there are data.
        support: (n,) events of each item in the training data; None before there are data.
        epochs_done: whole epochs of the present training.
        error_during_train: whether a cost was NaN or a weight not finite, which ends the training in that step.
        fault: the same in words: epoch, step, lane and weight; '' where there was none, and in a loaded model.

    Raises:
        ValueError: for a bad option; it names the option, its value and what is accepted.
        RuntimeError: in what needs weights, or data, before there are any.
    """

    def __init__(
        self,
        loss: str = "bpr-max",
        final_act: str = "linear",
        hidden_act: str = "tanh",
        layers: Sequence[int] = (100,),
        n_epochs: int = 10,
        batch_size: int = 32,
        dropout_p_hidden: float = 0.0,
        dropout_p_embed: float = 0.0,
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        lmbd: float = 0.0,
        embedding: int | str = 0,
        n_sample: int = 2048,
        sample_alpha: float = 0.75,
        smoothing: float = 0.0,
        constrained_embedding: bool = False,
        adapt: str | None = "adagrad",
        adapt_params: Sequence[float] = (),
        grad_cap: float = 0.0,
        bpreg: float = 1.0,
        sigma: float = 0.0,
        init_as_normal: bool = False,
        train_random_order: bool = False,
        time_sort: bool = True,
        session_key: str = "SessionId",
        item_key: str = "ItemId",
        time_key: str = "Time",
        *,
        logq: float = 0.0,
        dtype: str = "float32",
        seed: int = 42,
        dropout_seed: int = 12345,
        backend: str = "c",
        device: str = "auto",
    ) -> None:
        given = locals()
        self.settings = Settings(**{name: given[name] for name in OPTIONS})
        self._state = states.State()

    def __getattr__(self, name: str) -> Any:
        """Options and the attributes of the class's docstring."""
        if name in OPTIONS and "settings" in self.__dict__:
            return self.settings.as_dict()[name]
        if name in _OF_STATE and "_state" in self.__dict__:
            return getattr(self._state, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Options go through :meth:`set_params`."""
        if name in OPTIONS:
            self.set_params(**{name: value})
        else:
            object.__setattr__(self._state if name in _OF_STATE else self, name, value)

    def get_params(self) -> dict[str, Any]:
        """Every option in order, in values that JSON has."""
        return self.settings.as_dict()

    def set_params(self, **params: Any) -> "GRU4Rec":
        """Set options by name, to values or texts (:meth:`Settings.parse`): all of them or, on an error, none.

        Once the model is built only ``n_epochs`` changes; :meth:`Settings.changed` says what is raised.
        """
        self.settings = self.settings.changed(params, built=self._state.maybe_built is not None)
        return self

    @property
    def n_items(self) -> int:
        """The number of items."""
        return self._state.built.trainer.network.n_items

    @property
    def computed_on(self) -> str:
        """The program and the device that compute, in words."""
        return self._state.built.trainer.network.backend.description

    def build(self, n_items: int) -> None:
        """Draw the initial weights for ``n_items`` items, clear all states, restart both random streams."""
        self._state = states.of_size(self.settings, n_items)

    def prepare(self, data: Any, sample_store: int = 10_000_000, retrain: bool = False) -> None:
        """All that :meth:`fit` does before its first step: item map, weights, first store of negative samples."""
        self._state = states.prepared(self.settings, data, sample_store, self._state if retrain else None)

    def fit(
        self,
        data: Any,
        sample_store: int = 10_000_000,
        retrain: bool = False,
        *,
        resume: bool = False,
        on_step: Callable[[Progress], None] | None = None,
        on_epoch_end: Callable[[int, float], None] | None = None,
    ) -> None:
        """Train until ``n_epochs`` are done, or a step has a NaN cost or leaves a weight that is not finite.

        Args:
            data: a pandas or Polars frame with a session, an item and a time column; it is not changed. One that cannot
                be trained on is a TypeError or a ValueError that says what is wrong.
            sample_store: how many negative samples are drawn ahead; 0 draws them step by step.
            retrain: go on from the weights on new data, whose new items are added; the optimizer starts afresh.
            resume: go on after the last whole epoch, on the same data with the same store, exactly.
            on_step, on_epoch_end: called with a :class:`Progress` every few steps; with (epoch, loss) after each epoch.
        """
        if retrain and resume:
            raise ValueError("retrain=True with resume=True: one of the two is accepted")
        if resume:
            self._state.resume(self.settings, data, sample_store)
        else:
            self.prepare(data, sample_store, retrain)
        self._state.train(self.settings.n_epochs, on_step, on_epoch_end)

    def batches(self) -> Iterator[Batch]:
        """The batches of the next epoch over the prepared data, samples included, drawn from the model's stream."""
        return self._state.epochs().epoch()

    def dropout_sites(self) -> list[Site]:
        """(name, width, retain probability) of each dropout site in graph order: embed, hidden0, hidden1, ..."""
        return dropout_sites(self.settings)

    def draw_masks(self, M: int) -> list[np.ndarray]:
        """The next masks of the dropout stream: one (M, width) bool array a site, true = kept."""
        return [np.asarray(mask) > 0 for mask in self._state.built.trainer.masks(M)]

    def train_step(self, X: Any, Y: Any, R: Any, masks: Sequence[Any] | None = None, gradients: bool = False) -> Step:
        """One training step from the present weights, optimizer state and hidden state, all of which it updates.

        Without ``gradients`` it runs the very program that ``fit`` runs, compiled once for both; with them another one.

        Args:
            X: (M,) item indices; the hidden state must have M rows, see :meth:`set_hidden`.
            Y: (M + n_sample,) item indices, targets then samples.
            R: (M,) true where a session ends.
            masks: one (M, width) array a dropout site, true = kept; None draws them from the model's stream.
            gradients: whether they are returned. RuntimeError: where ``logq`` > 0 lacks the items' support.
        """
        return self._state.built.trainer.step(X, Y, R, masks, gradients)

    def get_weights(self) -> Weights:
        """Copies of all weights by name."""
        return self._state.built.trainer.get_weights()

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set the named weights, leave the others. Raises ValueError for an unknown name or another shape."""
        self._state.built.trainer.set_weights(weights)

    def first_not_finite(self) -> str | None:
        """The name of the first weight with an entry that is no finite number; None where all are finite."""
        return self._state.built.trainer.first_not_finite()

    def get_optimizer_state(self) -> Weights:
        """Copies of all optimizer state by ``SLOT/WEIGHT``."""
        return self._state.built.trainer.get_optimizer_state()

    def set_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Set the named optimizer state, leave the rest. Raises ValueError for an unknown name or another shape."""
        self._state.built.trainer.set_optimizer_state(state)

    def get_hidden(self) -> list[np.ndarray]:
        """Copies of the training hidden state, one (M, L_k) array a layer."""
        return self._state.built.trainer.get_hidden()

    def set_hidden(self, hidden: Sequence[Any]) -> None:
        """Set the training hidden state. Its number of rows is the number of lanes of the next step."""
        self._state.built.trainer.set_hidden(hidden)

    def scores(self, X: Any, hidden: Sequence[Any], items: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Scores after ``final_act``, softmaxes as probabilities, no dropout; nothing of the model changes.

        Args:
            X: (M,) item indices. hidden: one (M, L_k) array a layer. items: item indices to score, None for all.

        Returns:
            Scores (M, n) or (M, len(items)), and the next hidden state of each layer.
        """
        return self._state.built.scorer.scores(X, hidden, items)

    def reset_sessions(self) -> None:
        """Forget the sessions of earlier ``predict_next_batch`` calls: the next call starts every lane from zeros."""
        self._state.built.sessions.reset_sessions()

    def predict_next_batch(
        self, session_ids: Any, input_item_ids: Any, predict_for_item_ids: Any = None, batch: int = 100
    ) -> pd.DataFrame:
        """Scores of the next item for ``batch`` sessions side by side: a row an item (its id), a column a lane.

        Args:
            session_ids, input_item_ids: (batch,) each lane's session and its latest item. A lane whose session differs
                from the previous call's starts from zeros; another ``batch`` starts all lanes afresh.
            predict_for_item_ids: items to score; None for all.

        Raises:
            ValueError: for other lengths, or an unknown item. RuntimeError: where a weight is not finite.
        """
        known = self._state.items
        require_finite(self, "recommend")
        given = session_ids, input_item_ids, predict_for_item_ids, batch
        return next_scores(self.scores, self._state.built.sessions, known, *given)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write options, weights and all that training needs to go on to one file, whole or not at all."""
        self._state.save(self.settings, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, backend: str | None = None, device: str | None = None) -> "GRU4Rec":
        """A model as it was saved, which ``fit(resume=True)`` trains on; ``backend``, ``device``: other ones."""
        model = cls.__new__(cls)
        model.settings, model._state = states.load(path, backend=backend, device=device)
        return model
