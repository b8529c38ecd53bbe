"""Weights saved by one engine to its file, read back, and given to the other."""

import tempfile
from pathlib import Path

import numpy as np

from parity.engine import Engine
from parity.measure import Checks


def check_transfer(checks: Checks, saver: Engine, other: Engine, tolerance: float, way: str, seed: int = 3) -> None:
    """``saver`` to a file, from it to a new engine, its weights to ``other``: all three score alike. way: a label."""
    rng = np.random.RandomState(seed)
    X = rng.randint(0, saver.n_items, 4)
    hidden = [rng.uniform(-0.5, 0.5, (4, H.shape[1])) for H in saver.get_hidden()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        saver.save(path)
        loaded = type(saver).load(path)
    check = checks["weights-transfer"]
    check.equal(f"{way}: itemidmap", np.asarray(loaded.itemidmap.index), np.asarray(saver.itemidmap.index))
    for name, values in saver.get_weights().items():
        check.equal(f"{way}: {name} in the file", loaded.get_weights()[name], values)
    other.set_weights(loaded.get_weights())
    wanted, next_wanted = saver.scores(X, hidden)
    found, next_found = other.scores(X, hidden)
    check.close(f"{way}: scores", found, wanted, tolerance)
    for k, (a, b) in enumerate(zip(next_found, next_wanted)):
        check.close(f"{way}: H{k}", a, b, tolerance)
