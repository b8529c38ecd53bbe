"""Initial weights, drawn block by block from one NumPy stream in the published order."""

from collections.abc import Iterable, Mapping

import numpy as np

from keras_port.settings import Settings


def shapes(settings: Settings, n_items: int) -> dict[str, tuple[int, ...]]:
    """The shape of each weight by name, in the order of the network."""
    found: dict[str, tuple[int, ...]] = {}
    embedding = settings.input_width
    if embedding is not None and settings.input_mode == "separate":
        found["E"] = (n_items, embedding)
    if settings.dwell_time:
        found["D"] = (settings.dwell_time + 1, 3 * settings.layers[0])
    width = embedding or n_items
    for k, units in enumerate(settings.layers):
        found[f"Wx{k}"] = (width, 3 * units)
        found[f"Wh{k}"] = (units, units)
        found[f"Wrz{k}"] = (units, 2 * units)
        found[f"Bh{k}"] = (3 * units,)
        width = units
    return {**found, "Wy": (n_items, width), "By": (n_items, 1)}


def block(rng: np.random.RandomState, shape: tuple[int, int], sigma: float, normal: bool, dtype: str) -> np.ndarray:
    """One block: uniform in ±sigma, or normal of deviation sigma, drawn in float64 and then cast."""
    values = rng.randn(*shape) * sigma if normal else rng.rand(*shape) * sigma * 2 - sigma
    return values.astype(dtype, copy=False)


def draw(settings: Settings, n_items: int, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Weights by name for ``n_items`` items.

    Every block of shape (rows, cols) has its own range: uniform in ±sigma (normal with deviation sigma if
    ``init_as_normal``), sigma = sqrt(6 / (rows + cols)) when ``sigma`` is 0 (Glorot and Bengio 2010). Three blocks
    stand side by side in Wx (candidate | reset | update), two in Wrz (reset | update).
    """
    blocks = {"Wx": 3, "Wh": 1, "Wrz": 2, "Wy": 1, "E": 1}  # biases and D are zeros

    def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
        count = blocks.get(name.rstrip("0123456789"), 0)
        if not count:
            return np.zeros(shape, settings.dtype)
        rows, cols = shape[0], shape[1] // count
        sigma = settings.sigma or np.sqrt(6.0 / (rows + cols))
        parts = [block(rng, (rows, cols), sigma, settings.init_as_normal, settings.dtype) for _ in range(count)]
        return parts[0] if count == 1 else np.hstack(parts)

    return {name: drawn(name, shape) for name, shape in shapes(settings, n_items).items()}


def extended(
    weights: Mapping[str, np.ndarray],
    row_names: Iterable[str],
    n_new: int,
    settings: Settings,
    rng: np.random.RandomState,
) -> dict[str, np.ndarray]:
    """The same weights with ``n_new`` more rows in each row tensor: zeros in By, else drawn.

    sigma = sqrt(6 / (rows + cols + n_new)) unless set; rows counts the rows before the extension.
    """
    grown = dict(weights)
    for name in row_names:
        rows, cols = weights[name].shape
        if name == "By":
            new = np.zeros((n_new, cols), settings.dtype)
        else:
            sigma = settings.sigma or np.sqrt(6.0 / (rows + cols + n_new))
            new = block(rng, (n_new, cols), sigma, settings.init_as_normal, settings.dtype)
        grown[name] = np.vstack([weights[name], new])
    return grown
