"""What can be wrong with files of sessions, found before anyone trains on them for a night.

A finding is ``fine``, a ``note`` (worth knowing, often harmless), or ``bad``: what is measured on such files misleads.
Every function looks at one thing and says what it found in figures.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl

from gru4rec.frames import EventFile

Level = Literal["fine", "note", "bad"]

DAY = 86_400.0
MILLISECONDS = 1e11  # a time beyond it is no number of seconds that anybody means: as such, the year 5138
LEAKED = 0.01  # of the training events: so many may fall in the time of the test
EARLY = 0.05  # of the test sessions: so many may begin long before the others
UNKNOWN = 0.5  # of the test events
AT_ONCE = 0.2  # of the events: so many of the time of the one before are no clicks
MANY = 50  # sessions: of fewer, that nobody comes back to an item says nothing
LONG_SPAN = 30 * DAY  # of half the sessions: no session of a visit lasts so long


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        what: the check.
        where: the files it is about.
        level: fine, note or bad.
        found: figures, in words.
        figures: the same as numbers.
    """

    what: str
    where: str
    level: Level
    found: str
    figures: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Events:
    """A file's events with what several checks need of them.

    Attributes:
        file: the file.
        frame: session, item and time in the file's order, as Polars has them; times in seconds.
        milliseconds: whether all times are taken as milliseconds here.
    """

    def __init__(self, file: EventFile):
        self.file = file
        session, item, time = (file.frame[name] for name in file.columns)
        self.name = str(file.path)
        self.many = time.to_numpy() > MILLISECONDS
        self.milliseconds = bool(self.many.all())
        self.units = 1000 if self.milliseconds else 1
        self.frame = pl.DataFrame(
            {"session": _column(session), "item": _column(item), "time": time.to_numpy() / self.units}
        )
        self.sessions = self.frame.group_by("session").agg(
            n=pl.len(), first=pl.col("time").min(), last=pl.col("time").max(), n_items=pl.col("item").n_unique()
        )

    @property
    def texts(self) -> list[str]:
        """The columns of ids that hold texts."""
        return [name for name in ("session", "item") if self.frame[name].dtype == pl.String]


def _column(values: pd.Series) -> pl.Series:
    numbers = pd.api.types.is_integer_dtype(values)
    return pl.Series(values.to_numpy() if numbers else values.to_numpy(object).astype(str))


def _finding(what: str, where: str, level: Level, found: str, **figures: Any) -> Finding:
    return Finding(what, where, level, found, figures)


def _share(part: int, whole: int) -> str:
    share = part / max(whole, 1)
    return f"{part:,} of {whole:,} ({'under 0.1%' if 0 < share < 0.001 else f'{share:.1%}'})"


def order(events: Events) -> Finding:
    """Times that go back within a session, and sessions that are scattered over the file."""
    same = pl.col("session") == pl.col("session").shift(1)
    back = events.frame.select((same & (pl.col("time") < pl.col("time").shift(1))).sum()).item() or 0
    runs = events.frame.select((~same.fill_null(False)).sum()).item()
    scattered = runs - len(events.sessions)
    if not (back or scattered):
        found = "every session's events are together and in order"
        return _finding("order", events.name, "fine", found, back=0, scattered=0)
    parts = []
    if back:
        parts.append(f"{_share(back, len(events.frame))} events are earlier than the line before of their session")
    if scattered:
        parts.append(f"{scattered:,} pieces of sessions stand apart from the rest of them")
    found = "; ".join((*parts, "training sorts by session and time"))
    return _finding("order", events.name, "note", found, back=back, scattered=scattered)


def ties(events: Events) -> Finding:
    """Events of a session at the same time: nothing says which came first."""
    tied = _tied(events)
    level: Level = "fine" if not tied else "note"
    words = "no two events of a session at one time" if not tied else (
        f"{_share(tied, len(events.frame))} events have the time of the one before; training takes the file's order, "
        "evaluation the items'"
    )
    return _finding("equal times", events.name, level, words, tied=tied)


def _tied(events: Events) -> int:
    ordered = events.frame.sort("session", "time", maintain_order=True)
    same = (pl.col("session") == pl.col("session").shift(1)) & (pl.col("time") == pl.col("time").shift(1))
    return int(ordered.select(same.sum()).item() or 0)


