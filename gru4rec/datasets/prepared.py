"""Prepared data: a training part and a part to evaluate on, and how to recognise them later."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import polars as pl

from gru4rec import frames
from gru4rec.frames import Columns, Ids
from gru4rec.published import Published


class Counts(NamedTuple):
    """What a set of sessions holds. None for a number that is not known, as in published counts."""

    events: int
    sessions: int
    items: int | None

    def agree(self, published: "Counts") -> bool:
        return all(theirs is None or ours == theirs for ours, theirs in zip(self, published))


def count(sessions: pl.DataFrame, columns: Columns = Columns()) -> Counts:
    """Of a frame of events."""
    return Counts(len(sessions), sessions[columns.session].n_unique(), sessions[columns.item].n_unique())


@dataclass(frozen=True)
class Dataset:
    """The data of a job.

    Attributes:
        name: of the data set, "RSC15".
        train, test: the events.
        columns: the names of their columns.
        source: what the user gave.
        synthetic: whether they were made here.
        counts, sha256: by the names of the parts, first the training part, then the one to evaluate on.
        remarks: what is to be said of the files.
        published: what was published for these very data, by config; {} where they are other data than those published
            on, None where nothing was published for any data of this name.
    """

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    columns: Columns
    source: str
    synthetic: bool
    counts: dict[str, Counts]
    sha256: dict[str, str]
    remarks: tuple[str, ...] = ()
    published: Mapping[str, Published] | None = None

    @property
    def title(self) -> str:
        return self.warning or self.source

    @property
    def warning(self) -> str | None:
        """What has to stand beside every figure that is measured on embedded data."""
        if not self.synthetic:
            return None
        return f"SYNTHETIC data, made on the spot: the figures say nothing about {self.name}"

    @property
    def evaluated_part(self) -> str:
        return list(self.counts)[1]

    @cached_property
    def unknown_events(self) -> int:
        """Events to evaluate on whose items training does not have: evaluation leaves them out."""
        return int((~self.test[self.columns.item].isin(self.train[self.columns.item].unique())).sum())


def from_files(
    name: str,
    paths: Mapping[str, Path],
    columns: Columns = Columns(),
    source: str | None = None,
    synthetic: bool = False,
    ids: Ids = "auto",
    time_format: str | None = None,
) -> Dataset:
    """The data of two files of sessions, by the names of the parts: the training part, the part to evaluate on.

    Raises:
        OSError: when one cannot be read.
        ValueError: when its content is not that of sessions.
    """
    parts = {}
    text_items = None
    for part, path in paths.items():
        parts[part] = frames.read(path, columns, ids, time_format, text_items)
        text_items = parts[part].has_text_items
    train, test = (each.frame for each in parts.values())
    return Dataset(
        name,
        train,
        test,
        columns=columns,
        source=source or ", ".join(map(str, paths.values())),
        synthetic=synthetic,
        counts={part: Counts(*each.counts) for part, each in parts.items()},
        sha256={part: each.sha256 for part, each in parts.items()},
        remarks=tuple(dict.fromkeys(remark for each in parts.values() for remark in each.remarks)),
    )
