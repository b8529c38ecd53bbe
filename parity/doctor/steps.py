"""One training step against the harness's own program: form of the GRU, cost, gradients, update."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.doctor.findings import Doctor
from parity.doctor.forms import DOCUMENTED, advice_on, distance, factor, form_of, shapes_of
from parity.plain import Plain
from parity.protocol import Batch, Engine

_RULES = {
    "acc": "starts at 0 and gets the square of the gradient; of a repeated row that of every occurrence, the sum",
    "vel": "vel = momentum*vel - learning_rate*step, and the weight gets + vel (PyTorch keeps the other sign, without "
    "the rate); of a repeated row the last occurrence's stays",
}
OTHER_ROUNDING = 2e-10  # float64: a rate not rounded to float32 is 1.5e-8 away


class Case(NamedTuple):
    """A step from a state that shows repeated rows, ended sessions, and old state."""

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    hidden: list[np.ndarray]
    batch: Batch
    masks: list[np.ndarray]


def case_of(own: Plain, M: int, seed: int = 11, velocity: bool = False) -> Case:
    """A step of M lanes. velocity: whether there is one already."""
    random, n = np.random.default_rng(seed), own.n_items

    def uniform(shape: tuple) -> np.ndarray:
        return random.uniform(-0.6, 0.6, shape).astype(own.dtype)

    weights = {name: uniform(w.shape) for name, w in own.get_weights().items()}
    optimizer = {}
    for name, a in own.get_optimizer_state().items():
        positive = not name.startswith("vel/")
        optimizer[name] = np.abs(uniform(a.shape)) if positive else uniform(a.shape) * velocity
    hidden = [uniform((M, L)) for L in own.layers]
    X = random.integers(0, n, M)
    X[-1] = X[0]  # a repeated row
    Y = random.integers(0, n, M + own.n_sample)
    Y[-1] = Y[0]
    R = np.arange(M) == 1
    masks = [random.random((M, width)) < 0.6 for _, width, _ in own.dropout_sites()]
    return Case(weights, optimizer, hidden, Batch(X, Y, R, np.arange(M)), masks)


class Outcomes(NamedTuple):
    """What a step leaves. Gradients are None where they were not asked for."""

    cost: float
    gradients: Mapping[str, np.ndarray] | None
    hidden: list[np.ndarray]
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]


def take(engine: Engine, case: Case, gradients: bool, masks: Sequence[np.ndarray] | None = None) -> Outcomes:
    """The step of ``case``, from copies of its arrays."""
    engine.set_weights({n: w.copy() for n, w in case.weights.items()})
    if case.optimizer:
        engine.set_optimizer_state({n: a.copy() for n, a in case.optimizer.items()})
    engine.set_hidden([H.copy() for H in case.hidden])
    X, Y, R, _ = (np.array(part) for part in case.batch)
    step = engine.train_step(X, Y, R, masks=case.masks if masks is None else masks, gradients=gradients)
    cost, found = step
    return Outcomes(cost, found, engine.get_hidden(), engine.get_weights(), engine.get_optimizer_state())


def step_taken(doctor: Doctor) -> None:
    """A step against the harness's own program: what it returns, the GRU's form, cost, gradients, update."""
    say, engine, own = doctor.say, doctor.prepared(), doctor.plain()
    case = case_of(own, doctor.base["batch_size"])
    wanted = take(own, case, True)
    found = take(engine, case, False)
    say(
        "step",
        "what train_step returns",
        isinstance(found.cost, (float, np.floating)) and found.gradients is None,
        "Step(cost, gradients): a Python float, and None where no gradients are asked for",
        f"{type(found.cost).__name__}, {type(found.gradients).__name__}",
    )
    _shape_of_gru(doctor, case, wanted, found)
    k, close = float(found.cost) / wanted.cost, doctor.close
    say(
        "step",
        "cost",
        abs(k - 1) < close,
        f"the mean of the lanes' losses is wanted; it is {k:.6g} times that. "
        "1/M of it: the mean twice; M times: the sum. Any other factor: final_act, the softmax over negatives without "
        "the target, bpreg, By",
        f"{float(found.cost):.10g}, wanted {wanted.cost:.10g}",
    )
    _update(doctor, case, wanted, found)
    doctor.probe(
        "step",
        "gradients",
        _gradients,
        engine,
        case,
        wanted,
        found,
        costs="the check gradients is not covered; a fault then shows in update only",
    )
    M = doctor.base["batch_size"] - 1
    short = case_of(own, M, seed=12, velocity=True)
    wanted, found = take(own, short, True), take(engine, short, False)
    k = float(found.cost) / wanted.cost
    say(
        "step",
        f"cost of {M} lanes",
        abs(k - 1) < close,
        "mean over the M lanes, times M / batch_size: a step with "
        f"fewer lanes counts less; it is {k:.6g} times that"
        + (" (the factor is missing)" if abs(k - (M + 1) / M) < 1e-6 else ""),
    )
    _untouched(doctor, engine, case)


def _untouched(doctor: Doctor, engine: Engine, case: Case) -> None:
    """The arrays given to a step, and rows that it does not read."""
    given = [np.array(part) for part in case.batch[:3]]
    engine.set_weights(case.weights)
    weights = {n: w.copy() for n, w in engine.get_weights().items()}
    hidden = [H.copy() for H in case.hidden]
    engine.set_hidden(hidden)
    engine.train_step(given[0], given[1], given[2], masks=case.masks, gradients=False)
    same = all(map(np.array_equal, given, case.batch)) and all(map(np.array_equal, hidden, case.hidden))
    doctor.say("step", "the caller's arrays", same, "X, Y, R or the hidden state given are changed: work on copies")
    unread = np.setdiff1d(np.arange(engine.n_items), np.r_[case.batch.X, case.batch.Y])
    after = engine.get_weights()
    same = all(np.array_equal(after[n][unread], w[unread]) for n, w in weights.items() if len(w) == engine.n_items)
    doctor.say(
        "step",
        "rows that were not read",
        same,
        "they stay to the last bit: update only the rows of X and Y (a dense optimizer with momentum moves all)",
        "unchanged" if same else "changed",
    )


def _shape_of_gru(doctor: Doctor, case: Case, wanted: Outcomes, found: Outcomes) -> None:
    """The hidden state: rows that ended, and which form of the GRU gave it."""
    ended = case.batch.R
    reset = all(not np.any(H[ended]) for H in found.hidden)
    doctor.say("step", "state where a session ended", reset, "after the step the rows of R are zero")
    if distance(found.hidden[0][~ended], wanted.hidden[0][~ended]) < doctor.close:
        doctor.say("step", "form of the GRU", True, found=str(DOCUMENTED))
        return
    form = form_of(
        case.weights,
        case.batch.X[~ended],
        case.hidden[0][~ended],
        found.hidden[0][~ended],
        doctor.base["hidden_act"],
        doctor.close,
    )
    doctor.say("step", "form of the GRU", False, advice_on(form), str(form) if form else "unknown")


def _update(doctor: Doctor, case: Case, wanted: Outcomes, found: Outcomes) -> None:
    """What the step changed, by tensor, as a multiple of what it should have."""
    rate = doctor.base["learning_rate"]
    unrounded = rate / float(np.float32(rate))
    factors = {}
    for name, start in case.weights.items():
        change = np.asarray(found.weights[name], float) - start, np.asarray(wanted.weights[name], float) - start
        factors[name] = factor(*change)
    scaled = {name: k for name, (k, rest) in factors.items() if rest < max(doctor.close, 1e-9)}
    others = [name for name in factors if name not in scaled]
    signs = {name for name, k in scaled.items() if k < 0}
    doctor.say(
        "update",
        "sign",
        not signs,
        f"the weight gets minus the learning rate times the step: {', '.join(signs)} went the other way",
    )
    sizes = {name: k for name, k in scaled.items() if abs(abs(k) - 1) > max(doctor.close, 1e-6)}
    text = ", ".join(f"{name} {abs(k):.4g} times" for name, k in sizes.items())
    repeated = _only_repeated(case, wanted, found, others)
    doctor.say(
        "update",
        "size",
        not sizes and not others,
        (f"of wanted: {text}. " if sizes else "")
        + (f"no multiple of wanted: {', '.join(others)}. " if others else "")
        + (repeated or "adagrad: g/sqrt(acc + g^2 + 1e-6), eps inside the root, acc from 0"),
        "" if sizes or others else "as published",
    )
    if doctor.dtype == "float64" and scaled:
        k = float(np.median([abs(k) for k in scaled.values()]))
        if abs(k - 1) < OTHER_ROUNDING or abs(k - unrounded) < OTHER_ROUNDING:
            doctor.say(
                "update",
                "learning rate as float32",
                abs(k - 1) < OTHER_ROUNDING,
                f"the steps are those of {rate!r} itself. The published program holds learning_rate, adapt_params "
                "and their complements as float32, in float64 too: use float(np.float32(learning_rate))",
                f"{float(np.float32(rate))!r}" if abs(k - 1) < OTHER_ROUNDING else repr(rate),
            )
    _optimizer(doctor, case, wanted, found)


def _optimizer(doctor: Doctor, case: Case, wanted: Outcomes, found: Outcomes) -> None:
    """What the step changed in the optimizer's state, slot by slot."""
    for slot in sorted({name.partition("/")[0] for name in case.optimizer}):
        wrong = {}
        for name in (name for name in case.optimizer if name.startswith(f"{slot}/") and name in found.optimizer):
            start = case.optimizer[name]
            if np.shape(found.optimizer[name]) != start.shape:
                wrong[name] = "another shape"
                continue
            k, rest = factor(*(np.asarray(side.optimizer[name], float) - start for side in (found, wanted)))
            if rest > max(doctor.close, 1e-9) or abs(k - 1) > max(doctor.close, 1e-6):
                wrong[name] = f"changed by {k:.4g} times what it should" if rest < 1e-6 else "another value"
        doctor.say(
            "update",
            f"state {slot}",
            not wrong,
            _RULES.get(slot, "see parity/plain/optimizers.py"),
            "; ".join(
                f"{what}: {', '.join(n for n in wrong if wrong[n] == what)}" for what in dict.fromkeys(wrong.values())
            ),
        )