def duplicates(events: Events) -> Finding:
    """Lines that say the same session, item and time again."""
    again = len(events.frame) - len(events.frame.unique())
    if not again:
        return _finding("duplicates", events.name, "fine", "none", duplicates=0)
    level: Level = "bad" if again > 0.01 * len(events.frame) else "note"
    found = f"{_share(again, len(events.frame))} lines say the same session, item and time again"
    return _finding("duplicates", events.name, level, found, duplicates=again)


def single_events(events: Events) -> Finding:
    """Sessions of one event: nothing to learn from, nothing to predict."""
    n = int((events.sessions["n"] == 1).sum())
    level: Level = "fine" if not n else "bad" if n == len(events.sessions) else "note"
    of = f"{_share(n, len(events.sessions))} sessions; they are neither trained on nor predicted"
    found = of if n else "none"
    return _finding("one-event sessions", events.name, level, found, sessions=n)


def numbers_in_disguise(events: Events) -> Finding:
    """Ids that a program which reads them as numbers would change, or take for one another."""
    parts: list[str] = []
    level: Level = "fine"
    figures: dict[str, Any] = {}
    for name in events.texts:
        ids = events.frame[name].unique()
        digits = ids.filter(ids.str.contains(r"^[+-]?[0-9]+(\.0*)?$"))
        plain = digits.str.contains(r"^(0|-?[1-9][0-9]*)$")
        odd = digits.filter(~plain)
        bare = digits.str.replace(r"\.0*$", "").str.replace(r"^\+", "").str.replace(r"^(-?)0+([0-9])", "$1$2")
        merged = len(digits) - bare.n_unique()
        figures |= {f"{name}s": len(odd), f"{name}s_merged": merged}
        if len(odd):
            level = "bad" if merged else "note" if level == "fine" else level
            example = odd.sort()[0]
            parts.append(
                f"{name} ids are texts: {_share(len(odd), len(ids))} look like numbers and are none, as {example!r}"
                + (f"; read as numbers, {merged:,} ids would be another's" if merged else "")
            )
    return _finding("ids", events.name, level, "; ".join(parts) or _kinds(events), **figures)


def _kinds(events: Events) -> str:
    kinds = {name: "texts" if name in events.texts else "whole numbers" for name in ("session", "item")}
    return f"sessions are {kinds['session']}, items {kinds['item']}"


def units(events: Events) -> Finding:
    """Milliseconds that pass for seconds, and files in which both are."""
    n = int(events.many.sum())
    if 0 < n < len(events.many):
        found = f"{_share(n, len(events.many))} times look like milliseconds, the others like seconds"
        return _finding("unit of time", events.name, "bad", found, milliseconds=n)
    if n:
        found = "milliseconds: read as seconds, a visit of a minute lasts 17 hours (this matters to dwell time alone)"
        return _finding("unit of time", events.name, "note", found, milliseconds=n)
    return _finding("unit of time", events.name, "fine", f"seconds, {_span(events)}", milliseconds=0)


def _span(events: Events) -> str:
    seconds = events.frame["time"].to_numpy()
    first, last = (np.datetime64(int(time), "s") for time in (seconds.min(), seconds.max()))
    return f"{first} to {last}, UTC"


def ratings(events: Events, stars: pl.Series | None = None) -> Finding:
    """Whether these are ratings, on which an evaluation of next items says little.

    Signs: nobody has an item twice; half of the sessions last longer than a month; many events at one time, as of a
    form that is filled in; a column of half or whole stars.
    """
    several = events.sessions.filter(pl.col("n") > 1)
    repeated = int((several["n"] > several["n_items"]).sum())
    span = float(np.median((several["last"] - several["first"]).to_numpy())) if len(several) else 0.0
    mean = float(several["n"].to_numpy().mean()) if len(several) else 0.0
    at_once = _tied(events) / len(events.frame)
    signs = []
    if len(several) >= MANY and not repeated and mean > 3:
        signs.append("no session has an item twice")
    if span > LONG_SPAN:
        signs.append(f"half of the sessions last more than {span / DAY:,.0f} days")
    if at_once > AT_ONCE:
        signs.append(f"{at_once:.0%} of the events have the time of the one before")
    if stars is not None and _are_stars(stars):
        signs.append(f"column {stars.name!r} holds stars")
    level: Level = "bad" if len(signs) >= 2 else "note" if signs else "fine"
    found = "; ".join(signs) or "no sign of ratings"
    if level == "bad":
        found += ": ratings, given in no order of use; evaluation on them gives no informative results"
    return _finding("ratings", events.name, level, found, signs=len(signs), median_span_seconds=span)


