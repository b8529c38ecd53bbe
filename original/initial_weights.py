"""Initial weights, drawn from the NumPy stream in the published order."""

import math

import numpy as np

from original.settings import Settings

Weights = dict[str, np.ndarray]


def weight_blocks(settings: Settings, n_items: int) -> dict[str, list[tuple[int, ...]]]:
    """``{name: [(rows, columns), ...]}`` in the order of drawing: the blocks that stand side by side in each weight.

    Column blocks of ``Wx`` and ``Bh``: candidate | reset | update; of ``Wrz``: reset | update. A bias is one block.
    """
    blocks: dict[str, list[tuple[int, ...]]] = {}
    width = settings.input_width or n_items
    if settings.input_mode == "separate":
        blocks["E"] = [(n_items, width)]
    for k, L in enumerate(settings.layers):
        blocks[f"Wx{k}"] = [(width, L)] * 3
        blocks[f"Wh{k}"] = [(L, L)]
        blocks[f"Wrz{k}"] = [(L, L)] * 2
        blocks[f"Bh{k}"] = [(3 * L,)]
        width = L
    blocks["Wy"] = [(n_items, width)]
    blocks["By"] = [(n_items, 1)]
    return blocks


def weight_shapes(settings: Settings, n_items: int) -> dict[str, tuple[int, ...]]:
    """The shape of each weight."""
    return {
        name: (*blocks[0][:-1], sum(block[-1] for block in blocks))
        for name, blocks in weight_blocks(settings, n_items).items()
    }


def row_tensors(settings: Settings) -> list[str]:
    """Names of the tensors with a row an item, the input side first."""
    return {"none": ["Wx0", "Wy", "By"], "separate": ["E", "Wy", "By"], "constrained": ["Wy", "By"]}[
        settings.input_mode
    ]


def _block(
    settings: Settings, rows: int, columns: int, stream: np.random.RandomState, otherwise: float | None = None
) -> np.ndarray:
    """A block (rows, columns), float64; ``otherwise`` is the sigma where the settings have none."""
    sigma = settings.sigma or otherwise or math.sqrt(6 / (rows + columns))
    if settings.init_as_normal:
        return stream.randn(rows, columns) * sigma
    # In place, because item tensors are large; rand * sigma * 2 - sigma, in this order of roundings.
    block = stream.rand(rows, columns)
    block *= sigma
    block *= 2
    block -= sigma
    return block


def draw(settings: Settings, n_items: int, stream: np.random.RandomState) -> Weights:
    """The weights of a new model of ``n_items`` items; biases are zeros."""
    weights = {}
    for name, blocks in weight_blocks(settings, n_items).items():
        if name.startswith("B"):
            weights[name] = np.zeros(blocks[0], settings.dtype)
        else:
            drawn = [_block(settings, rows, columns, stream).astype(settings.dtype) for rows, columns in blocks]
            weights[name] = np.hstack(drawn)
    return weights


def extended(settings: Settings, weights: Weights, n_new: int, stream: np.random.RandomState) -> Weights:
    """Weights of a trained model with rows for ``n_new`` more items (retraining).

    Where no sigma is set it is sqrt(6 / (rows + columns + n_new)), rows being those before.
    """
    weights = dict(weights)
    for name in row_tensors(settings) if n_new else []:
        rows, columns = weights[name].shape
        new = np.zeros((n_new, columns))
        if name != "By":
            new = _block(settings, n_new, columns, stream, math.sqrt(6 / (rows + columns + n_new)))
        weights[name] = np.vstack([weights[name], new.astype(settings.dtype)])
    return weights
