"""The first weights, in the published order."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from parity.plain.network import Array


def initial(engine: Any, n: int) -> Iterator[tuple[str, Array]]:
    """Name and values of each tensor of an engine of :mod:`parity.plain` with n items, drawn from its stream."""
    embedding = engine.layers[0] if engine.params.get("embedding") == "layersize" else engine.params.get("embedding", 0)
    width = {"Wy": engine.layers[-1], "E": embedding, "Wx0": n}[engine.table]
    if engine.table == "E":
        yield "E", engine.block(n, width)
    for k, L in enumerate(engine.layers):
        yield f"Wx{k}", np.hstack([engine.block(width, L) for _ in range(3)])
        yield f"Wh{k}", engine.block(L, L)
        yield f"Wrz{k}", np.hstack([engine.block(L, L) for _ in range(2)])
        yield f"Bh{k}", np.zeros(3 * L)
        width = L
    yield "Wy", engine.block(n, width)
    yield "By", np.zeros((n, 1))
