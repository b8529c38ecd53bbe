"""Round trips: weights, optimizer state and hidden state, set and got back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.doctor.findings import Doctor
from parity.doctor.forms import equal


def weights_trip(doctor: Doctor) -> None:
    engine = doctor.prepared()
    _round_trip(doctor, "weights", engine.get_weights, engine.set_weights)


def optimizer_trip(doctor: Doctor) -> None:
    engine, own = doctor.prepared(), doctor.plain()
    state, wanted = engine.get_optimizer_state(), own.get_optimizer_state()
    names = {n: np.shape(a) for n, a in state.items()}, {n: np.shape(a) for n, a in wanted.items()}
    doctor.say(
        "round trips",
        "names of the optimizer state",
        names[0] == names[1],
        f"SLOT/WEIGHT, of the weight's shape; wanted: {', '.join(names[1])}",
        ", ".join(names[0]),
    )
    doctor.say(
        "round trips",
        "optimizer state at the start",
        all(not np.any(a) for a in state.values()),
        "zero: a sum of squares that starts elsewhere (0.1) makes other first steps",
    )
    if state:
        _round_trip(doctor, "optimizer state", engine.get_optimizer_state, engine.set_optimizer_state)


def _round_trip(doctor: Doctor, what: str, get: Callable, put: Callable) -> None:
    """Set then get, one tensor alone, no memory shared, and what has to be refused."""
    topic, random, say = "round trips", np.random.default_rng(5), doctor.say
    given = {name: random.uniform(0.1, 0.5, np.shape(w)).astype(doctor.dtype) for name, w in get().items()}
    handed = {name: w.copy() for name, w in given.items()}
    put(handed)
    say(topic, f"{what}: set, then get", equal(get(), given), "get gives back what was set, to the last bit")
    name = next(reversed(given))
    for w in (*handed.values(), *(w for w in get().values() if w.flags.writeable)):
        w += 1
    shared = not equal(get(), given)
    say(
        topic,
        f"{what}: no memory shared",
        not shared,
        "copy on the way in and on the way out: a caller who changes his array changes the engine",
    )
    put({n: w.copy() for n, w in given.items()})
    put({name: given[name] * 2})
    say(topic, f"{what}: one alone", equal(get(), given | {name: given[name] * 2}), "the others stay as they are")
    put({n: w.copy() for n, w in given.items()})
    for case, bad in (("an unknown name", {"Nothing": given[name]}), ("another shape", {name: given[name][:-1]})):
        say(
            topic,
            f"{what}: {case} refused",
            _refuses(put, bad),
            "raise ValueError or KeyError: taken in silence, a misspelt tensor is compared with nothing",
        )


def _refuses(function: Callable, *arguments: Any) -> bool:
    try:
        function(*arguments)
    except Exception:  # any error of the engine's will do
        return True
    return False


def hidden_trip(doctor: Doctor) -> None:
    engine = doctor.prepared()
    for M in (doctor.base["batch_size"], doctor.base["batch_size"] - 1):
        given = [
            np.random.default_rng(6).uniform(-0.5, 0.5, (M, L)).astype(doctor.dtype) for L in doctor.base["layers"]
        ]
        engine.set_hidden([H.copy() for H in given])
        found = engine.get_hidden()
        doctor.say(
            "round trips",
            f"hidden state of {M} lanes: set, then get",
            len(found) == len(given) and all(map(np.array_equal, found, given)),
            "one (M, L) array a layer; M may be less than batch_size, and is that of the next step",
        )
