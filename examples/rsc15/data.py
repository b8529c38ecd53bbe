"""The data of a run: prepared files, the raw file, or embedded synthetic data; and how to recognise it later."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import polars as pl

from examples.rsc15 import sample
from examples.rsc15.preprocess import FILES, Counts, count, equal_published, preprocess

log = logging.getLogger(__name__)

SYNTHETIC_NOTE = "SYNTHETIC data, made by sample.py: the figures say nothing about RSC15"


class Columns(NamedTuple):
    """Names of the three columns of a sessions file."""

    session: str = "SessionId"
    item: str = "ItemId"
    time: str = "Time"


@dataclass(frozen=True)
class Dataset:
    train: pd.DataFrame
    test: pd.DataFrame
    columns: Columns
    source: str  # what the user gave
    synthetic: bool
    counts: dict[str, Counts]  # of "train_full" and "test"
    sha256: dict[str, str]  # of the file behind each of the two

    @property
    def is_published(self) -> bool:
        """Whether these are the data that the published results were measured on, as far as counts tell."""
        return not self.synthetic and equal_published(self.counts)

    @property
    def title(self) -> str:
        return SYNTHETIC_NOTE if self.synthetic else self.source


def embedded(folder: Path, columns: Columns = Columns()) -> Dataset:
    """Synthetic clicks, as many as :mod:`sample` makes by default, left in ``folder`` with the prepared files."""
    raw = folder / "synthetic-clicks.dat"
    sample.write_sample(raw)
    return from_clicks(raw, folder, columns, synthetic=True)


def from_clicks(raw: Path, folder: Path, columns: Columns = Columns(), synthetic: bool = False) -> Dataset:
    """The raw click file ``raw``, prepared into ``folder``. Errors as for :func:`preprocess`."""
    with open(raw, "rb") as file:
        preprocess(file, str(raw), folder)
    log.info("%s is prepared in %s", raw, folder)
    return from_files(folder / FILES["train_full"], folder / FILES["test"], columns, str(raw), synthetic)


def from_files(
    train: Path, test: Path, columns: Columns = Columns(), source: str | None = None, synthetic: bool = False
) -> Dataset:
    """Prepared files. Raises OSError when one cannot be read, ValueError when its content is not that of sessions."""
    paths = {"train_full": train, "test": test}
    frames = {part: read_sessions(path, columns) for part, path in paths.items()}
    return Dataset(
        *(_to_pandas(frame) for frame in frames.values()),
        columns=columns,
        source=source or f"{train}, {test}",
        synthetic=synthetic,
        counts={part: count(frame.rename(dict(zip(columns, Columns())))) for part, frame in frames.items()},
        sha256={part: sha256(path) for part, path in paths.items()},
    )


def read_sessions(path: Path, columns: Columns = Columns()) -> pl.DataFrame:
    """The three columns of a tab-separated file with a header, in the file's order. The time is in seconds, Float64."""
    try:
        frame = pl.scan_csv(path, separator="\t", quote_char=None, infer_schema_length=None)
        present = frame.collect_schema().names()
        for column in columns:
            if column not in present:
                raise ValueError(f"{path} has no column {column!r}; its columns are {', '.join(present)}")
        sessions = frame.select(columns).collect()
    except pl.exceptions.NoDataError:
        raise ValueError(f"{path} is empty") from None
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    if sessions.is_empty():
        raise ValueError(f"{path} holds no event")
    for column in columns:
        if nulls := sessions[column].null_count():
            raise ValueError(f"{path}: {nulls} value(s) missing in column {column!r}")
    if not sessions.schema[columns.time].is_numeric():
        raise ValueError(f"{path}: column {columns.time!r} must hold numbers, seconds since 1970")
    return sessions.with_columns(pl.col(columns.time).cast(pl.Float64))


def _to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({column: frame[column].to_numpy() for column in frame.columns})


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
