"""The one function that writes prepared files: all of them and their description, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from gru4rec.datasets import croissant
from gru4rec.datasets.croissant import Description, File
from gru4rec.datasets.prepared import Counts
from gru4rec.files import written_together

Format = Literal["tsv", "parquet"]
FORMATS: tuple[Format, ...] = ("tsv", "parquet")
DESCRIPTION = "description"


@dataclass(frozen=True)
class About:
    """What a description says of the data set besides its files.

    Attributes:
        key: its name in the names of files.
        name: its name.
        homepage: where the raw files are to be had.
        raw: the paths of the raw files.
        raw_events: which these hold.
        units: of Time in a second.
        steps: how the files are made of the raw ones, in words.
    """

    key: str
    name: str
    homepage: str
    raw: tuple[Path, ...]
    raw_events: int
    units: int
    steps: str


def description_name(key: str) -> str:
    """The name of the description's file."""
    return f"{key}_croissant.json"


def write(
    parts: Mapping[str, pl.LazyFrame], counts: Mapping[str, Counts], paths: Mapping[str, Path], form: Format,
    about: About,
) -> Path:  # fmt: skip
    """Write each part to its path, and the description beside them; returns the path of that.

    All files appear together, each whole: what fails, or is killed, before leaves those of an earlier run as they are.

    Args:
        parts: SessionId, ItemId, Time, in the order in which they are to stand.
        counts: what they hold.
        paths: one for each part, all in one folder.
        form: tab-separated text, or Parquet.
        about: for the description.

    Raises:
        OSError: where a file cannot be written.
    """
    (folder,) = {path.parent for path in paths.values()}
    target = folder / description_name(about.key)
    raw = tuple(File.of(path) for path in about.raw)
    schema = next(iter(parts.values())).collect_schema()
    seconds = "seconds" if about.units == 1 else "milliseconds"
    with written_together({**paths, DESCRIPTION: target}) as temporary:
        for part, frame in parts.items():
            if form == "parquet":
                frame.sink_parquet(temporary[part], maintain_order=True, engine="streaming")
            else:
                frame.sink_csv(temporary[part], separator="\t", maintain_order=True, engine="streaming")
        description = Description(
            about.name, {part: File.of(temporary[part], path.name) for part, path in paths.items()}, counts, raw,
            about.raw_events, about.steps, about.homepage, "sc:Float" if schema["Time"].is_float() else "sc:Integer",
            f"Unix time in {seconds}, UTC",
        )  # fmt: skip
        temporary[DESCRIPTION].write_text(croissant.as_text(description), encoding="utf-8")
    return target
