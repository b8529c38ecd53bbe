"""Errors between arrays, and checks that collect them.

A :class:`Check` has a name and many comparisons behind it. It remembers the first that was past its bound (the cause),
the worst (the symptom), the worst of each tensor and of each step, and what was not compared, with the reason.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple

import numpy as np

TINY = 1e-300  # keeps the relative error of a tensor of zeros defined

# Name of each check and what it compares, in the order of reports.
CHECKS = {
    "batches": "every (X, Y, R, lanes) of two epochs, to the last event; the caller's frame unchanged",
    "negatives": "item support, sampled ids, refills of the store",
    "initial-weights": "every tensor, given the seed, bit for bit",
    "forward": "hidden states and scores",
    "loss": "the cost of each step",
    "gradients": "every dense tensor, and every row tensor per occurrence",
    "update": "what a step changes in every tensor and every optimizer state, by both programs",
    "trajectory": "costs and weights, free-running",
    "fit": "losses, weights and optimizer state after fit on a prefix of sessions",
    "dropout": "the masks' stream from the seed, and the step given the masks",
    "ranks": "each test event's rank, from identical weights, in every tie mode",
    "metrics": "Recall@N and MRR@N, N = 1, 5, 10, 20, in every tie mode",
    "training": "losses, Recall, MRR and lists of full runs: equivalent to a stored sample of reference runs",
    "weights-transfer": "weights saved by one engine, loaded by the other, give the same scores",
}


class Verdict(StrEnum):
    """What a check says. Worst first, so that ``min`` by :meth:`rank` sums up several."""

    FAILED = "failed"
    NOT_COVERED = "not covered"  # it applies, and was not compared, or not all of it
    HELD = "held"
    NOT_APPLICABLE = "not applicable"  # the setting has no such part

    @classmethod
    def of(cls, verdicts: Iterable["Verdict"]) -> "Verdict":
        """The verdict over several: the worst of them; not covered where there is none."""
        return min(verdicts, key=list(cls).index, default=cls.NOT_COVERED)


class Scale(NamedTuple):
    """What an error is measured against: the size that a tensor's terms have before they cancel.

    norm: of the whole tensor. rows: (R,) of each row, or None where rows are not judged.
    """

    norm: float
    rows: np.ndarray | None = None


class Error(NamedTuple):
    """How far an array is from the wanted one.

    relative: norm of a - b over the scale, of the whole tensor or of its worst row. absolute: the largest entry of it.
    row: of the worst row, where a row is worse than the whole. why: what is wrong, where no distance can say it.
    """

    relative: float
    absolute: float
    row: int | None = None
    why: str = ""


def failure(why: str) -> Error:
    """An error without a distance: past every bound."""
    return Error(math.inf, math.inf, None, why)


def norm(values: np.ndarray) -> float:
    """The L2 norm, without overflow or underflow on the way."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(values / largest))


