"""The dropout sites of the network, and their stream of masks from the seed."""

from typing import NamedTuple

import numpy as np

from parity.measure import Checks
from parity.protocol import Engine


class Masks(NamedTuple):
    """The sites, and the masks that the stream gave for each of ``rows`` draws in a row."""

    sites: list[tuple[str, int, float]]
    rows: list[int]
    masks: list[list[np.ndarray]]


def masks_of(engine: Engine, rows: list[int]) -> Masks:
    """Draw from a prepared engine's stream, which goes on from where it is."""
    sites = engine.dropout_sites()
    return Masks(sites, rows, [engine.draw_masks(M) for M in rows] if sites else [])


def rows_to_draw(batch_size: int) -> list[int]:
    """Full batches, then some that have lost lanes, then a full one again."""
    return [batch_size, batch_size, max(batch_size - 1, 1), max(batch_size // 2, 1), batch_size]


def check_dropout(checks: Checks, wanted: Masks, engine: Engine) -> None:
    """Sites and masks, equal to the last bit."""
    check, sites = checks["dropout"], engine.dropout_sites()
    if not wanted.sites and not sites:
        check.not_applicable.append("these settings have no dropout")
        return
    check.equal("site names", np.array([s[0] for s in sites]), np.array([s[0] for s in wanted.sites]))
    check.equal("site widths", np.array([s[1] for s in sites]), np.array([s[1] for s in wanted.sites]))
    check.close("retain probabilities", [s[2] for s in sites], [s[2] for s in wanted.sites], 1e-15)
    found = masks_of(engine, wanted.rows)
    for draw, (a, b) in enumerate(zip(wanted.masks, found.masks, strict=True)):
        check.equal("number of masks", len(b), len(a), draw)
        for (name, *_), mask, other in zip(wanted.sites, a, b):
            check.equal(f"mask {name}", np.asarray(other, bool), np.asarray(mask, bool), draw)
