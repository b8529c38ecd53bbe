"""What an implementation must offer to be checked: the :class:`Engine` protocol.

Both shipped engines, ``original.gru4rec.GRU4Rec`` and ``keras_port.GRU4Rec``, follow it; any class of any package that
does can be checked in the same way. Arrays at this interface are NumPy arrays, whatever the engine computes with.

Names
-----
Weights: ``Wx0``, ``Wh0``, ``Wrz0``, ``Bh0``, ``Wx1``, ... (layer by layer), ``Wy`` (n, L), ``By`` (n, 1), and
``E`` (n, embedding) with a separate embedding. With a constrained embedding there is no ``E`` and
``Wx0`` is (L_last, 3*L_0).

Optimizer state: ``SLOT/WEIGHT``, of the shape of the weight. Slots: ``acc`` (sum or running mean of squared gradients;
adagrad, rmsprop, adadelta, adam), ``upd`` (adadelta's running mean of squared updates), ``mean`` (adam's first
moment), ``count`` (adam's step counter), ``vel`` (the velocity, when momentum > 0). A row tensor is ``Wy``, ``By``,
``E``, or ``Wx0`` without an embedding; every other tensor is dense.

Conventions
-----------
* Column blocks of ``Wx`` and ``Bh`` are candidate | reset | update, of ``Wrz`` reset | update. Vectors are rows:
  ``x @ Wx + Bh``. With r, z of the gates: c = hidden_act(v + (r*H) @ Wh), h = (1 - z)*H + z*c. The reset gate acts
  before the product; cuDNN, torch.nn.GRU and torch.nn.GRUCell apply it after, and keep the state by z.
* A gradient is that of the step's cost (mean over the M lanes, times M / batch_size), before ``grad_cap``. A row
  tensor's comes per occurrence, in the order of the indices, rows not summed: ``Wx0`` or ``E`` by X (M rows), ``Wy``
  and ``By`` by Y (N rows). With a constrained embedding ``Wy`` is looked up by concat(X, Y): M rows of X, then N of Y.
* The weight gets minus the step. The velocity is ``vel = momentum*vel - learning_rate*step``, the weight gets + vel.
* ``learning_rate``, ``adapt_params``, 1 - each of them, and 1 - learning_rate*lmbd are rounded to float32, in a float64
  engine too: ``float(np.float32(0.1))``. Every other constant is of the engine's type.
* An optimizer's state starts at 0. Nothing that a caller gives (frame, arrays) is changed, and nothing given or
  returned shares memory with the engine.

``python -m parity doctor ENGINE`` says which of these an engine breaks.

What an engine lacks
--------------------
An option that it does not support raises NotImplementedError in the constructor, or is no parameter of it; a part of
the protocol raises it in the method. The message is the reason that a report gives for "not covered". The option
``logq``, which the release of 2018 lacks, is given only where it is on. Further parts may be left out altogether:

* ``fit(data, sample_store, on_epoch_end=None)``: a full run; ``on_epoch_end(epoch, loss)`` is called after each epoch;
* ``evaluation``, an attribute of the class or a module of that name in its package, with
  ``ranks(engine, test, items=None, batch_size=, mode=)``, which gives a frame with the column ``rank``, a row for
  every event after its session's first, in the order of the test events of known items sorted by (session, time,
  item); and
  ``evaluate_gpu(engine, test, items=None, cut_off=[...], batch_size=, mode=)``, which gives {N: (Recall@N, MRR@N)}.
  All are given by keyword. ``items``: ids of the items that are ranked, all of them where None; ``mode``: standard,
  conservative, median or tiebreaking; ``batch_size``: sessions side by side, of no influence on the outcome;
  ``session_key``, ``item_key``, ``time_key``: given only where the columns have other names than the usual ones;
* ``fit(..., retrain=True)`` goes on from the present weights on further data, whose new items get rows;
  ``fit(..., resume=True)`` goes on with the same training up to ``n_epochs``, which ``set_params(n_epochs=)`` changes;
  ``error_during_train`` says whether a cost or a weight that is no number ended it;
* ``predict_next_batch(session_ids, input_item_ids, predict_for_item_ids=None, batch=)``, which gives a frame of scores,
  rows = items, columns = lanes, and keeps each lane's session, and ``reset_sessions()``, which forgets them;
* ``computed_on``: words for the device and the program that compute.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd


class Batch(NamedTuple):
    """One step's input. M lanes, N = M + n_sample scored items."""

    X: np.ndarray  # (M,) integer, index of each lane's input item
    Y: np.ndarray  # (N,) integer, the lanes' target items, then the negative samples
    R: np.ndarray  # (M,) bool, true where the target is its session's last event
    lanes: np.ndarray  # (M,) integer, ascending; the lane (0..batch_size-1) that each row belongs to


