"""The figures of a report, as places on a canvas; :file:`templates/figure.html` draws them as SVG."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

WIDTH, HEIGHT = 460, 264
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 18, 42
MOST_POINTS = 400  # of a line; of more, the lowest and the highest of every few are drawn
CROSS = 9  # height of a mark, below that of the line before
LARGEST = sys.float_info.max / 4  # of a linear axis, so that its length is a number
DECADES = 7  # tick marks of a logarithmic axis, at the most

Point = tuple[float, float]


class Line(NamedTuple):
    """One line of a figure: (x, y) points, x ascending. A y that is not finite is marked at the upper edge."""

    label: str
    points: Sequence[Point]


class Tick(NamedTuple):
    """A label beside an axis."""

    at: float
    label: str


class Drawn(NamedTuple):
    """A line on the canvas: its pieces, as points of an SVG polyline; its single points; what is not finite."""

    label: str
    pieces: list[str]
    dots: list[Point]
    crosses: list[Point]


@dataclass(frozen=True)
class Figure:
    """A figure on a canvas of WIDTH x HEIGHT. bound: height of the bound, shade: where what is not judged begins."""

    caption: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Drawn]
    bound: Tick | None = None
    shade: float | None = None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    marks: bool = field(init=False)  # whether anything is not finite

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", any(line.crosses for line in self.lines))


def figure(
    caption: str,
    lines: Sequence[Line],
    y_label: str,
    logarithmic: bool = False,
    bound: float | None = None,
    judged: float | None = None,
) -> Figure | None:
    """Lines over the steps of training.

    Args:
        caption: what is seen. lines: at the most five. y_label: with the unit.
        logarithmic: whether the y axis is; 0 then stands at the lower edge.
        bound: a level to draw. judged: the last step that was judged; what comes later is shaded.

    Returns:
        None where there is no point to draw.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(xs), max(*xs, min(xs) + 1)
    finite = [y for line in lines for _, y in line.points if math.isfinite(y)]
    y_ticks, share = _logarithmic(finite, bound) if logarithmic else _linear(finite)

    def to_x(x: float) -> float:
        return round(LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def to_y(y: float) -> float:
        return round(TOP + (1 - min(max(share(y), 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM), 1)

    return Figure(
        caption,
        "step",
        y_label,
        [Tick(to_x(x), f"{x:g}") for x in _round_steps(low, high) if x == int(x)],
        [Tick(to_y(y), label) for y, label in y_ticks],
        [_drawn(line, to_x, to_y, TOP + CROSS * number) for number, line in enumerate(lines)],
        None if not bound or not logarithmic else Tick(to_y(bound), f"bound {bound:.1e}"),
        None if judged is None or judged >= high else to_x(judged + 0.5 if judged >= low else low),
    )


def _drawn(line: Line, to_x: Callable, to_y: Callable, edge: float) -> Drawn:
    pieces: list[list[Point]] = [[]]
    crosses = []
    for x, y in _thinned(line.points):
        if math.isfinite(y):
            pieces[-1].append((to_x(x), to_y(y)))
        else:
            crosses.append((to_x(x), edge))
            pieces.append([])
    joined = [" ".join(f"{x:g},{y:g}" for x, y in piece) for piece in pieces if len(piece) > 1]
    return Drawn(line.label, joined, [piece[0] for piece in pieces if len(piece) == 1], crosses)


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Few enough points to draw, none of the extremes left out."""
    size = math.ceil(2 * len(points) / MOST_POINTS)
    if size <= 2:
        return points
    kept: list[Point] = []
    for start in range(0, len(points), size):
        some = points[start : start + size]
        wild = [point for point in some if not math.isfinite(point[1])][:1]
        tame = [point for point in some if math.isfinite(point[1])]
        ends = {min(tame, key=_y), max(tame, key=_y)} if tame else set()
        kept += sorted([*ends, *wild])
    return kept


def _y(point: Point) -> float:
    return point[1]


def _logarithmic(ys: Sequence[float], bound: float | None) -> tuple[list[tuple[float, str]], Callable[[float], float]]:
    positive = [y for y in ys if y > 0] + ([bound] if bound else [])
    low, high = (math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))) if positive else (-16, 0)
    high = min(max(high, low + 1), sys.float_info.max_10_exp)
    low = min(low - (0.0 in ys), high - 1)
    step = max(1, math.ceil((high - low) / DECADES))
    ticks = [(10.0**e, f"1e{e}") for e in range(high, low - 1, -step)]
    if 0.0 in ys:
        ticks = [(y, label) for y, label in ticks if y > 10.0 ** (low + 0.6 * step)] + [(0.0, "0")]
    return ticks, lambda y: (max(math.log10(y) if y > 0 else low, low) - low) / (high - low)


def _linear(ys: Sequence[float]) -> tuple[list[tuple[float, str]], Callable[[float], float]]:
    low, high = (max(-LARGEST, min(LARGEST, y)) for y in (min(ys, default=0.0), max(ys, default=1.0)))
    if high - low < 1e-9 * max(abs(high), 1e-9):
        around = max(0.5, 1e-9 * abs(high))
        low, high = low - around, high + around
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    return [(y, f"{y:.4g}") for y in _round_steps(low, high)], lambda y: (y - low) / (high - low)


def _round_steps(low: float, high: float) -> list[float]:
    """About five round values within the range."""
    raw = (high - low) / 5
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


# The figures of one comparison.


def of_comparison(comparison: dict[str, Any], reference: str) -> list[Figure]:
    """What a report draws of one comparison: errors of forced steps, of free-running ones, costs."""
    checks = {check["name"]: check for check in comparison["checks"]}
    curves = {name: _counted(values) for name, values in comparison["curves"].items()}
    free = checks.get("trajectory")
    judged = None if free is None else max((step for step, _ in free["by_step"]), default=-1)
    steps = len(curves.get("weights_error", []))
    shaded = "" if judged is None or judged >= steps - 1 else " Shaded: no longer judged."
    stepwise = [checks[name] for name in ("forward", "loss", "gradients", "update") if name in checks]
    drawn = [
        figure(
            "Steps from the reference's state: the largest error of each, relative to its scale.",
            [Line(check["name"], _floats(check["by_step"])) for check in stepwise],
            "relative error",
            True,
            _bound(stepwise),
        ),
        figure(
            "Free-running, while it is judged: the largest error of costs and weights, relative to their scale.",
            [Line("costs and weights", _floats(free["by_step"]) if free else [])],
            "relative error",
            True,
            _bound([free] if free else []),
        ),
        figure(
            f"Free-running: how far rounding carries, the largest error of any tensor, relative to its norm.{shaded}",
            [Line("weights", curves.get("weights_error", []))],
            "relative error",
            True,
            judged=judged,
        ),
        figure(
            f"Free-running: the cost of each step, both engines.{shaded}",
            [Line(reference, curves.get("reference", [])), Line(comparison["candidate"], curves.get("candidate", []))],
            "cost",
            judged=judged,
        ),
    ]
    return [one for one in drawn if one is not None]


def _floats(by_step: Sequence[Sequence]) -> list[Point]:
    return [(step, float(value)) for step, value in by_step]


def _counted(values: Sequence) -> list[Point]:
    return [(step, float(value)) for step, value in enumerate(values)]


def _bound(checks: Sequence[dict[str, Any]]) -> float | None:
    """The smallest bound of the checks' comparisons of floats."""
    found = [place["bound"] for check in checks for place in check["tensors"] if place["bound"] > 0]
    return min(found, default=None)
