"""Yoochoose, Rees46, Coveo, RetailRocket, Diginetica: from the raw files to four files of sessions, by common steps.

What the data sets differ in, :class:`Shop` says, one file a data set; the steps are those of
:mod:`gru4rec.datasets.steps`, taken in parts of bounded size by :mod:`gru4rec.datasets.spool`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gru4rec import files
from gru4rec.datasets import rawfiles, spool, steps, writing
from gru4rec.datasets.prepared import Counts
from gru4rec.datasets.rawfiles import Layout
from gru4rec.datasets.spool import PART_EVENTS, Spool
from gru4rec.datasets.steps import Parts
from gru4rec.datasets.writing import About, Format

log = logging.getLogger(__name__)

PARTS = Parts._fields


@dataclass(frozen=True)
class Shop:
    """A data set of events in a shop.

    Attributes:
        key: its name in commands and files.
        name: its name.
        raw: the names of its raw files, in the order in which they are read.
        layout: how these are written.
        events: the layout's fields, in the raw files' order -> Key, ItemId, Time, View, as steps.py has them.
        units: of Time in a second.
        cut: whether sessions are cut where more than an hour passes between two events.
        views_first: whether these are two views, else two events of whatever kind.
        last: the time at which the data end; None for that of their last event.
        test_days: days of the test part.
        settings: the name of the settings that were published for it.
        may_lack_items: whether events to keep may name no item; they are left out then.
        lines: of all raw files together, as their publishers count them; None where that is not known here.
        published: the counts of the prepared parts, as far as they were published.
        homepage: where the raw files are to be had.
    """

    key: str
    name: str
    raw: tuple[str, ...]
    layout: Layout
    events: Callable[[pl.LazyFrame], pl.LazyFrame]
    units: int
    cut: bool
    last: int | None
    test_days: int
    settings: str
    homepage: str
    views_first: bool = False
    may_lack_items: bool = False
    lines: int | None = None
    published: dict[str, Counts] = field(default_factory=dict)

    def find(self, paths: Sequence[Path]) -> list[Path]:
        """The raw files: as given, or by their names in the one folder that is given.

        Raises:
            ValueError: for another number of files.
            OSError: for one that is not there.
        """
        found = list(paths)
        if len(found) == 1 and found[0].is_dir():
            found = [found[0] / name for name in self.raw]
        if len(found) != len(self.raw):
            raise ValueError(f"RAW: {len(found)} file(s) given; {self.key} needs {len(self.raw)}, in this order: "
                             f"{' '.join(self.raw)}, or the folder that holds them")  # fmt: skip
        files.check_inputs([("RAW", path) for path in found])
        return found

    def names(self, form: Format = "tsv") -> dict[str, str]:
        """The names of the prepared files, by part."""
        return {part: f"{self.key}_{part}.{form}" for part in PARTS}


@dataclass
class Account:
    """What became of the raw events.

    Attributes:
        raw: events of the raw files, of every kind.
        without_item: events to keep that name no item; left out.
        views: events to keep.
        sessions: that they came in, before anything is dropped.
        repeats: events that repeat the one before.
        kept: events after short sessions and rare items are dropped.
        passes: over the data until nothing more was to drop.
        parts: in which the data were in memory.
        counts: of the prepared parts.
    """

    raw: int = 0
    without_item: int = 0
    views: int = 0
    sessions: int = 0
    repeats: int = 0
    kept: int = 0
    passes: int = 0
    parts: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)


def prepare(
    shop: Shop, paths: Sequence[Path], out: Path, form: Format = "tsv", part_events: int = PART_EVENTS,
    progress: Callable[[str], None] = lambda text: None,
) -> Account:  # fmt: skip
    """Write the four files of a data set, and their description, to folder ``out``.

    All files appear when all are whole; on any error none does, and those of an earlier run stay.

    Args:
        shop: the data set.
        paths: its raw files, as :meth:`Shop.find` gives them.
        out: the folder, which is there.
        form: of the files.
        part_events: how many events are in memory at a time.
        progress: is told what is being done.

    Raises:
        ValueError: for a line that is no event (file, line, reason), and where a part would be empty.
        OSError: where a file cannot be read or written.
    """
    account = Account()
    with _named(out), files.scratch_folder(out) as folder:
        progress(f"reading {', '.join(path.name for path in paths)}")
        events = _sessions(shop, _gathered(shop, paths, folder, account), folder, part_events, account, progress)
        _drop_rare(events, account, progress)
        parts = _split(shop, events, folder, account, progress)
        about = About(shop.key, shop.name, shop.homepage, tuple(paths), account.raw, shop.units, _describe(shop))
        progress("writing")
        writing.write(parts, account.counts, {part: out / name for part, name in shop.names(form).items()}, form, about)
    return account


@contextmanager
def _named(out: Path) -> Iterator[None]:
    """Within, an error of the disk that names no file names this folder."""
    try:
        yield
    except OSError as problem:
        if problem.filename is not None:
            raise
        raise OSError(f"{out}: nothing was prepared: {problem}") from problem


def _gathered(shop: Shop, paths: Sequence[Path], folder: Path, account: Account) -> Path:
    """The raw events as whole numbers, in a file."""
    lines = pl.concat([shop.layout.scan(path) for path in paths])
    try:
        # an event of a line with too many fields has no time, for the line to be named
        time = pl.when(~pl.col("extra")).then("Time")
        whole = spool.gather(shop.events(lines).with_columns(time).drop("extra"), folder)
    except pl.exceptions.PolarsError as problem:
        if "(os error" in str(problem):  # of the file that is written, in Polars' words
            raise OSError(str(problem).splitlines()[0]) from None
        raise rawfiles.explain(shop.layout, paths, str(problem).splitlines()[0]) from None
    events = pl.scan_parquet(whole, glob=False, hive_partitioning=False)
    no_item = pl.col("View") & pl.col("ItemId").is_null()
    found = events.select(
        raw=pl.len(), faulty=pl.any_horizontal(pl.col("Key", "Time").is_null(), no_item & ~shop.may_lack_items).sum(),
        without_item=no_item.sum(), views=pl.col("View").sum(),
    ).collect(engine="streaming")  # fmt: skip
    account.raw, faulty, account.without_item, views = found.row(0)
    if faulty:
        raise rawfiles.explain(shop.layout, paths, f"{faulty} line(s) without a session, a user, an item or a time")
    account.views = (views or 0) - account.without_item
    if not account.views:
        raise ValueError(f"{', '.join(map(str, paths))}: none of {account.raw} events is one of those that are kept")
    return whole


def _sessions(
    shop: Shop, whole: Path, folder: Path, part_events: int, account: Account, progress: Callable[[str], None]
) -> Spool:
    """Steps 1 to 4."""
    events = spool.part(whole, folder, part_events)
    account.parts = len(events)
    gap = steps.GAP_SECONDS * shop.units if shop.cut else None
    first = 1

    def step(part: pl.DataFrame) -> pl.DataFrame:
        nonlocal first
        has_item = pl.col("View") & pl.col("ItemId").is_not_null()
        part = part.with_columns(View=has_item)
        made, first = steps.sessions(part.filter("View") if shop.views_first else part, gap, first)
        account.sessions += made["SessionId"].n_unique()
        kept = steps.drop_repeats(made)
        account.repeats += len(made) - len(kept)
        return kept

    progress(f"making sessions, {len(events)} part(s)")
    events.map(step)
    return events


def _drop_rare(events: Spool, account: Account, progress: Callable[[str], None]) -> None:
    """Step 5. A part that holds none of the items that a pass drops is not looked at in that pass."""
    supports: dict[int, pl.DataFrame] = {}
    for k in range(len(events)):
        events[k] = part = steps.drop_single_events(events[k])
        supports[k] = steps.supports(part)
    account.passes = 1
    while len(rare := steps.rare_items(list(supports.values()))):
        account.passes += 1
        progress(f"dropping short sessions and rare items, pass {account.passes}")
        for k, support in supports.items():
            if support["ItemId"].is_in(rare.implode()).any():
                events[k] = part = steps.drop_single_events(steps.drop_items(events[k], rare))
                supports[k] = steps.supports(part)
    account.kept = sum(int(support["n"].sum()) for support in supports.values())
    if not account.kept:
        raise ValueError(
            f"nothing is left of {account.views} events: sessions need 2 events, items {steps.LEAST_SUPPORT}"
        )


def _split(
    shop: Shop, events: Spool, folder: Path, account: Account, progress: Callable[[str], None]
) -> dict[str, pl.LazyFrame]:
    """Steps 6 and 7, counted into the account: each part as a frame."""
    progress("splitting")
    last = max(int(part["Time"].to_numpy().max()) for part in events if len(part)) if shop.last is None else shop.last
    test_time = shop.test_days * steps.DAY_SECONDS * shop.units
    found: dict[str, list[pl.LazyFrame]] = {part: [] for part in PARTS}
    numbers = {part: [0, 0] for part in PARTS}
    items: dict[str, list[pl.Series]] = {part: [] for part in PARTS}
    for k, whole in enumerate(events):
        for name, part in zip(PARTS, steps.split(whole, last, test_time)):
            numbers[name][0] += len(part)
            numbers[name][1] += part["SessionId"].n_unique()
            items[name].append(part["ItemId"].unique())
            if len(events) > 1:
                path = folder / f"{name}-{k}.parquet"
                spool.write(part, path)
                found[name].append(pl.scan_parquet(path, glob=False, hive_partitioning=False))
            else:
                found[name].append(part.lazy())
    for name in PARTS:
        n_events, n_sessions = numbers[name]
        account.counts[name] = Counts(n_events, n_sessions, pl.concat(items[name]).n_unique())
        if not n_events:
            raise ValueError(f"the events leave none for {name}: they have to cover more than "
                             f"{2 * shop.test_days} days before {_moment(last, shop.units)}")  # fmt: skip
    return {name: pl.concat(found[name]) for name in PARTS}


def _moment(time: int, units: int) -> str:
    return pl.select(pl.from_epoch(pl.lit(time // units))).item().strftime("%Y-%m-%d %H:%M:%S UTC")


def _describe(shop: Shop) -> str:
    """The steps in words, for the description."""
    cut = "sessions cut after more than an hour between two events; " if shop.cut else ""
    return (
        f"{cut}of an item's events that follow each other in a session the first; then, until nothing changes, "
        f"sessions of one event and items of fewer than {steps.LEAST_SUPPORT} events dropped; test: the sessions that "
        f"begin in the last {shop.test_days} day(s); train_full: the events before; train_valid and train_tr: the "
        "same on train_full, twice as long before the end (arXiv 2307.14956)"
    )
