"""What the commands print."""

import math
from typing import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.measure import CHECKS, Check, Checks

_STYLES = {"held": "green", "failed": "bold red", "not covered": "yellow", "caught": "green", "NOT CAUGHT": "bold red"}


def number(value: float) -> str:
    """A short form of an error or a tolerance."""
    if value == 0:
        return "0"
    return "infinite" if math.isinf(value) else f"{value:.1e}"


def bound(tolerance: float) -> str:
    return "equal" if tolerance == 0 else number(tolerance)


def status(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def table(title: str, *columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def explain(check: Check) -> str:
    """Where a check is worst, or why it says nothing."""
    if check.broken:
        return check.broken
    if check.worst is None:
        return "; ".join(dict.fromkeys(check.not_covered)) or "nothing to compare"
    first = check.first_failure
    begins = f"; first past its bound: {first.where}" if first and first is not check.worst else ""
    missing = f"; not covered: {'; '.join(dict.fromkeys(check.not_covered))}" if check.not_covered else ""
    return check.worst.where + begins + missing


def checks_table(title: str, checks: Checks) -> Table:
    made = table(
        title,
        "check",
        "verdict",
        "compared",
        "worst error",
        "bound",
        "where",
        right=("compared", "worst error", "bound"),
    )
    for name in CHECKS:
        if name not in checks:
            continue
        check = checks[name]
        figures = (
            ("", "") if check.worst is None else (number(check.worst.error.relative), bound(check.worst.tolerance))
        )
        made.add_row(name, status(check.status), f"{check.compared:,}", *figures, explain(check))
    return made


def console() -> Console:
    """Wide enough for the tables where the output is a file."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=140)
