"""The data of a run: a training part and a part to evaluate on, and how to recognise them later."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Mapping

import pandas as pd
import polars as pl

from examples.sessions import Columns, Counts, count, read_sessions


@dataclass(frozen=True)
class Published:
    """Recall@20 and MRR@20 as published, after so many epochs."""

    recall: float
    mrr: float
    n_epochs: int


@dataclass(frozen=True)
class Dataset:
    """name: of the data set, "RSC15". train, test: the events. source: what the user gave.

    counts, sha256: by the names of the parts, first the training part, then the one to evaluate on.
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
    published: Mapping[str, Published] | None = None

    @property
    def title(self) -> str:
        return self.warning or self.source

    @property
    def warning(self) -> str | None:
        """What has to stand beside every figure that is measured on embedded data."""
        if not self.synthetic:
            return None
        return f"SYNTHETIC data, made by sample.py: the figures say nothing about {self.name}"

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
) -> Dataset:
    """The data of two files of sessions, by the names of the parts: the training part, the part to evaluate on.

    Raises OSError when one cannot be read, ValueError when its content is not that of sessions.
    """
    frames = {part: read_sessions(path, columns) for part, path in paths.items()}
    return Dataset(
        name,
        *(_to_pandas(frame) for frame in frames.values()),
        columns=columns,
        source=source or ", ".join(map(str, paths.values())),
        synthetic=synthetic,
        counts={part: count(frame, columns) for part, frame in frames.items()},
        sha256={part: sha256(path) for part, path in paths.items()},
    )


def _to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({column: frame[column].to_numpy() for column in frame.columns})


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
