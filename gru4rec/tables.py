"""Results as tidy tables, a row for each observation: TSV, CSV or Parquet, each file whole at any time."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from gru4rec import files, terminal

SUFFIXES = (".tsv", ".csv", ".parquet")


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace ``path`` as a whole, by its suffix. Texts that come from names are made safe for every reader."""
    content = BytesIO()
    is_parquet = path.suffix.lower() == ".parquet"
    frame = pl.DataFrame([{name: _value(value, is_parquet) for name, value in row.items()} for row in rows],
                         infer_schema_length=None)  # fmt: skip
    if is_parquet:
        frame.write_parquet(content)
    else:
        frame.write_csv(content, separator="," if path.suffix.lower() == ".csv" else "\t")
    with files.written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _value(value: Any, is_parquet: bool) -> Any:
    if not isinstance(value, str):
        return value
    return terminal.plain(value) if is_parquet else cell(value)


def cell(name: str) -> str:
    """A name as a cell that no spreadsheet takes for a formula, and no reader for two cells."""
    shown = terminal.plain(name).replace("\t", "\\t").replace("\n", "\\n")
    return f"./{shown}" if shown[:1] in "=+-@" and shown else shown
