"""The updates, for dense tensors and for the rows that a step read, as the published program makes them.

An optimizer is one function: gradient and old state to the step, before the learning rate, and the new state. What is
particular to repeated rows lies in ``Rows``: a sum takes every occurrence, a decay acts once, a set keeps the last.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from parity.plain.network import Array

EPS = 1e-6
SLOTS = {"": (), "adagrad": ("acc",), "rmsprop": ("acc",), "adadelta": ("acc", "upd"), "adam": ("acc", "mean", "count")}


class Dense(NamedTuple):
    """A tensor that is updated as a whole."""

    def read(self, table: Array) -> Array:
        return table

    def add(self, table: Array, values: Array) -> Array:
        return table + values

    def decayed(self, table: Array, decay: float, values: Array) -> Array:
        return decay * table + values

    def put(self, table: Array, values: Array) -> Array:
        return values


class Rows(NamedTuple):
    """The rows ``positions`` of a tensor, one an occurrence; a row may occur several times."""

    positions: Array

    def read(self, table: Array) -> Array:
        return table[self.positions]

    def add(self, table: Array, values: Array) -> Array:
        """Every occurrence adds its values."""
        table = table.copy()
        np.add.at(table, self.positions, values)
        return table

    def decayed(self, table: Array, decay: float, values: Array) -> Array:
        """The decay once a distinct row, then the values of every occurrence."""
        table = table.copy()
        distinct = np.unique(self.positions)
        table[distinct] = decay * table[distinct]
        np.add.at(table, self.positions, values)
        return table

    def put(self, table: Array, values: Array) -> Array:
        """The last occurrence of a row stays."""
        table = table.copy()
        table[self.positions] = values
        return table


class Rates(NamedTuple):
    """Hyperparameters as the published program holds them: some are float32 whatever the type of the graph."""

    learning_rate: Any
    keep: list[Any]
    new: list[Any]
    shrink: Any

    @classmethod
    def of(cls, params: Mapping[str, Any], dtype: str) -> "Rates":
        def as_float32(value: float) -> Any:
            return np.dtype(dtype).type(np.float32(value))

        rate = 1.0 if params.get("adapt", "adagrad") == "adadelta" else params.get("learning_rate", 0.1)
        decays = params.get("adapt_params", [])
        return cls(
            as_float32(rate),
            [as_float32(b) for b in decays],
            [as_float32(1 - b) for b in decays],
            as_float32(1 - rate * params.get("lmbd", 0.0)),
        )


def step_of(name: str, g: Array, state: Mapping[str, Array], rates: Rates, where: Dense | Rows):
    """(step, new state) of optimizer ``name``."""
    keep, new, gg = rates.keep, rates.new, g * g
    match name:
        case "":
            return g, {}
        case "adagrad":  # an occurrence of a row steps by the old sum and its own square only
            own = where.read(state["acc"]) + gg
            return g / np.sqrt(own + EPS), {"acc": where.add(state["acc"], gg)}
        case "rmsprop":
            acc = where.decayed(state["acc"], keep[0], new[0] * gg)
            return g / np.sqrt(where.read(acc) + EPS), {"acc": acc}
        case "adadelta":
            acc = where.decayed(state["acc"], keep[0], new[0] * gg)
            q = (where.read(state["upd"]) + EPS) / (where.read(acc) + EPS)
            return g * np.sqrt(q), {"acc": acc, "upd": where.decayed(state["upd"], keep[0], new[0] * q * gg)}
        case "adam":  # both corrections use b1; a row's first moment takes the square of its gradient
            acc = where.decayed(state["acc"], keep[1], new[1] * gg)
            mean = where.decayed(state["mean"], keep[0], new[0] * (gg if isinstance(where, Rows) else g))
            t = where.read(state["count"]) + 1
            correction = 1 - keep[0] ** t
            step = (where.read(mean) / correction) / (np.sqrt(where.read(acc) / correction) + EPS)
            return step, {"acc": acc, "mean": mean, "count": where.add(state["count"], np.ones_like(g))}
    raise ValueError(f"adapt={name!r}: {', '.join(filter(None, SLOTS))} or None is accepted")


def updated(
    params: Mapping[str, Any], rates: Rates, p: Array, g: Array, state: Mapping[str, Array], where: Dense | Rows
) -> tuple[Array, dict[str, Array]]:
    """New tensor and state. L2 acts inside the velocity; without one as a decay, of row tensors in the rows read."""
    step, new = step_of(params.get("adapt", "adagrad") or "", g, state, rates, where)
    lmbd, momentum = params.get("lmbd", 0.0), params.get("momentum", 0.0)
    is_rows = isinstance(where, Rows)
    if lmbd > 0 and (is_rows or momentum > 0):
        step = step + lmbd * where.read(p)
    delta = rates.learning_rate * step
    if momentum > 0:
        velocity = momentum * where.read(state["vel"]) - delta
        return where.add(p, velocity), new | {"vel": where.put(state["vel"], velocity)}
    return where.add(p if is_rows or not lmbd > 0 else rates.shrink * p, -delta), new


def capped(gradients: dict[str, Array], cap: float) -> dict[str, Array]:
    """All gradients times cap/norm where their joint norm reaches the cap."""
    norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
    return {name: g * (cap / norm) for name, g in gradients.items()} if norm >= cap else gradients
