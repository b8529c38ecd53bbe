"""Line figures as inline SVG, legible from a phone to a printed page."""

import math
from html import escape
from typing import NamedTuple, Sequence

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 14, 42
COLOURS = ("#1f5fa8", "#c8581c", "#2f7d4f", "#8a4fa0", "#6b6b6b")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 4")


class Line(NamedTuple):
    """One line of a figure: (x, y) points, in order."""

    label: str
    points: Sequence[tuple[float, float]]


def figure(
    title: str, lines: Sequence[Line], x_label: str, y_label: str, logarithmic: bool = False, bound: float | None = None
) -> str:
    """An SVG of ``lines``. On a logarithmic y axis 0 stands at the lower edge. bound: a level to draw."""
    points = [point for line in lines for point in line.points if math.isfinite(point[1])]
    if not points:
        return ""
    xs = [x for x, _ in points]
    low_x, high_x = min(xs), max(max(xs), min(xs) + 1)
    ticks, to_y = _logarithmic(points, bound) if logarithmic else _linear(points)

    def at(x, y):
        return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT), TOP + (1 - to_y(y)) * (
            HEIGHT - TOP - BOTTOM
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value, label in ticks:
        y = at(low_x, value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for x in _round_steps(low_x, high_x):
        parts.append(
            f'<text x="{at(x, points[0][1])[0]:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{x:g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    if bound is not None and logarithmic:
        y = at(low_x, bound)[1]
        parts.append(f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT - 2}" y="{y - 4:.1f}" text-anchor="end">bound {bound:.0e}</text>')
    for line, colour, dash in zip(lines, COLOURS, DASHES):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in line.points if math.isfinite(p[1])))
        parts.append(f'<polyline points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>')
    return "".join([*parts, "</svg>", _legend(lines)])


def _legend(lines: Sequence[Line]) -> str:
    keys = []
    for line, colour, dash in zip(lines, COLOURS, DASHES):
        line_style = f'stroke="{colour}" stroke-dasharray="{dash}"'
        key = f'<svg class="key" viewBox="0 0 30 8"><polyline points="0,4 30,4" {line_style}/></svg>'
        keys.append(f"<span>{key}{escape(line.label)}</span>")
    return f'<div class="legend">{"".join(keys)}</div>'


def _logarithmic(points, bound):
    positive = [y for _, y in points if y > 0] + ([bound] if bound else [])
    low, high = (math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))) if positive else (-16, 0)
    low, high = low - 1, max(high, low + 1)
    step = max(1, math.ceil((high - low) / 6))
    ticks = [(10.0**e, f"1e{e}") for e in range(high, low, -step)]
    return ticks, lambda y: (max(math.log10(y) if y > 0 else low, low) - low) / (high - low)


def _linear(points):
    low, high = min(y for _, y in points), max(y for _, y in points)
    if high - low < 1e-9 * max(abs(high), 1e-9):
        low, high = low - 0.5, high + 0.5
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    return [(y, f"{y:.4g}") for y in _round_steps(low, high)], lambda y: (y - low) / (high - low)


def _round_steps(low: float, high: float) -> list[float]:
    """About five round values within the range."""
    raw = (high - low) / 5
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]
