"""Errors between arrays, and checks that collect them.

A :class:`Check` has a name and a list of comparisons behind it. It remembers the worst of them, the worst of each
tensor, and the worst of each step, so that a report can say where a difference is and how it grows.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, NamedTuple

import numpy as np

TINY = 1e-30  # keeps the relative error of a tensor of zeros defined

# Name of each check and what it compares, in the order of reports.
CHECKS = {
    "batches": "every (X, Y, R, lanes) of an epoch, to the last event",
    "negatives": "item support, sampled ids, refills of the store",
    "initial-weights": "every tensor, given the seed",
    "forward": "hidden states and scores",
    "loss": "the cost of each step",
    "gradients": "every dense tensor, and every row tensor per occurrence",
    "update": "every tensor and every optimizer state after the step",
    "trajectory": "costs and weights, free-running",
    "dropout": "the masks' stream from the seed, and the step given the masks",
    "ranks": "each test event's rank, from identical weights, in every tie mode",
    "metrics": "Recall@N and MRR@N, N = 1, 5, 10, 20",
    "training": "losses, Recall@20 and MRR@20 of full runs from one seed",
    "weights-transfer": "weights saved by one engine, loaded by the other, give the same scores",
}

# Bound of a teacher-forced comparison of floats, by dtype.
FORCED = {"float64": 1e-10, "float32": 1e-5}


class Error(NamedTuple):
    """||a - b|| / max(||b||, tiny) of arrays, and the largest |a - b|; infinite where shapes or NaNs differ."""

    relative: float
    absolute: float


def error(found: Any, wanted: Any) -> Error:
    """The :class:`Error` of ``found`` against ``wanted``, computed in float64."""
    a, b = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if a.shape != b.shape:
        return Error(math.inf, math.inf)
    same = (a == b) | (np.isnan(a) & np.isnan(b))  # equal infinities have no difference either
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, a - b)
    if not np.isfinite(difference).all():
        return Error(math.inf, math.inf)
    norm = np.linalg.norm(b[np.isfinite(b)]) if b.size else 0.0
    return Error(float(np.linalg.norm(difference) / max(norm, TINY)), float(np.abs(difference).max(initial=0.0)))


def mismatch(found: Any, wanted: Any) -> Error:
    """For arrays that must be equal: the share of entries that differ (1 for another shape), the largest difference."""
    a, b = np.asarray(found), np.asarray(wanted)
    if a.shape != b.shape:
        return Error(1.0, math.inf)
    differs = a != b
    if not differs.any():
        return Error(0.0, 0.0)
    numeric = np.issubdtype(a.dtype, np.number) and np.issubdtype(b.dtype, np.number)
    largest = float(np.abs(a.astype(float) - b.astype(float)).max()) if numeric else math.inf
    return Error(float(differs.mean()), largest)


class Comparison(NamedTuple):
    """One comparison: which tensor, at which step (None: no step), its error and the bound that it must not exceed."""

    tensor: str
    step: int | None
    error: Error
    tolerance: float

    @property
    def held(self) -> bool:
        return self.error.relative <= self.tolerance

    @property
    def excess(self) -> float:
        """Error in units of the tolerance; an exact comparison has 0 or infinity."""
        if self.tolerance > 0:
            return self.error.relative / self.tolerance
        return 0.0 if self.held else math.inf

    @property
    def where(self) -> str:
        return self.tensor if self.step is None else f"{self.tensor}, step {self.step}"

    def worse_than(self, other: "Comparison | None") -> bool:
        return other is None or (self.excess, self.error.relative) > (other.excess, other.error.relative)


@dataclass
class Check:
    """All comparisons under one name. It holds when it compared something, all of it held, and nothing went wrong."""

    name: str
    compared: int = 0
    worst: Comparison | None = None
    first_failure: Comparison | None = None
    by_tensor: dict[str, Comparison] = field(default_factory=dict)
    by_step: dict[int, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    not_covered: list[str] = field(default_factory=list)
    broken: str | None = None  # an error that the engine raised

    @property
    def status(self) -> str:
        """'failed', 'held', or 'not covered' where nothing was compared."""
        if self.broken or (self.worst is not None and not self.worst.held):
            return "failed"
        return "held" if self.compared else "not covered"

    def close(self, tensor: str, found: Any, wanted: Any, tolerance: float, step: int | None = None) -> None:
        """Compare floats."""
        self._take(Comparison(tensor, step, error(found, wanted), tolerance))

    def within(self, tensor: str, found: float, wanted: float, tolerance: float, step: int | None = None) -> None:
        """Compare two figures by their plain difference."""
        away = error(found, wanted).absolute
        self._take(Comparison(tensor, step, Error(away, away), tolerance))

    def equal(self, tensor: str, found: Any, wanted: Any, step: int | None = None) -> None:
        """Compare what must be equal to the last bit."""
        self._take(Comparison(tensor, step, mismatch(found, wanted), 0.0))

    def close_all(
        self,
        found: Mapping[str, Any],
        wanted: Mapping[str, Any],
        tolerance: float,
        step: int | None = None,
        prefix: str = "",
    ) -> None:
        """Compare tensors by name; one that is missing on either side counts as an infinite error."""
        for name in {**wanted, **found}:
            if name not in found or name not in wanted:
                self._take(Comparison(f"{prefix}{name} (missing)", step, Error(math.inf, math.inf), tolerance))
            else:
                self.close(f"{prefix}{name}", found[name], wanted[name], tolerance, step)

    def _take(self, comparison: Comparison) -> None:
        self.compared += 1
        if comparison.worse_than(self.worst):
            self.worst = comparison
        if comparison.worse_than(self.by_tensor.get(comparison.tensor)):
            self.by_tensor[comparison.tensor] = comparison
        if not comparison.held and self.first_failure is None:
            self.first_failure = comparison
        if comparison.step is not None:
            self.by_step[comparison.step] = max(self.by_step.get(comparison.step, 0.0), comparison.error.relative)


class Checks(dict):
    """Checks by name; ``checks["loss"]`` makes the check at its first use."""

    def __missing__(self, name: str) -> Check:
        if name not in CHECKS:
            raise KeyError(f"unknown check {name!r}: {', '.join(CHECKS)} are known")
        self[name] = Check(name)
        return self[name]

    def attempt(self, names: Iterable[str], function, *arguments: Any) -> Any:
        """``function(self, *arguments)``; what it raises becomes the outcome of the checks ``names``.

        NotImplementedError means that the engine does not support it, so that the checks are not covered; anything
        else that an engine raises is a failure of the engine, not of the harness.
        """
        try:
            return function(self, *arguments)
        except NotImplementedError as missing:
            for name in names:
                self[name].not_covered.append(str(missing) or "not supported by the engine")
        except Exception as problem:  # noqa: BLE001  an engine under test may raise anything
            for name in names:
                self[name].broken = f"{type(problem).__name__}: {problem}"
        return None

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.values() if check.status == "failed"]

    @property
    def held(self) -> bool:
        return not self.failed and any(check.status == "held" for check in self.values())

    @property
    def status(self) -> str:
        """'failed', 'held', or 'not covered' where no check compared anything."""
        return "failed" if self.failed else "held" if self.held else "not covered"

    @property
    def compared(self) -> int:
        return sum(check.compared for check in self.values())

    @property
    def worst(self) -> tuple[Check, Comparison] | None:
        """The comparison that came nearest to its bound, or passed it furthest."""
        found = None
        for check in self.values():
            if check.worst is not None and check.worst.worse_than(found and found[1]):
                found = check, check.worst
        return found

    def in_order(self) -> list[Check]:
        """The checks in the order of :data:`CHECKS`."""
        return [self[name] for name in CHECKS if name in self]