def _only_repeated(case: Case, wanted: Outcomes, found: Outcomes, names: list[str]) -> str:
    """Advice where row tensors differ in rows that occur several times, and nowhere else."""
    n = len(case.weights["Wy"])
    for name in names:
        if len(case.weights[name]) != n or np.shape(found.weights[name]) != np.shape(wanted.weights[name]):
            continue
        index = case.batch.X if name == "Wx0" else case.batch.Y
        rows, times = np.unique(index, return_counts=True)
        alone, several = rows[times == 1], rows[times > 1]
        near = distance(found.weights[name][alone], wanted.weights[name][alone]) < 1e-9
        if near and len(several):
            return (
                f"{name} differs in rows that occur several times only: every occurrence makes its own step, from "
                "the state before the batch and its own gradient (no summing first, no step of the last alone)"
            )
    return ""


def _gradients(doctor: Doctor, engine: Engine, case: Case, wanted: Outcomes, without: Outcomes) -> None:
    """Names, shapes and values, and that asking for them changes nothing."""
    found = take(engine, case, True)
    given, own = found.gradients or {}, wanted.gradients or {}
    doctor.say(
        "step",
        "with and without gradients",
        all(distance(w, without.weights.get(n)) < doctor.close for n, w in found.weights.items()),
        "the two calls leave other weights: they are to be one step, of one program if possible",
    )
    shapes = {n: np.shape(g) for n, g in given.items()}, {n: np.shape(g) for n, g in own.items()}
    doctor.say(
        "gradients",
        "names and shapes",
        shapes[0] == shapes[1],
        f"dense tensors whole; row tensors (Wx0 or E, Wy, By) a row an occurrence; wanted: {shapes_of(shapes[1])}",
        shapes_of(shapes[0]),
    )
    both = {n: factor(given[n], g) for n, g in own.items() if shapes[0].get(n) == np.shape(g)}
    wrong = {n: k for n, (k, rest) in both.items() if rest > doctor.close or abs(k - 1) > doctor.close}
    words = ", ".join(f"{n} ({k:.4g} times wanted)" if both[n][1] < 1e-6 else n for n, k in wrong.items())
    doctor.say(
        "gradients",
        "values",
        not wrong,
        f"other ones: {words}. Of the step's cost (mean times M/B), before "
        "grad_cap, of the weight and not of its update",
    )


def single_precision(doctor: Doctor) -> None:
    """float32, the type that people use."""
    engine = doctor.prepared("float32")
    kinds = {str(np.asarray(w).dtype) for w in engine.get_weights().values()}
    doctor.say(
        "float32",
        "types of weights",
        kinds == {"float32"},
        "dtype='float32' is to compute in float32",
        ", ".join(sorted(kinds)),
    )
    own = doctor.plain("float32")
    case = case_of(own, doctor.base["batch_size"])
    wanted, found = take(own, case, False), take(engine, case, False)
    away = max(distance(found.weights[n], w) for n, w in wanted.weights.items())
    doctor.say(
        "float32",
        "a step",
        away < 1e-4,
        "another outcome than in float64, beyond rounding: TF32, bfloat16 or half-precision products?",
        f"{away:.0e} from the harness's own",
    )
