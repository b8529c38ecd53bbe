"""The report as one HTML page: no script, no file beside it, nothing fetched."""

import math
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from parity.report import figures

# A verdict is told by its sign and its word; colour only repeats them.
SIGNS = {"held": "✓", "failed": "✗", "not covered": "?", "not applicable": "–"}


def page(report: dict[str, Any]) -> str:
    """The page of a report of :func:`parity.report.build`, or of a ``report.json`` that was read."""
    style = files("parity.report").joinpath("style.css").read_text(encoding="utf-8")
    comparisons = [
        {**one, "id": f"c{number}", "label": _label(one, report["comparisons"])}
        for number, one in enumerate(report["comparisons"])
    ]
    return _templates().get_template("page.html").render(
        report={**report, "comparisons": comparisons},
        overview=_overview(comparisons),
        missing=_missing(comparisons),
        computed_on=list(dict.fromkeys(pair for one in comparisons for pair in one["computed_on"].items())),
        style=Markup(style),  # our own; nothing else goes in unescaped
        figures=[figures.of_comparison(one, report["reference"]) for one in comparisons],
    )  # fmt: skip


@lru_cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("parity.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "bound": bound, "share": share, "option": option, "where": where, "css": css}
    made.globals["signs"] = SIGNS
    return made


def _label(comparison: dict[str, Any], comparisons: list[dict[str, Any]]) -> str:
    several = len({one["candidate"] for one in comparisons}) > 1
    return f"{comparison['setting']}, {comparison['candidate']}" if several else comparison["setting"]


def _overview(comparisons: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """(name, one check for each comparison); None where a comparison does not have it."""
    by_name = [{check["name"]: check for check in one["checks"]} for one in comparisons]
    names = dict.fromkeys(name for one in by_name for name in one)
    return [(name, [one.get(name) for one in by_name]) for name in names]


def _missing(comparisons: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """(check, reason, the settings it concerns) of all that is not covered, each once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for comparison in comparisons:
        for check in comparison["checks"]:
            for one in check["not_covered"]:
                found.setdefault((check["name"], one["reason"]), {})[comparison["label"]] = None
    return [(name, reason, list(labels)) for (name, reason), labels in found.items()]


# How values are written.


def short(value: float | str) -> str:
    """A figure: ``1.2e-14``, ``0``; what is not finite in words."""
    number = float(value)
    if math.isnan(number):
        return "not a number"
    if math.isinf(number):
        return "infinite"
    return "0" if number == 0 else f"{number:.1e}"


def bound(value: float) -> str:
    """A bound; one of 0 asks for equality."""
    return "equal" if value == 0 else short(value)


def share(place: dict[str, Any]) -> str:
    """An error in units of its bound; empty where there is no such ratio."""
    relative = float(place["relative"])
    if place["bound"] == 0 or not math.isfinite(relative):
        return ""
    times = relative / place["bound"]
    return "0" if times == 0 else "below 0.001" if times < 0.001 else f"{times:.2g}" if times < 1e4 else f"{times:.0e}"


def where(place: dict[str, Any]) -> str:
    """Tensor, row and step of a comparison."""
    row = "" if place["row"] is None else f", row {place['row']}"
    step = "" if place["step"] is None else f", step {place['step']}"
    return f"{place['tensor']}{row}{step}"


def option(value: Any) -> str:
    """The value of an option, lists as ``100/50``."""
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def css(verdict: str) -> str:
    """The class of a verdict in the style sheet."""
    return verdict.replace(" ", "-")
