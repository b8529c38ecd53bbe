"""The engine: data, random stream, one step, prediction."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parity.plain.batches import in_sessions, log_popularity, samples, session_parallel
from parity.plain.dropout import MaskStream
from parity.plain.losses import loss_of, predicted
from parity.plain.network import Array, activation, gru, gru_gradients, input_table
from parity.plain.optimizers import SLOTS, Dense, Rates, Rows, capped, updated
from parity.plain.running import Running
from parity.plain.training import train_epoch
from parity.plain.weights import initial
from parity.protocol import Batch, Step

KEYS = {"session_key": "SessionId", "item_key": "ItemId", "time_key": "Time"}


class Plain:
    """GRU4Rec in NumPy; the published options by name, ``dtype`` any NumPy float.

    rounds: only for measuring scales: rounds where NumPy does better than a compiled program may. A slope such as
    1 - tanh(x)^2 is off by 8 units of 1, which elementary functions that are right to 4 units leave of it; for the
    other place see :mod:`parity.plain.losses`.
    """

    computed_on = "NumPy on the CPU"
    itemidmap: pd.Series
    running: Running | None

    def __init__(
        self, dtype: str = "float32", seed: int = 42, dropout_seed: int = 12345, rounds: bool = False, **params: Any
    ):
        for name in ("dwell_time", "dwell_weight"):
            if params.get(name):
                raise NotImplementedError(f"the harness's own program has no {name}")
        self.params, self.dtype, self.seed, self.rounds = params, dtype, seed, rounds
        self.dropout_seed = dropout_seed
        self.layers, self.B = list(params.get("layers", [100])), params.get("batch_size", 32)
        self.n_sample, self.table = params.get("n_sample", 2048), input_table(params)
        self.act, self.rates = activation(params.get("hidden_act", "tanh")), Rates.of(params, dtype)
        self.slots = SLOTS[params.get("adapt", "adagrad") or ""] + (("vel",) if params.get("momentum", 0.0) > 0 else ())

    # Weights and state.

    def set_params(self, **params: Any) -> None:
        """Set options by name."""
        self.params = {**self.params, **params}

    def build(self, n_items: int) -> None:
        """Draw the initial weights, in float64, in the published order."""
        self.n_items, self.random = n_items, np.random.RandomState(self.seed)
        self.masks: list[MaskStream] = []
        self.weights = {name: w.astype(self.dtype) for name, w in initial(self, n_items)}
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.reset_sessions()
        self.state = {f"{slot}/{name}": np.zeros_like(w) for slot in self.slots for name, w in self.weights.items()}
        self.hidden = [np.zeros((self.B, L), self.dtype) for L in self.layers]

    def block(self, rows: int, columns: int, otherwise: float | None = None) -> Array:
        """otherwise: sigma where none is set and it is not that of a new model."""
        sigma = self.params.get("sigma") or otherwise or np.sqrt(6 / (rows + columns))
        if self.params.get("init_as_normal"):
            return self.random.randn(rows, columns) * sigma
        return self.random.rand(rows, columns) * sigma * 2 - sigma

    def _extend(self, n_items: int) -> None:
        """Rows for items that are new, the input's table first; the optimizer starts afresh."""
        n_new = n_items - self.n_items
        for name in dict.fromkeys((self.table, "Wy", "By")) if n_new else ():
            rows, columns = self.weights[name].shape
            sigma = np.sqrt(6 / (rows + columns + n_new))
            new = np.zeros((n_new, columns)) if name == "By" else self.block(n_new, columns, sigma)
            self.weights[name] = np.vstack([self.weights[name], new.astype(self.dtype)])
        self.n_items = n_items
        self._start_afresh()

    def get_weights(self) -> dict[str, Array]:
        return {name: w.copy() for name, w in self.weights.items()}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        self._put(self.weights, weights)

    def get_optimizer_state(self) -> dict[str, Array]:
        return {name: a.copy() for name, a in self.state.items()}

    def set_optimizer_state(self, state: Mapping[str, Array]) -> None:
        self._put(self.state, state)

    def _put(self, tensors: dict[str, Array], values: Mapping[str, Array]) -> None:
        for name, value in values.items():
            if name not in tensors or np.shape(value) != tensors[name].shape:
                raise ValueError(
                    f"{name} of shape {np.shape(value)}: {', '.join(tensors)} in their shapes are accepted"
                )
        tensors |= {name: np.array(value, self.dtype) for name, value in values.items()}

    def get_hidden(self) -> list[Array]:
        return [H.copy() for H in self.hidden]

    def set_hidden(self, hidden: Sequence[Array]) -> None:
        self.hidden = [np.array(H, self.dtype) for H in hidden]

    # Data.

    def prepare(self, data: pd.DataFrame, sample_store: int = 10_000_000, retrain: bool = False) -> None:
        """Item map, sessions, weights, first store of negative samples. retrain: the weights, the stream go on."""
        session, item, time = (data[self.params.get(key, name)].to_numpy() for key, name in KEYS.items())
        ids = pd.Index(pd.unique(item))
        if retrain:
            ids = self.itemidmap.index.append(ids[~ids.isin(self.itemidmap.index)])
            self._extend(len(ids))
        else:
            self.build(len(ids))
        self.itemidmap = pd.Series(np.arange(len(ids)), index=ids)
        self.support = np.bincount(ids.get_indexer(item), minlength=len(ids))
        self.sessions, self.by_time = in_sessions(session, ids.get_indexer(item), time)
        self.rows = max(1, sample_store // self.n_sample) if self.n_sample else 1
        self.store = self._draw() if self.n_sample and self.rows > 1 else []

    def _draw(self) -> list[Array]:
        """The next store of negative samples, or the next row where none is kept."""
        return samples(self.random, self.support, self.params.get("sample_alpha", 0.75), (self.rows, self.n_sample))

    def batches(self) -> Iterator[Batch]:
        """The session-parallel mini-batches of the next epoch."""
        if self.params.get("train_random_order"):
            order = self.random.permutation(len(self.sessions))
        else:
            order = self.by_time if self.params.get("time_sort", True) else np.arange(len(self.sessions))
        in_order = (self.sessions[s] for s in order)
        for X, Y, R, lanes in session_parallel(in_order, self.B, least=1 if self.n_sample else 2):
            if self.n_sample:
                self.store = self.store or self._draw()
                Y = np.r_[Y, self.store.pop(0)]
            yield Batch(X, Y, R, lanes)

    # One step.

    def dropout_sites(self) -> list[tuple[str, int, float]]:
        p_embed, p_hidden = (self.params.get(f"dropout_p_{site}", 0.0) for site in ("embed", "hidden"))
        width = self.layers[-1] if self.table == "Wy" else self.weights["E"].shape[1] if self.table == "E" else 0
        sites = [("embed", width, 1 - p_embed)] if width and p_embed > 0 else []
        return sites + [(f"hidden{k}", L, 1 - p_hidden) for k, L in enumerate(self.layers) if p_hidden > 0]

    def draw_masks(self, M: int) -> list[Array]:
        """The next masks of the dropout stream; see :mod:`parity.plain.dropout`."""
        sites = self.dropout_sites()
        if not self.masks:
            self.masks = [MaskStream(self.dropout_seed, j, p, self.dtype) for j, (_, _, p) in enumerate(sites)]
        return [stream.draw(M, width) for stream, (_, width, _) in zip(self.masks, sites, strict=True)]

    def train_step(
        self, X: Array, Y: Array, R: Array, masks: Sequence[Array] | None = None, gradients: bool = False
    ) -> Step:
        masks = self.draw_masks(len(X)) if masks is None else masks
        drop = {
            site: np.asarray(mask, self.dtype) / self.as_dtype(p)
            for (site, _, p), mask in zip(self.dropout_sites(), masks)
        }
        W, M = self.weights, len(X)
        after, gates = self._forward(X, self.hidden, drop)
        o = after[-1] @ W["Wy"][Y].T + W["By"][Y].T - self._log_q(Y, M)
        loss, d = loss_of(o, self.params, self.rounds)
        d = d / self.as_dtype(self.B)
        g = {"Wy": d.T @ after[-1], "By": d.sum(axis=0)[:, None]}
        dh, left = d @ W["Wy"][Y], self.as_dtype(4 * np.finfo(self.dtype).eps if self.rounds else 0)
        for k in reversed(range(len(self.layers))):
            dv, found = gru_gradients(dh * drop.get(f"hidden{k}", self.as_dtype(1)), gates[k], W, k, self.act, left)
            g |= found
            dh = dv if gates[k].x is None else dv @ W[f"Wx{k}"].T
        dx = dh * drop.get("embed", self.as_dtype(1)) if self.table != "Wx0" else dh
        g[self.table] = np.vstack([dx, g["Wy"]]) if self.table == "Wy" else dx
        self._update(g, X, Y)
        self.hidden = [np.where(np.asarray(R, bool)[:, None], self.as_dtype(0), h) for h in after]
        return Step(float(loss.sum() / self.as_dtype(self.B)), g if gradients else None)

    def as_dtype(self, value: float | np.floating) -> Any:
        """A constant in the engine's type."""
        return np.dtype(self.dtype).type(value)

    def _forward(self, X: Array, hidden: Sequence[Array], drop: Mapping[str, Array]) -> tuple[list[Array], list[Any]]:
        W, x, after, gates = self.weights, self.weights[self.table][X], [], []
        if self.table != "Wx0":
            x = x * drop.get("embed", self.as_dtype(1))
        for k, H in enumerate(hidden):
            looked_up = k == 0 and self.table == "Wx0"
            v = (x if looked_up else x @ W[f"Wx{k}"]) + W[f"Bh{k}"]
            h, kept = gru(None if looked_up else x, v, H, W, k, self.act)
            x = h * drop.get(f"hidden{k}", self.as_dtype(1))
            after.append(x)
            gates.append(kept)
        return after, gates

    def _log_q(self, Y: Array, M: int) -> Array | float:
        """What ``logq`` takes off the scores."""
        if not (logq := self.params.get("logq", 0.0)):
            return self.as_dtype(0)
        log_p = log_popularity(self.support, Y, M, self.params.get("sample_alpha", 0.75))
        return (logq * log_p).astype(self.dtype)[None]

    def _update(self, gradients: dict[str, Array], X: Array, Y: Array) -> None:
        cap = self.params.get("grad_cap", 0.0)
        rows = {"Wy": Rows(np.asarray(Y)), "By": Rows(np.asarray(Y))}
        rows[self.table] = Rows(np.r_[X, Y] if self.table == "Wy" else np.asarray(X))
        for name, g in (capped(gradients, self.as_dtype(cap)) if cap > 0 else gradients).items():
            state = {slot: self.state[f"{slot}/{name}"] for slot in self.slots}
            where = rows.get(name, Dense())
            self.weights[name], new = updated(self.params, self.rates, self.weights[name], g, state, where)
            self.state |= {f"{slot}/{name}": value for slot, value in new.items()}

    # Prediction.

    def scores(self, X: Array, hidden: Sequence[Array], items: Array | None = None) -> tuple[Array, list[Array]]:
        after, _ = self._forward(np.asarray(X), [np.asarray(H, self.dtype) for H in hidden], {})
        Wy, By = (self.weights[name] if items is None else self.weights[name][items] for name in ("Wy", "By"))
        return predicted(after[-1] @ Wy.T + By.T, self.params), after

    def predict_next_batch(
        self, session_ids: Any, input_item_ids: Any, predict_for_item_ids: Any = None, batch: int = 100
    ) -> pd.DataFrame:
        """Scores of the next item: rows = items, columns = lanes; a lane of another session starts from zeros."""
        ids = self.itemidmap.index
        if self.running is None or len(self.running.sessions) != batch:
            self.running = Running(batch, self.layers, self.dtype)
        items = None if predict_for_item_ids is None else ids.get_indexer(pd.Index(np.asarray(predict_for_item_ids)))
        inputs = ids.get_indexer(pd.Index(np.asarray(input_item_ids)))
        found, self.running.states = self.scores(inputs, self.running.hidden(session_ids), items)
        return pd.DataFrame(found.T, index=ids if items is None else ids[items])

    def reset_sessions(self) -> None:
        """The next prediction starts every lane from zeros."""
        self.running = None

    def fit(
        self,
        data: pd.DataFrame,
        sample_store: int = 10_000_000,
        retrain: bool = False,
        resume: bool = False,
        on_epoch_end: Callable[[int, float], None] | None = None,
    ) -> None:
        """Train for ``n_epochs``, or with ``resume`` until so many are done in all, on the data that it has.

        It ends where :func:`parity.plain.training.train_epoch` says so.
        """
        if not resume:
            self.prepare(data, sample_store, retrain)
            self.epochs_done = 0
        self.error_during_train = False
        for epoch in range(self.epochs_done, self.params.get("n_epochs", 10)):
            loss, goes_on = train_epoch(self)
            if not goes_on:
                self.error_during_train = True
                return
            self.epochs_done = epoch + 1
            if on_epoch_end:
                on_epoch_end(epoch, loss)

    def save(self, path: str | os.PathLike[str]) -> None:
        raise NotImplementedError("the harness's own program writes no files")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plain":
        raise NotImplementedError("the harness's own program reads no files")