def row_norms(values: np.ndarray) -> np.ndarray:
    """The L2 norm of each row, (R,)."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    safe = np.where(largest > 0, largest, 1.0)
    return largest * np.linalg.norm(values / safe[:, None], axis=1)


def _not_finite(values: np.ndarray, who: str) -> str:
    bad = ~np.isfinite(values)
    first = tuple(map(int, np.argwhere(bad)[0]))
    at = f" at {first[0] if len(first) == 1 else first}" if first else ""
    return f"{who} is not finite: {int(bad.sum())} of {values.size} values, first {values[first]}{at}"


def error(found: Any, wanted: Any, scale: Scale | None = None) -> Error:
    """The :class:`Error` of ``found`` against ``wanted``, computed in float64.

    The distance of the whole is taken relative to max(scale, ||wanted||). So is that of each row of a matrix, relative
    to its own scale or to the mean square of the rows, whichever is larger: one wrong row of many cannot hide.
    A value that is not finite, another shape, and what is no number are failures, whatever stands on the other side.
    """
    try:
        a, b = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    except (TypeError, ValueError) as problem:
        return failure(f"no array of numbers ({problem})")
    if a.shape != b.shape:
        return failure(f"shape {a.shape} instead of {b.shape}")
    if not np.isfinite(b).all():
        return failure(_not_finite(b, "the wanted value"))
    if not np.isfinite(a).all():
        return failure(_not_finite(a, "the value"))
    with np.errstate(over="ignore"):
        difference = a - b
    if not np.isfinite(difference).all():
        return failure("the difference overflows")
    against = max(norm(b), scale.norm if scale else 0.0, TINY)
    whole = Error(norm(difference) / against, float(np.abs(difference).max(initial=0.0)))
    if b.ndim != 2 or len(b) < 2:
        return whole
    rows = np.maximum(row_norms(b), against / math.sqrt(len(b)))
    if scale is not None and scale.rows is not None:
        rows = np.maximum(rows, scale.rows)
    relative = row_norms(difference) / rows
    worst = int(relative.argmax())
    return whole._replace(relative=float(relative[worst]), row=worst) if relative[worst] > whole.relative else whole


def mismatch(found: Any, wanted: Any) -> Error:
    """For what must be equal to the last bit, the sign of a zero too: the share of entries that differ.

    Nothing equals a NaN.
    """
    a, b = np.asarray(found), np.asarray(wanted)
    if a.shape != b.shape:
        return Error(1.0, math.inf, None, f"shape {a.shape} instead of {b.shape}")
    numbers = all(part.dtype.kind in "biuf" for part in (a, b))
    if not numbers and (a.dtype.kind in "biuf") != (b.dtype.kind in "biuf"):
        return Error(1.0, math.inf, None, f"{a.dtype} instead of {b.dtype}")
    differs = np.asarray(a != b)
    if a.dtype.kind == b.dtype.kind == "f":
        differs = differs | (np.signbit(a) != np.signbit(b))
    if not differs.any():
        return Error(0.0, 0.0)
    first = tuple(map(int, np.argwhere(differs)[0]))
    why = f"{a[first]} instead of {b[first]}" + (f" at {first[0] if len(first) == 1 else first}" if first else "")
    with np.errstate(invalid="ignore", over="ignore"):
        away = np.abs(a.astype(float) - b.astype(float)).max() if numbers else math.inf
    return Error(float(differs.mean()), float(away) if math.isfinite(away) else math.inf, None, why)


class Comparison(NamedTuple):
    """One comparison: which tensor, at which step (None: no step), its error and the bound that it must not exceed.

    order: its place among all comparisons of a run.
    """

    tensor: str
    step: int | None
    error: Error
    bound: float
    order: int = 0

    @property
    def held(self) -> bool:
        return self.error.relative <= self.bound  # false for a NaN

    @property
    def excess(self) -> float:
        """Error in units of the bound; an exact comparison has 0 or infinity, and so has what is no number."""
        if self.held and self.bound == 0:
            return 0.0
        excess = self.error.relative / self.bound if self.bound > 0 else math.inf
        return math.inf if math.isnan(excess) else excess

    @property
    def where(self) -> str:
        """Tensor, row and step, and what is wrong where no distance can say it."""
        row = "" if self.error.row is None else f", row {self.error.row}"
        step = "" if self.step is None else f", step {self.step}"
        return f"{self.tensor}{row}{step}" + (f" ({self.error.why})" if self.error.why else "")

    def worse_than(self, other: "Comparison | None") -> bool:
        if other is None:
            return True
        mine, its = self.error.relative, other.error.relative
        return (self.excess, math.inf if math.isnan(mine) else mine) > (
            other.excess,
            math.inf if math.isnan(its) else its,
        )


@dataclass
class Check:
    """All comparisons under one name."""

    name: str
    compared: int = 0
    worst: Comparison | None = None
    first_failure: Comparison | None = None
    by_tensor: dict[str, Comparison] = field(default_factory=dict)
    by_step: dict[int, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    not_covered: list[str] = field(default_factory=list)  # a reason for each thing that was not compared
    not_applicable: list[str] = field(default_factory=list)
    broken: str | None = None  # what the engine raised
    traceback: str | None = None
    _order: Iterator[int] = field(default_factory=count, repr=False)

    @property
    def verdict(self) -> Verdict:
        """Failed by one comparison past its bound, or an exception; held only where nothing that applies is missing."""
        if self.broken or self.first_failure:
            return Verdict.FAILED
        if self.not_covered or not (self.compared or self.not_applicable):
            return Verdict.NOT_COVERED
        return Verdict.HELD if self.compared else Verdict.NOT_APPLICABLE

    @property
    def reasons(self) -> list[str]:
        """Why something was not compared, each reason once, with the number of times."""
        return [
            reason if times == 1 else f"{reason} ({times} times)" for reason, times in Counter(self.not_covered).items()
        ]

    def close(
        self,
        tensor: str,
        found: Any,
        wanted: Any,
        bound: float,
        step: int | None = None,
        scale: Scale | None = None,
    ) -> None:
        """Compare floats, relative to their scale."""
        self._take(tensor, step, error(found, wanted, scale), bound)

    def within(self, tensor: str, found: float, wanted: float, bound: float, step: int | None = None) -> None:
        """Compare two figures by their plain difference."""
        away = error(found, wanted)
        self._take(tensor, step, away._replace(relative=away.absolute), bound)

    def equal(self, tensor: str, found: Any, wanted: Any, step: int | None = None) -> None:
        """Compare what must be equal to the last bit."""
        self._take(tensor, step, mismatch(found, wanted), 0.0)

    def fails(self, tensor: str, why: str, step: int | None = None) -> None:
        """Count a comparison that failed for a reason that is no distance."""
        self._take(tensor, step, failure(why), 0.0)

    def close_all(
        self,
        found: Mapping[str, Any],
        wanted: Mapping[str, Any],
        bound: float,
        step: int | None = None,
        scales: Mapping[str, Scale] | None = None,
        suffix: str = "",
    ) -> None:
        """Compare tensors by name; one that is missing on either side, or is None, fails."""
        for name in {**wanted, **found}:
            a, b = found.get(name), wanted.get(name)
            if a is None or b is None:
                self.fails(name + suffix, "missing" if a is None else "the reference has no such tensor", step)
            else:
                self.close(name + suffix, a, b, bound, step, (scales or {}).get(name))

    def _take(self, tensor: str, step: int | None, found: Error, bound: float) -> None:
        comparison = Comparison(tensor, step, found, bound, next(self._order))
        self.compared += 1
        if comparison.worse_than(self.worst):
            self.worst = comparison
        if comparison.worse_than(self.by_tensor.get(tensor)):
            self.by_tensor[tensor] = comparison
        if not comparison.held and self.first_failure is None:
            self.first_failure = comparison
        if step is not None:
            relative = math.inf if math.isnan(found.relative) else found.relative
            self.by_step[step] = max(self.by_step.get(step, 0.0), relative)


class Checks(dict[str, Check]):
    """Checks by name; ``checks["loss"]`` makes the check at its first use.

    Attributes:
        computed_on: program and device of the engine that was checked, in words, where they were asked for.
    """

    computed_on: str = ""

    def __init__(self) -> None:
        super().__init__()
        self._order = count()

    def __missing__(self, name: str) -> Check:
        if name not in CHECKS:
            raise KeyError(f"unknown check {name!r}: {', '.join(CHECKS)} are known")
        self[name] = Check(name, _order=self._order)
        return self[name]

    def attempt(self, names: Iterable[str], function: Callable, *arguments: Any) -> Any:
        """``function(self, *arguments)``; what it raises becomes the outcome of the checks ``names``.

        NotImplementedError means that the engine does not support it, so that the checks are not covered; anything
        else that an engine raises is a failure of the engine, not of the harness.

        Returns:
            What the function returns; None where it raised.
        """
        try:
            return function(self, *arguments)
        except NotImplementedError as missing:
            for name in names:
                self[name].not_covered.append(str(missing) or "not supported by the engine")
        except Exception as problem:  # an engine under test may raise anything
            for name in names:
                if self[name].broken is None:
                    self[name].broken = f"{type(problem).__name__}: {problem}"
                    self[name].traceback = traceback.format_exc()
        return None

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.values() if check.verdict == Verdict.FAILED]

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks' verdicts; not covered where nothing at all was compared."""
        found = Verdict.of(check.verdict for check in self.values())
        return Verdict.NOT_COVERED if found == Verdict.NOT_APPLICABLE else found

    @property
    def compared(self) -> int:
        return sum(check.compared for check in self.values())

    @property
    def worst(self) -> tuple[Check, Comparison] | None:
        """The comparison that came nearest to its bound, or passed it furthest: the symptom."""
        found = None
        for check in self.values():
            if check.worst is not None and check.worst.worse_than(found and found[1]):
                found = check, check.worst
        return found

    @property
    def first_failure(self) -> tuple[Check, Comparison] | None:
        """The comparison that was the first past its bound, in the order of the run: the cause."""
        found = [(check, check.first_failure) for check in self.values() if check.first_failure]
        return min(found, key=lambda pair: pair[1].order, default=None)

    def in_order(self) -> list[Check]:
        """The checks in the order of :data:`CHECKS`."""
        return [self[name] for name in CHECKS if name in self]
