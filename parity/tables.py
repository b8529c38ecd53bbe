"""What the commands print."""

import math
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from gru4rec.terminal import make_table
from parity.measure import Check, Checks, Verdict

_STYLES = {
    "held": "green",
    "failed": "bold red",
    "not covered": "yellow",
    "not applicable": "dim",
    "caught": "green",
    "NOT CAUGHT": "bold red",
}


def number(value: float) -> str:
    """A short form of an error or a tolerance."""
    if value == 0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else "infinite"


def bound(value: float) -> str:
    return "equal" if value == 0 else number(value)


def status(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def explain(check: Check) -> str:
    """The cause of a failure and its symptom, or where a check is worst, or why it says nothing."""
    parts = [check.broken] if check.broken else []
    first, worst = check.first_failure, check.worst
    if first:
        parts.append(f"first past its bound: {first.where}: {number(first.error.relative)}")
    if worst and worst is not first:
        parts.append(f"worst: {worst.where}" if first else worst.where)
    if check.reasons:
        parts.append(f"not covered: {'; '.join(check.reasons)}")
    return "; ".join(parts) or "; ".join(dict.fromkeys(check.not_applicable)) or "nothing was compared"


def checks_table(title: str, checks: Checks) -> Table:
    right = ("compared", "worst error", "bound")
    made = make_table(title, "check", "verdict", *right, "where", right=right)
    for check in checks.in_order():
        figures = ("", "") if check.worst is None else (number(check.worst.error.relative), bound(check.worst.bound))
        made.add_row(check.name, status(check.verdict), f"{check.compared:,}", *figures, explain(check))
    return made


def counted(verdicts: Iterable[Verdict], noun: str) -> str:
    """``12 checks: 10 held, 1 failed, 1 not applicable``."""
    found = list(verdicts)
    each = ", ".join(f"{n} {verdict}" for verdict in Verdict if (n := found.count(verdict)))
    return f"{len(found)} {noun}" + (f": {each}" if each else "")


def sentence(verdict: Verdict) -> str:
    """What a verdict over everything means, in one sentence; the last line of a command and of its report."""
    return {
        Verdict.HELD: "Everything that applies was compared, and all of it is within its bound.",
        Verdict.FAILED: "The claim is not shown: at least one comparison is past its bound, or an engine raised.",
        Verdict.NOT_COVERED: "Nothing failed, but not everything that applies was compared.",
        Verdict.NOT_APPLICABLE: "Nothing was compared.",
    }[verdict]
