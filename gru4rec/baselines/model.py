"""What every baseline is to the commands: options, fit, scores, save, load."""

import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from gru4rec.baselines import archive, evaluation
from gru4rec.baselines.options import Option, Table
from gru4rec.frames import Columns

if TYPE_CHECKING:
    from original.events import Events


class Baseline(ABC):
    """A model that is counted rather than trained: it has no epochs, no seed and no random numbers.

    Args:
        session_key, item_key, time_key: the columns.
        options: those of the class's ``OPTIONS``.

    Attributes:
        itemidmap: Series, item id -> index, in order of first appearance; None before ``fit``.
        support: (n,) events of each item in the training data; None before ``fit``.
        layers, dtype: of the state between two events: the last items of a session, as indices + 1, 0 for none.
    """

    NAME: ClassVar[str]
    OPTIONS: ClassVar[dict[str, Option]]
    HISTORY: ClassVar[int] = 1  # events of a running session that are looked at
    evaluation = evaluation
    dtype = "int32"
    n_epochs = 0
    error_during_train = False

    def __init__(
        self, *, session_key: str = "SessionId", item_key: str = "ItemId", time_key: str = "Time", **options: Any
    ) -> None:
        self.session_key, self.item_key, self.time_key = session_key, item_key, time_key
        if unknown := [name for name in options if name not in self.OPTIONS]:
            raise ValueError(f"{unknown[0]}: no option of {self.NAME}; {', '.join(self.OPTIONS)} are accepted")
        self.options = {
            name: option.checked(name, options.get(name, option.default)) for name, option in self.OPTIONS.items()
        }
        self.itemidmap: pd.Series | None = None
        self.support: np.ndarray | None = None
        self.arrays: dict[str, np.ndarray] = {}

    @classmethod
    def table(cls) -> Table:
        """The options, as the commands ask for them."""
        return Table(cls.NAME, cls.OPTIONS)

    @property
    def layers(self) -> list[int]:
        return [self.HISTORY]

    @abstractmethod
    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        """What is kept of the training sessions, by name."""

    @abstractmethod
    def prepared(self) -> Any:
        """The same in the form that :meth:`score` reads, as ``self.held``."""

    @abstractmethod
    def score(self, history: np.ndarray) -> np.ndarray:
        """Scores (M, n) float64 after the items of ``history`` (M, HISTORY): indices + 1, newest last, 0 for none."""

    @cached_property
    def held(self) -> Any:
        """See :meth:`prepared`."""
        return self.prepared()

    def matrix(self, name: str) -> csr_array:
        """The sparse matrix of this name among what was learnt."""
        parts = [self.arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr")]
        return csr_array(tuple(parts), shape=tuple(self.arrays[f"{name}.shape"].tolist()))

    def get_params(self) -> dict[str, Any]:
        """Every option, and the columns."""
        return self.options | dict(session_key=self.session_key, item_key=self.item_key, time_key=self.time_key)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self._items())

    def _items(self) -> pd.Series:
        if self.itemidmap is None:
            raise RuntimeError("the model has no weights yet: call fit, prepare, build or load first")
        return self.itemidmap

    def fit(self, data: Any, sample_store: int = 0, *, resume: bool = False, on_step: Any = None,
            on_epoch_end: Any = None) -> None:  # fmt: skip
        """Count.

        Args:
            data: a pandas or Polars frame of events.
            sample_store, on_step, on_epoch_end: of no use here, as a baseline has no steps.
            resume: refused.

        Raises:
            TypeError, ValueError: for a frame that cannot be read.
        """
        if resume:
            raise ValueError(f"resume=True: {self.NAME} has no epochs, fit it anew")
        from original import events as of_original  # no engine before it is asked for

        events = of_original.read(data, of_original.Columns(self.session_key, self.item_key, self.time_key))
        self.arrays = self.learn(events)
        self.__dict__.pop("held", None)
        self.itemidmap, self.support = _item_map(events.item_ids, self.item_key), events.support

    def scores(self, X: Any, hidden: Any, items: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Scores (M, n), or (M, len(items)), after the items X (M,), and the next state, as an engine gives them.

        Args:
            X: item indices.
            hidden: the state (M, HISTORY), zeros for new sessions.
            items: indices of the items to score; None for all.
        """
        X = _checked("X", X, self.n_items)
        history = np.concatenate([np.asarray(hidden[0], np.int32)[:, 1:], X[:, None] + 1], axis=1)
        found = self.score(history)
        return (found if items is None else found[:, _checked("items", items, self.n_items)]), [history]

    def get_weights(self) -> dict[str, np.ndarray]:
        """What was learnt, by name."""
        return dict(self.arrays)

    def first_not_finite(self) -> None:
        """None: counts are finite."""
        return

    @property
    def computed_on(self) -> str:
        """In words."""
        return "NumPy and SciPy on the CPU"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learnt to one file, whole or not at all."""
        items = self._items()
        columns = Columns(self.session_key, self.item_key, self.time_key)
        archive.write(Path(path), self.NAME, self.options, columns, items.index, self.support, self.arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Baseline":
        """A model as it was saved. Raises ValueError for a damaged file, or one of another baseline."""
        found = archive.read(Path(path))
        if found.name != cls.NAME:
            raise ValueError(f"{path} was saved by {found.name}, not by {cls.NAME}")
        try:
            keys = dict(zip(("session_key", "item_key", "time_key"), found.columns, strict=True))
            model = cls(**found.options, **keys)
            model.arrays, model.support = found.arrays, found.support
            model.itemidmap = _item_map(found.item_ids, model.item_key)
            model.score(np.ones((1, cls.HISTORY), np.int32))  # shapes that do not fit show here
        except (KeyError, TypeError, ValueError, IndexError) as problem:
            raise ValueError(f"{path} is damaged: {problem}") from None
        return model


def _item_map(ids: pd.Index, name: str) -> pd.Series:
    return pd.Series(np.arange(len(ids)), index=ids.rename(name), name="ItemIdx")


def _checked(name: str, indices: Any, n_items: int) -> np.ndarray:
    found = np.asarray(indices)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise ValueError(f"{name} has shape {found.shape} and type {found.dtype}: a vector of integers is accepted")
    if found.min() < 0 or found.max() >= n_items:
        raise ValueError(f"{name} names item index {found.min()}..{found.max()}: 0..{n_items - 1} are accepted")
    return found.astype(np.int32)
