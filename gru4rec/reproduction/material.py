"""The data of a reproduction: prepared unless they are, checked, and recognised as the published ones or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from gru4rec import files, frames
from gru4rec.datasets import checks, croissant, rsc15, rsc15_sample, shop_sample, shops, writing
from gru4rec.datasets.checks import Finding
from gru4rec.datasets.prepared import Counts
from gru4rec.datasets.registry import SHOPS
from gru4rec.frames import EventFile
from gru4rec.published import SETTINGS

NAMES = ("rsc15", *SHOPS)
TRAIN, TEST = "train_full", "test"
Comparable = Literal["yes", "no", "unknown"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A data set whose published results are to be reproduced.

    Attributes:
        key: its name in commands.
        name: its name in :data:`gru4rec.published.RESULTS`.
        settings: the name of the settings that these results were published with.
        raw: the names of its raw files.
    """

    key: str
    name: str
    settings: str
    raw: tuple[str, ...]

    @classmethod
    def named(cls, key: str) -> "Target":
        if key == "rsc15":
            return cls(key, "RSC15", "rsc15-xe", ("yoochoose-clicks.dat",))
        shop = SHOPS[key]
        return cls(key, shop.name, shop.settings, shop.raw)

    @property
    def configs(self) -> dict[str, dict]:
        """All settings that were published for it, by name."""
        return {name: dict(each.params) for name, each in SETTINGS.items() if each.data == self.name}

    def find(self, paths: Sequence[Path]) -> list[Path]:
        """The raw files. Raises ValueError for another number of them, OSError for one that is not there."""
        if self.key in SHOPS:
            return SHOPS[self.key].find(paths)
        if len(paths) != 1:
            raise ValueError(f"RAW: {len(paths)} file(s) given; rsc15 needs one, yoochoose-clicks.dat")
        (path,) = paths
        path = path / self.raw[0] if path.is_dir() else path
        files.check_inputs([("RAW", path)])
        return [path]


@dataclass(frozen=True)
class Material:
    """What is trained and measured on.

    Attributes:
        train, test: the files, read.
        findings: of the check.
        comparable: whether these are the data that the results were published for.
        why: that in words.
        synthetic: whether they were made here.
    """

    train: EventFile
    test: EventFile
    findings: list[Finding]
    comparable: Comparable
    why: str
    synthetic: bool

    @property
    def sha256(self) -> dict[str, str]:
        return {TRAIN: self.train.sha256, TEST: self.test.sha256}

    @property
    def counts(self) -> dict[str, Counts]:
        return {TRAIN: Counts(*self.train.counts), TEST: Counts(*self.test.counts)}

    @property
    def bad(self) -> bool:
        return any(each.level == "bad" for each in self.findings)


def from_raw(target: Target, raw: Sequence[Path], folder: Path, say: Say) -> Material:
    """The raw files, prepared into ``folder`` unless it holds what is prepared of these very files. Errors as those."""
    synthetic = not raw
    if synthetic:
        raw = _sampled(target, folder, say)
    if _is_prepared(target, raw, folder, say):
        say(f"{folder} holds what is prepared of these files already")
    elif target.key == "rsc15":
        say(f"preparing {raw[0]}")
        with raw[0].open("rb") as file:
            rsc15.preprocess(file, str(raw[0]), folder)
    else:
        shops.prepare(SHOPS[target.key], raw, folder, progress=say)
    found = croissant.read(folder / writing.description_name(target.key))
    train, test = (folder / found.files[part].name for part in (TRAIN, TEST))
    return _read(target, train, test, found.raw_events, synthetic)


def from_prepared(target: Target, train: Path, test: Path) -> Material:
    """Two prepared files. Raises OSError or ValueError for files that cannot be read as sessions."""
    return _read(target, train, test, None, synthetic=False)


def _sampled(target: Target, folder: Path, say: Say) -> list[Path]:
    """Synthetic raw files, made unless they are there."""
    paths = [folder / f"synthetic-{name}" for name in target.raw]
    if not all(path.exists() for path in paths):
        say("making SYNTHETIC raw files")
        if target.key == "rsc15":
            rsc15_sample.write_sample(paths[0])
        else:
            with files.scratch_folder(folder) as scratch:
                made = shop_sample.write_sample(SHOPS[target.key], scratch)
                for one, path in zip(made, paths):
                    one.replace(path)
    return paths


def _is_prepared(target: Target, raw: Sequence[Path], folder: Path, say: Say) -> bool:
    """Whether the folder's description names these raw files, by size and hash, and its files are as it says."""
    description = folder / writing.description_name(target.key)
    if not description.is_file():
        return False
    try:
        found = croissant.read(description)
    except ValueError:
        return False
    known = [(folder / each.name, each) for part, each in found.files.items() if part in (TRAIN, TEST)]
    pairs = list(zip(raw, found.raw)) + known
    if len(raw) != len(found.raw) or len(known) != 2:
        return False
    say("comparing with what is prepared already")
    return all(path.is_file() and path.stat().st_size == each.size for path, each in pairs) and all(
        files.sha256(path) == each.sha256 for path, each in pairs
    )


def _read(target: Target, train: Path, test: Path, raw_events: int | None, synthetic: bool) -> Material:
    learned = frames.read(train)
    measured = frames.read(test, text_items=learned.has_text_items)
    frames.check_predictable(measured, pd.Index(learned.frame[learned.columns.item].unique()))
    comparable, why = _comparable(target, learned, measured, raw_events, synthetic)
    return Material(learned, measured, checks.check([learned, measured]), comparable, why, synthetic)


def _comparable(
    target: Target, train: EventFile, test: EventFile, raw_events: int | None, synthetic: bool
) -> tuple[Comparable, str]:
    if synthetic:
        return "no", f"SYNTHETIC data, made on the spot: the figures say nothing about {target.name}"
    if target.key == "rsc15":
        counts = {TRAIN: Counts(*train.counts), TEST: Counts(*test.counts)}
        if rsc15.equal_published(counts):
            return "yes", "the counts of training and test equal the published ones"
        return "no", "the counts of training and test differ from the published ones"
    lines = SHOPS[target.key].lines
    if lines is None or raw_events is None:
        return "unknown", "no published count is at hand that these files could be compared with"
    if raw_events == lines:
        return "yes", f"the raw files have the {lines:,} events that their publisher counts"
    return "no", f"the raw files have {raw_events:,} events, their publisher counts {lines:,}"
