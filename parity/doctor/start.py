"""What ``prepare`` leaves, batches, and what follows from a seed."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from parity.doctor.findings import STORE, Doctor
from parity.doctor.forms import distance, shapes_of
from parity.protocol import Batch, Engine


def first_start(doctor: Doctor) -> Engine:
    """Item map, support, names, shapes and types of the weights, the caller's frame, and the seed."""
    topic, say, train = "data", doctor.say, doctor.data.train
    given = train.copy()
    given.index = given.index[::-1]  # any index will do
    kept = given.copy()
    engine = doctor.create()
    engine.prepare(given, STORE)
    own = doctor.plain()
    same = given.equals(kept) and given.index.equals(kept.index) and list(given.columns) == list(kept.columns)
    say(topic, "the caller's frame", same, "prepare changes it (columns, order or index): work on a copy")
    items = pd.unique(train["ItemId"])
    itemidmap = engine.itemidmap
    say(
        topic,
        "itemidmap",
        isinstance(itemidmap, pd.Series)
        and np.array_equal(itemidmap.index, np.asarray(items))
        and np.array_equal(itemidmap.to_numpy(), np.arange(len(items))),
        "a pandas Series: index = item ids in order of first appearance in the frame as given, before any sorting; "
        "values 0..n-1",
    )
    say(topic, "n_items", engine.n_items == len(items), f"the number of items, {len(items)}", f"{engine.n_items!r}")
    support = np.asarray(engine.support)
    say(
        topic,
        "support",
        support.shape == (len(items),) and np.array_equal(support, own.support),
        "(n,) integers: the events of each item in the training data, in the order of itemidmap",
    )
    weights, wanted = engine.get_weights(), own.get_weights()
    names = {n: np.shape(w) for n, w in weights.items()}, {n: np.shape(w) for n, w in wanted.items()}
    say(
        topic,
        "names and shapes of weights",
        names[0] == names[1],
        f"wanted: {shapes_of(names[1])}",
        shapes_of(names[0]),
    )
    _types(doctor, weights, "weights")
    alike = names[0] == names[1] and all(np.array_equal(weights[n], w) for n, w in wanted.items())
    say(
        topic,
        "initial weights",
        alike,
        "not those of the seed. Drawn in float64 from RandomState(seed), then cast, block by block: [E], then for each "
        "layer three blocks of Wx, one of Wh, two of Wrz; then Wy. uniform: rand*s*2 - s, s = sqrt(6/(rows+cols))",
        "" if alike or names[0] != names[1] else _first_other(weights, wanted),
    )
    return engine


def _first_other(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> str:
    name = next(n for n, w in wanted.items() if not np.array_equal(found[n], w))
    return f"first other tensor: {name}, {distance(found[name], wanted[name]):.1e} away"


def _types(doctor: Doctor, tensors: Mapping[str, Any], what: str) -> None:
    kinds = {str(getattr(w, "dtype", type(w).__name__)) for w in tensors.values()}
    arrays = all(isinstance(w, np.ndarray) for w in tensors.values())
    doctor.say(
        "data",
        f"types of {what}",
        arrays and kinds <= {doctor.dtype},
        f"NumPy arrays of the engine's dtype, {doctor.dtype}",
        ", ".join(sorted(kinds)),
    )


def batches_given(doctor: Doctor) -> None:
    """Fields, shapes and types of a batch, and an epoch as published."""
    say, batch_list = doctor.say, list(doctor.prepared().batches())
    own, n_sample = list(doctor.plain().batches()), doctor.base["n_sample"]
    first = batch_list[0]
    X, Y, R, lanes = (np.asarray(getattr(first, part)) for part in ("X", "Y", "R", "lanes"))
    right = X.dtype.kind in "iu" and Y.dtype.kind in "iu" and R.dtype.kind == "b" and lanes.dtype.kind in "iu"
    say(
        "batches",
        "types of X, Y, R, lanes",
        right,
        "integers, integers, bool, integers",
        ", ".join(str(a.dtype) for a in (X, Y, R, lanes)),
    )
    M = len(X)
    right = X.shape == R.shape == lanes.shape == (M,) and Y.shape == (M + n_sample,)
    say(
        "batches",
        "shapes of X, Y, R, lanes",
        right,
        "(M,), (M + n_sample,), (M,), (M,)",
        ", ".join(str(a.shape) for a in (X, Y, R, lanes)),
    )
    for step, (a, b) in enumerate(itertools.zip_longest(batch_list, own)):  # noqa: B007 -- named below
        what = _other_part(a, b)
        if what:
            break
    say(
        "batches",
        f"an epoch of {len(own)} batches",
        not what,
        {
            "number": "an epoch ends when no lane is left (n_sample > 0), not when the lanes no longer fill the batch",
            "samples": "negatives: cumulative support**sample_alpha, searchsorted(cdf, rand(rows*n_sample)), "
            "sample_store // n_sample rows at a time; a store is refilled by the step that needs a row",
        }.get(
            what,
            "session-parallel lanes over sessions by first timestamp; a session's events by (session, time), "
            "stable; finished lanes take the next session, lanes without one are removed",
        ),
        f"first other part: {what}, step {step}" if what else "as published",
    )
    again = list(doctor.prepared().batches())
    say(
        "draws",
        "two engines of one seed",
        not any(map(_other_part, batch_list, again)),
        "batches and samples are to follow from the seed alone",
    )
    other = doctor.spec.create(doctor.base, doctor.dtype, 43)
    other.prepare(doctor.data.train.copy(), STORE)
    weights = doctor.prepared().get_weights()
    differs = any(n not in weights or not np.array_equal(w, weights[n]) for n, w in other.get_weights().items())
    say("draws", "another seed", differs, "the option seed has no effect: seed the NumPy stream with it")


def _other_part(a: Batch | None, b: Batch | None) -> str:
    """The first part of two batches that differs; '' where they are alike."""
    if a is None or b is None:
        return "number"
    M = len(b.X)
    for what, x, y in (("X", a.X, b.X), ("targets", a.Y[:M], b.Y[:M]), ("R", a.R, b.R), ("lanes", a.lanes, b.lanes)):
        if not np.array_equal(np.asarray(x, int), np.asarray(y, int)):
            return what
    return "" if np.array_equal(a.Y[M:], b.Y[M:]) else "samples"