def _are_stars(values: pl.Series) -> bool:
    """Whether all values are from 0 to 5 in steps of a half, and there are several of them."""
    numbers = values.cast(pl.Float64, strict=False)
    doubled = (numbers * 2).unique().drop_nulls()
    return not numbers.has_nulls() and 3 <= len(doubled) <= 11 and bool(
        ((doubled == doubled.round()) & (doubled >= 0) & (doubled <= 10)).all()
    )


def straddling(train: Events, test: Events) -> Finding:
    """Sessions with events in both files."""
    both = train.sessions.select("session").join(test.sessions.select("session"), on="session")
    where = f"{train.name}, {test.name}"
    if both.is_empty():
        return _finding("straddling sessions", where, "fine", "no session is in both", sessions=0)
    found = f"{_share(len(both), len(test.sessions))} sessions of the test are in the training data too"
    return _finding("straddling sessions", where, "bad", found, sessions=len(both))


def leakage(train: Events, test: Events) -> Finding:
    """Training events at or after the first event of the test, and after nearly all of its sessions have yet to begin.

    A test session that lasts for days, as splits by a session's end have, lets the first figure grow, and not the
    second.
    """
    where = f"{train.name}, {test.name}"
    begins = test.sessions["first"].sort()
    late, far = (int((train.frame["time"] >= begin).sum()) for begin in (begins[0], begins[int(EARLY * len(begins))]))
    share = far / len(train.frame)
    level: Level = "fine" if not late else "bad" if share > LEAKED else "note"
    found = "training ends before the test begins" if not late else (
        f"{_share(late, len(train.frame))} training events are not before the first event of the test, {far:,} of them "
        f"not before {1 - EARLY:.0%} of its sessions"
    )
    return _finding("leakage through time", where, level, found, events=late, events_late=far)


def same_unit(train: Events, test: Events) -> Finding:
    """One file in seconds, the other in milliseconds."""
    where = f"{train.name}, {test.name}"
    if train.milliseconds == test.milliseconds:
        return _finding("units of both", where, "fine", "the same", same=True)
    return _finding("units of both", where, "bad", "one is in seconds, the other in milliseconds", same=False)


def unknown_items(train: Events, test: Events) -> Finding:
    """Test events of items that training does not have."""
    where = f"{train.name}, {test.name}"
    known = test.frame["item"].is_in(train.frame["item"].unique().implode())
    unknown = int((~known).sum())
    rest = test.frame.filter(known)
    predicted = len(rest) - rest["session"].n_unique()
    share = unknown / len(test.frame)
    level: Level = "bad" if not predicted or share > UNKNOWN else "note" if unknown else "fine"
    found = f"every item of the test is known; {predicted:,} events are predicted" if not unknown else (
        f"{_share(unknown, len(test.frame))} test events are of items that training lacks, and left out; "
        f"{predicted:,} are predicted"
    )
    return _finding("unknown items", where, level, found, events=unknown, predicted=predicted)


def identical(train: Events, test: Events) -> Finding:
    """The same file twice."""
    where = f"{train.name}, {test.name}"
    same = train.file.sha256 == test.file.sha256
    found = "one is a copy of the other" if same else "they differ"
    return _finding("two files", where, "bad" if same else "fine", found, same=same)


OF_ONE: tuple[Callable[[Events], Finding], ...] = (
    order, ties, duplicates, single_events, numbers_in_disguise, units
)  # fmt: skip
OF_TWO: tuple[Callable[[Events, Events], Finding], ...] = (
    identical, straddling, leakage, same_unit, unknown_items
)  # fmt: skip


def check(files: list[EventFile], stars: list[pl.Series | None] | None = None) -> list[Finding]:
    """All findings of a training file and, where there are two, a file to evaluate on.

    stars: of each file the column of ratings that it has, None for none.
    """
    stars = stars or [None] * len(files)
    events = [Events(file) for file in files]
    found = []
    for each, column in zip(events, stars):
        found += [check_one(each) for check_one in OF_ONE] + [ratings(each, column)]
    if len(events) == 2:
        found += [check_two(*events) for check_two in OF_TWO]
    return found


def verdict(findings: list[Finding]) -> str:
    """In one sentence."""
    bad = [each.what for each in findings if each.level == "bad"]
    notes = sum(each.level == "note" for each in findings)
    if bad:
        return f"bad: {', '.join(dict.fromkeys(bad))}; what is measured on these files misleads"
    return f"nothing bad; {notes} thing(s) to know" if notes else "nothing bad"
