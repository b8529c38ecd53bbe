"""Weights saved by one engine to its file, read back, and given to the other."""

import tempfile
from pathlib import Path

import numpy as np

from parity.checks.data import equal_all
from parity.measure import Checks
from parity.protocol import Engine


def check_transfer(checks: Checks, saver: Engine, other: Engine, bound: float, way: str, seed: int = 3) -> None:
    """``saver`` to a file, from it to a new engine, whose weights go to ``other``: all three score alike.

    ``other`` is first given other weights, so that nothing holds by what it had. way: a label.
    """
    rng = np.random.RandomState(seed)
    X = rng.randint(0, saver.n_items, 4)
    hidden = [rng.uniform(-0.5, 0.5, (4, H.shape[1])) for H in saver.get_hidden()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        saver.save(path)
        loaded = type(saver).load(path)
    check, weights = checks["weights-transfer"], saver.get_weights()
    check.equal(f"{way}: itemidmap", np.asarray(loaded.itemidmap.index), np.asarray(saver.itemidmap.index))
    transferred = loaded.get_weights()
    equal_all(check, {f"{way}: {n} in the file": w for n, w in transferred.items()},
              {f"{way}: {n} in the file": w for n, w in weights.items()})  # fmt: skip
    other.set_weights({name: rng.uniform(-1, 1, np.shape(w)) for name, w in weights.items()})
    other.set_weights(transferred)
    equal_all(check, {f"{way}: {n} as taken over": w for n, w in other.get_weights().items()},
              {f"{way}: {n} as taken over": w for n, w in weights.items()})  # fmt: skip
    wanted, next_wanted = saver.scores(X, hidden)
    for who, engine in (("", other), (", read back", loaded)):
        found, next_found = engine.scores(X, hidden)
        check.close(f"{way}: scores{who}", found, wanted, bound)
        for k, (a, b) in enumerate(zip(next_found, next_wanted, strict=True)):
            check.close(f"{way}: H{k}{who}", a, b, bound)
