"""Events in parts of whole sessions, so that the memory that preparing takes does not grow with the file.

The raw events are read once, in a stream, into a Parquet file of whole numbers. Where they are more than a part is to
hold, they are parted by their Key, the parts' bounds being quantiles of a sample of the Keys; then one part after the
other is in memory. What does not belong to a session, as an item's number of events, is added up over the parts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

PART_EVENTS = 8_000_000
_SAMPLE = 1_000_000  # Keys of which the bounds are quantiles
_ROWS = 500_000  # of a row group

Step = Callable[[pl.DataFrame], pl.DataFrame]


class Spool:
    """Frames of whole sessions, in the order of the sessions: one in memory, or several in files."""

    def __init__(self, parts: list[pl.DataFrame | Path]):
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, k: int) -> pl.DataFrame:
        part = self._parts[k]
        return read(part) if isinstance(part, Path) else part

    def __setitem__(self, k: int, frame: pl.DataFrame) -> None:
        part = self._parts[k]
        if isinstance(part, Path):
            write(frame, part)
        else:
            self._parts[k] = frame

    def map(self, step: Step) -> None:
        """Replace each part by ``step`` of it, in order."""
        for k in range(len(self)):
            self[k] = step(self[k])


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="lz4", row_group_size=_ROWS, statistics=False)


def gather(raw: pl.LazyFrame, folder: Path) -> Path:
    """Read ``raw`` once, in a stream, into a file in ``folder``; Polars' errors of what it reads come from here."""
    whole = folder / "raw.parquet"
    raw.sink_parquet(
        whole, compression="lz4", row_group_size=_ROWS, statistics=False, maintain_order=False, engine="streaming"
    )
    return whole


def part(whole: Path, folder: Path, part_events: int = PART_EVENTS) -> Spool:
    """The events of a file, in parts of ascending Key with about ``part_events`` events at most; the file is deleted.

    A Key's events stay together, so a part is larger where a Key has more events than it is to hold.
    """
    events = pl.scan_parquet(whole, glob=False, hive_partitioning=False)
    n = events.select(pl.len()).collect().item()
    n_parts = -(-n // part_events)
    if n_parts <= 1:
        frame = read(whole)
        whole.unlink()
        return Spool([frame])
    bounds = _bounds(events, n, n_parts)
    number = pl.lit(bounds).search_sorted(pl.col("Key"), side="right")
    parted = folder / "parts"
    events.with_columns(part=number).sink_parquet(
        pl.PartitionBy(parted, key="part", include_key=False), mkdir=True, compression="lz4", statistics=False,
        maintain_order=False, engine="streaming",
    )  # fmt: skip
    whole.unlink()
    files = []
    for k in range(len(bounds) + 1):
        written = sorted((parted / f"part={k}").glob("*.parquet"))
        if len(written) > 1:
            raise RuntimeError(f"{parted}: part {k} came as {len(written)} files, one is expected")
        files += written
    return Spool(list(files))


def _bounds(events: pl.LazyFrame, n: int, n_parts: int) -> pl.Series:
    """The Keys, ascending, with which the parts after the first begin."""
    every = -(-n // _SAMPLE)
    taken = events.select("Key").with_row_index("row").filter(pl.col("row") % every == 0)
    keys = taken.select("Key").collect(engine="streaming")["Key"].sort()
    bounds = keys[[len(keys) * k // n_parts for k in range(1, n_parts)]].unique().sort()
    return bounds.filter(bounds > keys[0])
