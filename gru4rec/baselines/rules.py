"""Rules from item to item: what was clicked together, after another, or next.

Ludewig, Jannach: Evaluation of Session-based Recommendation Algorithms (User Modeling and User-Adapted Interaction 28,
2018), section 3.1. The papers divide the scores after an item by one number, which is the same for every candidate and
so left out here.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

PAIRS = 4_000_000  # of a block of rows: bounds the working memory
WEIGHTS = ("same", "linear", "div", "quadratic", "log")


def association(items: np.ndarray, offsets: np.ndarray, n_items: int, rules: int) -> csr_array:
    """(n, n) association rules: how often the pair occurs in a session, the places of the two being different.

        score(i, s) = sum_{p in sessions} sum_x sum_{y != x} [p_x = s_last] [p_y = i]

    Args:
        items: (E,) item indices, session after session.
        offsets: (S+1,).
        n_items: n.
        rules: kept of each item, those of the highest scores; 0 keeps all.
    """
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    counts = csr_array((np.ones(len(items)), (session, items)), shape=(len(offsets) - 1, n_items))
    counts.sum_duplicates()
    support = np.bincount(items, minlength=n_items)
    blocks = []
    for start, block in together(counts):
        size = block.shape[0]
        own = csr_array((support[start : start + size], (np.arange(size), np.arange(start, start + size))), block.shape)
        blocks.append(highest(csr_array(block - own), rules))
    return vstack(blocks, format="csr")


def together(counts: csr_array) -> Iterator[tuple[int, csr_array]]:
    """The matrix sum_s c_si * c_sj of ``counts`` (sessions, items) in blocks of rows: (first row, block)."""
    by_item = counts.T.tocsr()
    bounds = np.zeros(by_item.shape[0], np.int64)
    # entries of a row of the product, at most: the distinct items of every session that the row's item is in
    item = np.repeat(np.arange(len(bounds)), np.diff(by_item.indptr))
    np.add.at(bounds, item, np.diff(counts.indptr)[by_item.indices])
    starts = np.unique(np.cumsum(bounds) // PAIRS, return_index=True)[1]
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(bounds)]):
        yield start, csr_array(by_item[start:stop] @ counts)


def sequential(
    items: np.ndarray, offsets: np.ndarray, n_items: int, steps: int, weighting: str, rules: int
) -> csr_array:
    """(n, n) sequential rules: how often an item comes after the other, the less the more lies between.

        score(i, s) = sum_{p in sessions} sum_x sum_{y < x, x - y <= steps} [p_y = s_last] [p_x = i] * w(x - y)

    steps=1 is the first-order Markov chain. Further arguments as in :func:`association`.
    """
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found = csr_array((n_items, n_items))
    for distance in range(1, min(steps, int(np.diff(offsets).max()) - 1) + 1):
        same = session[distance:] == session[:-distance]
        pairs = items[:-distance][same], items[distance:][same]
        weight = np.full(len(pairs[0]), step_weight(weighting, distance, steps))
        found = found + coo_array((weight, pairs), shape=found.shape).tocsr()
    return highest(csr_array(found), rules)


def step_weight(weighting: str, distance: int, steps: int) -> float:
    """w: same 1; div 1 / x; quadratic 1 / x^2; log 1 / log2(1 + x); linear 1 - (x - 1) / steps."""
    return {
        "same": 1.0,
        "div": 1 / distance,
        "quadratic": 1 / distance**2,
        "log": float(1 / np.log2(1 + distance)),
        "linear": 1 - (distance - 1) / steps,
    }[weighting]


def highest(matrix: csr_array, most: int) -> csr_array:
    """The ``most`` highest positive entries of each row, of equal ones the lower column; 0 keeps all."""
    entries = matrix.tocoo()
    present = entries.data > 0
    row, column, value = entries.row[present], entries.col[present], entries.data[present]
    if most:
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        kept = np.arange(len(row)) - np.searchsorted(row, row) < most
        row, column, value = row[kept], column[kept], value[kept]
    return csr_array((value, (row, column)), shape=matrix.shape)