class Step(NamedTuple):
    """What one training step gives back."""

    cost: float  # mean loss over the lanes, times M / batch_size
    gradients: Mapping[str, np.ndarray] | None  # by weight name, before grad_cap; per occurrence for row tensors


class Engine(Protocol):
    """An implementation of GRU4Rec under test.

    The constructor takes the published options by name, and further ``dtype`` (``'float32'`` or ``'float64'``),
    ``seed`` (of the NumPy stream: weights, negative samples, session order; 42) and ``dropout_seed`` (of the MRG31k3p
    stream; 12345).
    """

    itemidmap: pd.Series  # index: item ids in order of first appearance; values: 0..n-1
    n_items: int
    support: np.ndarray  # (n,) integer, events of each item in the training data

    def __init__(self, **params: Any) -> None: ...

    def build(self, n_items: int) -> None:
        """Draw the initial weights for ``n_items`` items, clear all states, restart both random streams."""

    def prepare(self, data: pd.DataFrame, sample_store: int = 10_000_000) -> None:
        """All that ``fit`` does before its first step: item map, session order, weights, first negative samples."""

    def batches(self) -> Iterator[Batch]:
        """The batches of the next epoch over the prepared data, samples drawn from the engine's random stream."""

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all weights by name, in the engine's dtype."""

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the named weights, leave the others. An unknown name or another shape is an error."""

    def get_optimizer_state(self) -> dict[str, np.ndarray]:
        """Copies, by ``SLOT/WEIGHT``; empty for plain SGD without momentum."""

    def set_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """As :meth:`set_weights`."""

    def get_hidden(self) -> list[np.ndarray]:
        """The training hidden state, one (M, L_k) array a layer."""

    def set_hidden(self, hidden: Sequence[np.ndarray]) -> None:
        """Set the training hidden state; its number of rows is the number of lanes of the next step."""

    def dropout_sites(self) -> list[tuple[str, int, float]]:
        """(name, width, retain probability) of each dropout site: ``embed``, then ``hidden0``, ``hidden1``, ..."""

    def draw_masks(self, M: int) -> list[np.ndarray]:
        """The next masks of the engine's dropout stream: one (M, width) bool array a site, true = kept."""

    def fit(
        self,
        data: pd.DataFrame,
        sample_store: int = 10_000_000,
        *,
        on_epoch_end: Callable[[int, float], None] | None = None,
    ) -> None:
        """A full run. May be left out."""

    def train_step(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        R: np.ndarray,
        masks: Sequence[np.ndarray] | None = None,
        gradients: bool = False,
    ) -> Step:
        """One training step from the present weights, optimizer state and hidden state, all of which it updates.

        ``masks=None`` draws them from the engine's own stream. Afterwards the hidden state is the step's new state
        after dropout, zero where R. When a lane has ended, the caller removes its row by ``set_hidden``; ``fit`` does
        so itself.
        """

    def scores(
        self, X: np.ndarray, hidden: Sequence[np.ndarray], items: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Prediction: scores (M, n), or (M, len(items)) for item indices, after final_act, and the next hidden state.

        No dropout, and nothing of the engine's own state changes.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the engine to a file; the harness names it ``model.safetensors``, whatever the format."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Engine": ...
