"""The model, from top to bottom: variables, inputs, look-up, forward, cost, updates (arXiv 1511.06939, section 3).

Shapes: M lanes, N = M + n_sample scored items, L_k units in layer k, n items. Column blocks of ``Wx`` and ``Bh``:
candidate | reset | update; of ``Wrz``: reset | update. Nothing is compiled here: the two graphs at the end are values.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from original import activations
from original.dropout import dropout_sites
from original.graphs import backends
from original.graphs.library import Variable, grad, shared, tensor
from original.graphs.rows import Occurrences
from original.graphs.squares import SumOfSquares
from original.initial_weights import Weights, row_tensors
from original.losses import LOSSES, Columns
from original.optimizers import OPTIMIZERS, Hyperparameters, clip, slots, update_dense, update_rows
from original.settings import Settings

Drop = Callable[[str, Variable], Variable]


class Network:
    """A model's variables, and the backend that holds and compiles them.

    Attributes:
        weights: shared variables by name.
        optimizer_state: shared variables by ``SLOT/WEIGHT``.
        hidden: a shared variable (lanes, L_k) a layer.
        n_items: rows of the item tensors.
    """

    def __init__(self, settings: Settings, weights: Weights, optimizer_state: Weights | None = None) -> None:
        self.settings = settings
        self.backend = backend = backends.make(settings.backend, settings.dtype, settings.device)
        self.n_items = len(weights["By"])
        self.weights = {name: backend.shared(value, name) for name, value in weights.items()}
        state = optimizer_state or {
            f"{slot}/{name}": np.zeros(np.shape(value), settings.dtype)
            for name, value in weights.items()
            for slot in slots(settings.adapt, settings.momentum)
        }
        self.optimizer_state = {name: backend.shared(value, name) for name, value in state.items()}
        self.hidden = [
            backend.shared(np.zeros((settings.batch_size, L), settings.dtype), f"H{k}")
            for k, L in enumerate(settings.layers)
        ]
        self._scalars: dict[str, Variable] = {}

    def scalar(self, label: str, value: float) -> Variable:
        """A hyperparameter: a variable, not a constant of the code, which another value would compile anew."""
        if label not in self._scalars:
            self._scalars[label] = shared(np.asarray(value, self.settings.dtype), name=label)
        return self._scalars[label]

    def float32(self, label: str, value: float) -> Variable:
        """One that the published program holds as float32: rounded to it first (golden: recordings in float64)."""
        with np.errstate(over="ignore"):
            return self.scalar(label, float(np.float32(value)))

    def get(self, variables: Mapping[str, Variable]) -> Weights:
        """Copies of variables' values, by name."""
        return {name: self.backend.get(variable) for name, variable in variables.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: the values of the variables."""
        hidden = [self.backend.get(H) for H in self.hidden]
        return _network, (self.settings, self.get(self.weights), self.get(self.optimizer_state), hidden)


def _network(settings: Settings, weights: Weights, optimizer_state: Weights, hidden: list[np.ndarray]) -> Network:
    network = Network(settings, weights, optimizer_state)
    for variable, H in zip(network.hidden, hidden, strict=True):
        network.backend.set(variable, H)
    return network


# Inputs.


class Inputs(NamedTuple):
    """The inputs of a training step.

    Attributes:
        X: (M,) int32, input items. Y: (N,) int32, scored items. R: (M,), 1 where a session ends.
        masks: by dropout site, (M, width), 1 = kept.
        real: (M,), 1 for a lane, 0 for padding; None where nothing is padded.
        last: by 'X', 'Y' and 'XY', the last occurrences of their rows; None where their order is fixed.
    """

    X: Variable
    Y: Variable
    R: Variable
    masks: dict[str, Variable]
    real: Variable | None
    last: dict[str, Variable] | None

    def in_order(self) -> list[Variable]:
        """As a compiled step takes them."""
        padding = [self.real, *self.last.values()] if self.last is not None else []
        return [self.X, self.Y, self.R, *self.masks.values(), *padding]


def step_inputs(network: Network) -> Inputs:
    """The inputs of a training step: of ``batch_size`` lanes where shapes are fixed, else of any number."""
    s = network.settings
    M = s.batch_size if network.backend.fixed_shapes else None
    N = None if M is None else M + s.n_sample

    def vector(name: str, dtype: str, size: int | None) -> Variable:
        return tensor.TensorType(dtype, shape=(size,))(name)

    masks = {
        site.name: tensor.TensorType(s.dtype, shape=(M, site.width))(f"mask_{site.name}") for site in dropout_sites(s)
    }
    real = last = None
    if M is not None and N is not None:
        real = vector("real", s.dtype, M)
        last = {of: vector(f"last_{of}", "int32", size) for of, size in (("X", M), ("Y", N), ("XY", M + N))}
    return Inputs(vector("X", "int32", M), vector("Y", "int32", N), vector("R", s.dtype, M), masks, real, last)


def dropper(network: Network, masks: dict[str, Variable]) -> Drop:
    """``drop(site, x)``: x * mask / retain at a dropout site, x elsewhere."""
    retain = {site.name: network.scalar(f"retain_{site.name}", site.retain) for site in dropout_sites(network.settings)}
    return lambda site, x: x * masks[site] / retain[site] if site in masks else x


# Look-up.


class LookUp(NamedTuple):
    """The rows of item tensors that a step reads.

    Attributes:
        x: (M, width) input rows after dropout. Sy: (N, L) rows of Wy. SBy: (N, 1) rows of By.
        rows: what was looked up, by item tensor: gradients are taken with respect to it.
        occurrences: which rows it was, by item tensor.
    """

    x: Variable
    Sy: Variable
    SBy: Variable
    rows: dict[str, Variable]
    occurrences: dict[str, Occurrences]


def occurrences_of(inputs: Inputs, n_sample: int, dtype: str) -> dict[str, Occurrences]:
    """The rows that X, Y and both one after the other name."""
    rows = {"X": inputs.X, "Y": inputs.Y, "XY": tensor.concatenate([inputs.X, inputs.Y])}
    if inputs.last is None:
        return {of: Occurrences(variable) for of, variable in rows.items()}
    real_Y = real_columns(inputs, n_sample, dtype)
    real = {"X": inputs.real, "Y": real_Y, "XY": tensor.concatenate([inputs.real, real_Y])}
    return {of: Occurrences(variable, inputs.last[of], real[of][:, None]) for of, variable in rows.items()}


def real_columns(inputs: Inputs, n_sample: int, dtype: str) -> Variable | None:
    """(N,), 1 for a real scored item, 0 for a padded lane's; None where nothing is padded."""
    if inputs.real is None or not n_sample:
        return inputs.real
    return tensor.concatenate([inputs.real, np.ones(n_sample, dtype)])


def look_up(network: Network, inputs: Inputs, drop: Drop) -> LookUp:
    """Read a step's rows; a constrained embedding reads Wy at X and Y at once, with one gradient row an occurrence."""
    s, W = network.settings, network.weights
    of = occurrences_of(inputs, s.n_sample, s.dtype)
    if s.input_mode == "constrained":
        M = inputs.X.shape[0]
        S = of["XY"].take(W["Wy"])
        x, Sy = drop("embed", S[:M]), S[M:]
        rows, occurrences = {"Wy": S}, {"Wy": of["XY"]}
    else:
        name = row_tensors(s)[0]
        Sx, Sy = of["X"].take(W[name]), of["Y"].take(W["Wy"])
        x = drop("embed", Sx)
        rows, occurrences = {name: Sx, "Wy": Sy}, {name: of["X"], "Wy": of["Y"]}
    SBy = of["Y"].take(W["By"])
    return LookUp(x, Sy, SBy, rows | {"By": SBy}, occurrences | {"By": of["Y"]})


# Forward.


def gru(network: Network, k: int, v: Variable, H: Variable) -> Variable:
    """Layer k: the next state (M, L), before dropout.

    r, z = sigmoid(v_rz + H·Wrz), c = hidden_act((H * r)·Wh + v_c), (1 - z) * H + z * c: the reset gate acts before the
    matrix product.

    Args:
        v: input part x·Wx + Bh, (M, 3*L). H: state, (M, L).
    """
    L, W = network.settings.layers[k], network.weights
    act = activations.elementwise(network.settings.hidden_act, network.scalar)
    rz = tensor.sigmoid(v[:, L:] + tensor.dot(H, W[f"Wrz{k}"]))
    r, z = rz[:, :L], rz[:, L:]
    c = act(tensor.dot(H * r, W[f"Wh{k}"]) + v[:, :L])
    return (1 - z) * H + z * c


def forward(network: Network, x: Variable, hidden: list[Variable], drop: Drop) -> list[Variable]:
    """Each layer's next state after dropout, which is its output as well.

    Args:
        x: the embedded input (M, width), or, without an embedding, the looked-up rows of Wx0 (M, 3*L_0).
    """
    states = []
    for k, H in enumerate(hidden):
        rows_of_Wx0 = k == 0 and network.settings.input_mode == "none"
        product = x if rows_of_Wx0 else tensor.dot(x, network.weights[f"Wx{k}"])
        x = drop(f"hidden{k}", gru(network, k, product + network.weights[f"Bh{k}"], H))
        states.append(x)
    return states


def output(h: Variable, Sy: Variable, SBy: Variable) -> Variable:
    """Scores before the final activation, o = h·Syᵀ + SBy, (M, N)."""
    return tensor.dot(h, Sy.T) + SBy.flatten()


def final_activation(network: Network, o: Variable, columns: Columns) -> Variable:
    """yhat (M, N)."""
    name = network.settings.final_act
    if name in activations.SOFTMAXES:
        return activations.SOFTMAXES[name](o, columns)
    return activations.elementwise(name, network.scalar)(o)


# Cost.


def log_p(network: Network, inputs: Inputs, support: np.ndarray) -> Variable:
    """log P of each scored column (N,): P is the support of a target's item, of a sample's support**sample_alpha.

    X. Yi et al.: Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019. An item
    without an event in the training data, which only uniform samples can hold, counts as one with one.
    """
    s = network.settings
    log_support = network.backend.shared(np.log(np.maximum(support, 1.0)), "log_support")
    places = tensor.constant(np.arange(s.batch_size + s.n_sample, dtype="int32"))[: inputs.Y.shape[0]]
    power = tensor.switch(
        places < inputs.X.shape[0], np.ones((), s.dtype), network.scalar("sample_alpha", s.sample_alpha)
    )
    return power * log_support[inputs.Y]


def columns_of(network: Network, inputs: Inputs) -> Columns:
    """Which columns of a step's scores are targets, negatives, padding."""
    s = network.settings
    places = np.arange(s.batch_size + s.n_sample, dtype="int32")
    lane = tensor.constant(places[: s.batch_size])
    real = real_columns(inputs, s.n_sample, s.dtype)
    if real is None:
        M, N = inputs.X.shape[0], inputs.Y.shape[0]
        target, count = tensor.eq(tensor.constant(places)[:N][None, :], lane[:M][:, None]), N
    else:
        target, count = tensor.constant(places[None, :] == lane.data[:, None]), real.sum()
    return Columns(tensor.cast(target, s.dtype), tensor.cast(count, s.dtype), real, network.scalar("tiny", 1e-24))


def losses(network: Network, yhat: Variable, columns: Columns) -> Variable:
    """Each lane's loss, (M,)."""
    s = network.settings
    extra = {}
    if s.loss in ("cross-entropy", "xe_logit") and s.smoothing > 0:
        extra["smoothing"] = network.scalar("smoothing", s.smoothing)
    if s.loss == "bpr-max":
        extra["bpreg"] = network.scalar("bpreg", s.bpreg)
    return LOSSES[s.loss](yhat, columns, **extra)


def cost(network: Network, inputs: Inputs, o: Variable, support: np.ndarray | None) -> Variable:
    """The sum of the lanes' losses over ``batch_size``: their mean times M / batch_size.

    Args:
        o: scores (M, N). support: (n,), which ``logq`` > 0 needs.
    """
    s = network.settings
    if s.logq > 0:
        assert support is not None  # the trainer has seen to it
        o = o - network.scalar("logq", s.logq) * log_p(network, inputs, support)
    columns = columns_of(network, inputs)
    loss = losses(network, final_activation(network, o, columns), columns)
    real = loss if inputs.real is None else loss * inputs.real
    return real.sum() / network.scalar("batch_size", s.batch_size)


# Updates.


def hyperparameters(network: Network) -> Hyperparameters:
    """The symbolic scalars of an update."""
    s, f = network.settings, network.float32
    return Hyperparameters(
        lr=f("learning_rate", s.learning_rate),
        b=[f(f"adapt_params/{i}", b) for i, b in enumerate(s.adapt_params)],
        one_minus_b=[f(f"1-adapt_params/{i}", 1 - b) for i, b in enumerate(s.adapt_params)],
        one_minus_lr_lmbd=f("1-learning_rate*lmbd", 1 - s.learning_rate * s.lmbd),
        momentum=network.scalar("momentum", s.momentum),
        lmbd=network.scalar("lmbd", s.lmbd) if s.lmbd > 0 else None,
        eps=network.scalar("eps", 1e-6),
    )


def updates(
    network: Network, gradients: dict[str, Variable], occurrences: dict[str, Occurrences]
) -> tuple[list[tuple[Variable, Variable]], Variable]:
    """(variable, new value) of every weight and its optimizer state, and how far the step went.

    ``gradients`` may be capped first. The reach is the sum of squares of the dense tensors' new values and of the rows'
    moves. While it is finite, weights that were finite are so still: no move is above the root of the largest number,
    and many of these are lost in the rounding of that. What it costs is a pass over numbers that the step has at hand.
    """
    s, hyper = network.settings, hyperparameters(network)
    optimizer = OPTIMIZERS[s.adapt]
    if s.grad_cap > 0:
        capped = clip(list(gradients.values()), network.scalar("grad_cap", s.grad_cap))
        gradients = dict(zip(gradients, capped, strict=True))
    changed, reach = [], []
    for name, g in gradients.items():
        p = network.weights[name]
        state = {slot: network.optimizer_state[f"{slot}/{name}"] for slot in slots(s.adapt, s.momentum)}
        if name in occurrences:
            value, new, moved = update_rows(optimizer, p, g, state, hyper, occurrences[name])
        else:
            value, new = update_dense(optimizer, p, g, state, hyper)
            moved = value
        reach.append(SumOfSquares()(moved))
        changed += [(p, value)] + [(state[slot], new[slot]) for slot in state]
    return changed, sum(reach)


# The two graphs.


class TrainingGraph(NamedTuple):
    """One training step: inputs, cost, reach (:func:`updates`), gradients (item tensors' by occurrence), updates."""

    inputs: list[Variable]
    cost: Variable
    reach: Variable
    gradients: dict[str, Variable]
    updates: list[tuple[Variable, Variable]]


def training_graph(network: Network, support: np.ndarray | None = None) -> TrainingGraph:
    """The graph of a training step; ``support`` (n,) is needed where ``logq`` > 0."""
    inputs = step_inputs(network)
    drop = dropper(network, inputs.masks)
    looked_up = look_up(network, inputs, drop)
    states = forward(network, looked_up.x, network.hidden, drop)
    total = cost(network, inputs, output(states[-1], looked_up.Sy, looked_up.SBy), support)
    dense = {name: variable for name, variable in network.weights.items() if name not in looked_up.rows}
    sources = looked_up.rows | dense
    gradients = dict(zip(sources, grad(total, list(sources.values())), strict=True))
    hidden = [(H, state * (1 - inputs.R)[:, None]) for H, state in zip(network.hidden, states, strict=True)]
    changed, reach = updates(network, gradients, looked_up.occurrences)
    return TrainingGraph(inputs.in_order(), total, reach, gradients, hidden + changed)


class PredictionGraph(NamedTuple):
    """Prediction: inputs (X, H_0, ..., [items]), outputs (scores, next H_0, ...)."""

    inputs: list[Variable]
    outputs: list[Variable]


def prediction_graph(
    network: Network, lanes: int | None = None, n_scored: int | None = None, all_items: bool = True
) -> PredictionGraph:
    """The graph of a prediction: softmaxes as probabilities, no dropout, no change of state.

    Args:
        lanes, n_scored: fixed shapes, where the backend wants them.
        all_items: whether every item is scored, or those of a further input.
    """
    s, W = network.settings, network.weights
    X = tensor.TensorType("int32", shape=(lanes,))("X")
    hidden = [tensor.TensorType(s.dtype, shape=(lanes, L))(f"H{k}") for k, L in enumerate(s.layers)]
    inputs = [X, *hidden]
    Sy, SBy = W["Wy"], W["By"]
    if not all_items:
        items = tensor.TensorType("int32", shape=(n_scored,))("items")
        inputs.append(items)
        Sy, SBy = Sy[items], SBy[items]
    states = forward(network, W[row_tensors(s)[0]][X], hidden, lambda site, x: x)
    o = output(states[-1], Sy, SBy)
    every = Columns(tensor.constant(np.zeros((), s.dtype)), None, None, None)
    softmax = s.final_act in activations.SOFTMAXES
    yhat = activations.softmax(o, every) if softmax else final_activation(network, o, every)
    return PredictionGraph(inputs, [yhat, *states])
