"""One training step, and many in one call, as pure functions of a state and a batch.

A state is a dict of tensors: weights by name, slots as ``SLOT/NAME``, ``hidden0``, ... (B, L_k), and with ``logq``
``log_support`` (n,). A batch is one step of a chunk of :class:`~keras_port.batches.SessionParallel`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from keras_port import backend, numbers, optimizers
from keras_port.model import SessionModel
from keras_port.optimizers import Occurrences
from keras_port.settings import Settings

State = Mapping[str, Any]
Batch = Mapping[str, Any]


def training_step(model: SessionModel, state: State, batch: Batch) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """One training step.

    Row tensors are read first, and the gradient is that of the rows read, so that nothing is of a table's size.

    Returns:
        What changes of the state; the cost; the gradients by weight name, before grad_cap, per occurrence for rows.
    """
    where, given = occurrences_of(model, batch), numbers.within(model.settings, batch)
    rows = model.split.take_all(
        {name: state[name] for name in where}, {name: found.rows for name, found in where.items()}
    )
    dense = {name: state[name] for name in model.named_weights if name not in rows}
    hidden = [state[f"hidden{k}"] for k in range(len(model.settings.layers))]

    def cost_of(arguments: Mapping[str, Any]) -> Any:
        with model.using({name: arguments[name] for name in dense}):
            return model.training_cost(arguments, hidden, batch)

    cost, hidden, gradients = backend.value_and_gradients(cost_of, {**rows, **dense})
    goes_on = ops.expand_dims(ops.logical_and(batch["lanes"], ops.logical_not(batch["R"])), 1)
    changed = {f"hidden{k}": ops.where(goes_on, H, ops.zeros_like(H)) for k, H in enumerate(hidden)}

    rule, rates = optimizers.rule_of(model.settings.adapt, given.decays), given.rates
    for name, g in optimizers.capped(gradients, given.grad_cap).items():
        slots = optimizers.slots_of(rule, name, state)
        if name in rows:
            new = model.split.update(
                partial(optimizers.update_rows, rule, rates), state[name], rows[name], g, slots, where[name]
            )
        else:
            new = optimizers.update_dense(rule, rates, state[name], g, slots)
        changed[name] = new[0]
        changed.update(optimizers.named(new[1], name))
    return changed, cost, gradients


def occurrences_of(model: SessionModel, batch: Batch) -> dict[str, Occurrences]:
    """Where each row tensor is read in a step."""
    lanes = ops.cast(batch["lanes"], model.settings.dtype)
    samples = ops.ones((batch["Y"].shape[0] - lanes.shape[0],), dtype=lanes.dtype)
    rows = {"X": batch["X"], "Y": batch["Y"], "XY": ops.concatenate([batch["X"], batch["Y"]])}
    real = {"X": [lanes], "Y": [lanes, samples], "XY": [lanes, lanes, samples]}
    return {
        name: Occurrences(rows[place], ops.expand_dims(ops.concatenate(real[place]), 1), batch.get(f"last_{place}"))
        for name, place in model.read_at.items()
    }


def with_log_q(model: SessionModel, state: State, batch: Batch) -> Batch:
    """The batch, or chunk of batches, and the ``log_q`` (..., N) that is subtracted from the scores of Y.

    log_q = logq * log P; P = support of the item for the B targets, support^sample_alpha for the samples.
    """
    settings: Settings = model.settings
    if not settings.logq:
        return batch
    log_P = model.split.take(state["log_support"], batch["Y"])
    alpha = np.where(np.arange(log_P.shape[-1]) < settings.batch_size, 1.0, settings.sample_alpha)
    return {**batch, "log_q": log_P * ops.cast(settings.logq * alpha, settings.dtype)}


def run_steps(model: SessionModel, state: State, chunk: Batch) -> tuple[State, Any]:
    """``chunk['steps']`` training steps, or the first of them, up to one that is not :func:`known_finite`.

    Results: each step's cost (K,); how many steps were done; whether all of them were known to be finite.
    """
    alike = {name: ops.convert_to_tensor(chunk[name]) for name in (numbers.NAME,) if name in chunk}
    single = ("steps", *alike)
    batches: Batch = {name: ops.convert_to_tensor(values) for name, values in chunk.items() if name not in single}
    batches = with_log_q(model, state, batches)
    steps = ops.cast(chunk["steps"], "int32")
    places = ops.arange(batches["X"].shape[0], dtype="int32")

    def goes_on(i: Any, finite: Any, state: State, costs: Any) -> Any:
        return ops.logical_and(i < steps, finite)

    def body(i: Any, finite: Any, state: State, costs: Any) -> tuple[Any, Any, State, Any]:
        batch = {name: ops.take(values, i, axis=0) for name, values in batches.items()} | alike
        changed, cost, _ = training_step(model, state, batch)
        finite = known_finite(model, changed, cost, batch)
        return i + 1, finite, {**state, **changed}, ops.where(places == i, cost, costs)

    costs = ops.zeros((batches["X"].shape[0],), dtype=model.settings.dtype)
    start = (ops.zeros((), "int32"), ops.ones((), "bool"), state, costs)
    done, finite, state, costs = ops.while_loop(goes_on, body, start)
    return state, (costs, done, finite)


def known_finite(model: SessionModel, changed: State, cost: Any, batch: Batch) -> Any:
    """Whether the cost and every weight that a step wrote are finite. Very large ones may be and give false.

    The sum of squares of what was written is finite only if all of it is; it is cheaper than a test of each number.
    """
    where = occurrences_of(model, batch)
    read = {name: changed[name] for name in where}
    written = model.split.take_all(read, {name: found.rows for name, found in where.items()})
    total = cost
    for name in model.named_weights:
        values = written[name] if name in where else changed[name]
        rows = ops.reshape(values, (-1, values.shape[-1]))
        # a product with ones runs in the matrix library, where XLA would make a slow loop of the sum
        total = total + ops.sum((rows * rows) @ ops.ones((rows.shape[1], 1), rows.dtype))
    return ops.isfinite(total)


def single_step(model: SessionModel, state: State, batch: Batch) -> tuple[State, Any]:
    """One training step. Results: its cost and its gradients."""
    batch = {name: ops.convert_to_tensor(values) for name, values in batch.items()}
    changed, cost, gradients = training_step(model, state, with_log_q(model, state, batch))
    return changed, (cost, gradients)
