"""Initial weights, drawn block by block from one NumPy stream in the published order."""

import numpy as np


def _block(rng, shape, sigma, normal, dtype):
    values = rng.randn(*shape) * sigma if normal else rng.rand(*shape) * sigma * 2 - sigma
    return values.astype(dtype, copy=False)


def draw(settings, n_items, rng):
    """Weights by name for ``n_items`` items.

    Every block of shape (rows, cols) has its own range: uniform in ±sigma (normal with deviation sigma if
    ``init_as_normal``), sigma = sqrt(6 / (rows + cols)) when ``sigma`` is 0 (Glorot and Bengio 2010).
    """

    def block(rows, cols):
        sigma = settings.sigma or np.sqrt(6.0 / (rows + cols))
        return _block(rng, (rows, cols), sigma, settings.init_as_normal, settings.dtype)

    weights = {}
    if settings.input_mode == "separate":
        weights["E"] = block(n_items, settings.input_width)
    if settings.dwell_time:
        weights["D"] = np.zeros((settings.dwell_time + 1, 3 * settings.layers[0]), settings.dtype)
    width = settings.input_width or n_items
    for k, units in enumerate(settings.layers):
        weights[f"Wx{k}"] = np.hstack([block(width, units) for _ in range(3)])
        weights[f"Wh{k}"] = block(units, units)
        weights[f"Wrz{k}"] = np.hstack([block(units, units) for _ in range(2)])
        weights[f"Bh{k}"] = np.zeros(3 * units, settings.dtype)
        width = units
    weights["Wy"] = block(n_items, width)
    weights["By"] = np.zeros((n_items, 1), settings.dtype)
    return weights


def extend(weights, row_names, n_new, settings, rng):
    """The same weights with ``n_new`` more rows in each row tensor: zeros in By, else drawn.

    sigma = sqrt(6 / (rows + cols + n_new)) unless set; rows counts the rows before the extension.
    """
    extended = dict(weights)
    for name in row_names:
        rows, cols = weights[name].shape
        if name == "By":
            new = np.zeros((n_new, cols), settings.dtype)
        else:
            sigma = settings.sigma or np.sqrt(6.0 / (rows + cols + n_new))
            new = _block(rng, (n_new, cols), sigma, settings.init_as_normal, settings.dtype)
        extended[name] = np.vstack([weights[name], new])
    return extended
