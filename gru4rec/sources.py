"""Where the columns of a file of sessions come from: a text or a Parquet file, behind one face.

Every refusal names the file and the line, or the row of a Parquet file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from gru4rec import files, parquet, textfiles
from gru4rec.terminal import quoted

Type = pl.DataType | type[pl.DataType]
_ROW = "\0row"  # no name of a column that a file has


class TextSource:
    """Columns of a text file, all of them texts."""

    def __init__(self, path: Path, columns: Sequence[str]):
        self.text = textfiles.look(path, columns)
        self.path, self.sha256 = path, self.text.sha256
        if not self.text.rows:
            raise ValueError(f"{path} holds no event")
        blank = {name: pl.col(name).str.strip_chars() == "" for name in columns}
        missing = {name: pl.col(name).is_null() | blank[name] for name in columns}
        found = self._collect(self.text.scan().select(each.any().alias(name) for name, each in missing.items()))
        for name in columns:
            for row, _ in self.bad(name, missing[name]) if found[name].item() else ():
                raise ValueError(f"{self.where(row)}: no value in column {name!r}")

    def column(self, name: str, dtype: Type = pl.String) -> pl.Series:
        return self._collect(self.text.scan({name: dtype}).select(name))[name]

    def first(self, name: str) -> pl.Series:
        return self._collect(self.text.scan().select(name).head(1))[name]

    def select(self, **wanted: pl.Expr) -> pl.DataFrame:
        return self._collect(self.text.scan().select(**wanted))

    def all(self, condition: pl.Expr) -> bool:
        return self.select(found=condition.all()).item()

    def bad(self, name: str, condition: pl.Expr) -> Iterator[tuple[int, str]]:
        """(row, from 0; text) of the first value of column ``name`` that fulfils the condition, where there is one."""
        rows = self.text.scan().select(name).with_row_index(_ROW).filter(condition).head(1)
        yield from ((row, value or "") for row, value in self._collect(rows).rows())

    def where(self, row: int) -> str:
        return f"{self.path}, line {row + 2}"

    def _collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect(engine="streaming")
        except pl.exceptions.PolarsError as problem:
            found = textfiles.ragged_line(self.text) or f"{self.path}: {quoted(str(problem).splitlines()[0], 200)}"
            raise ValueError(found) from None


class ParquetSource:
    """Columns of a Parquet file."""

    def __init__(self, path: Path, columns: Sequence[str]):
        files.check_finished(path)
        self.path, self.sha256 = path, files.sha256(path)
        self.frame = parquet.read(path, list(columns))
        if self.frame.is_empty():
            raise ValueError(f"{path} holds no event")
        for name in columns:
            values = self.frame[name]
            missing = values.is_null()
            if values.dtype == pl.String:
                missing |= values.str.strip_chars() == ""
            if missing.any():
                raise ValueError(f"{self.where(missing.arg_max() or 0)}: no value in column {name!r}")

    def column(self, name: str, dtype: Type | None = None) -> pl.Series:
        values = self.frame[name]
        return values if dtype is None else values.cast(dtype)

    def first(self, name: str) -> pl.Series:
        return self.frame[name].head(1)

    def select(self, **wanted: pl.Expr) -> pl.DataFrame:
        return self._collect(self.frame.lazy().select(**wanted))

    def all(self, condition: pl.Expr) -> bool:
        return self.select(found=condition.all()).item()

    def bad(self, name: str, condition: pl.Expr) -> Iterator[tuple[int, str]]:
        """(row, from 0; text) of the first value of column ``name`` that fulfils the condition, where there is one."""
        rows = self.frame.lazy().select(name).with_row_index(_ROW).filter(condition).head(1)
        yield from ((row, str(value)) for row, value in self._collect(rows).rows())

    def _collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect()
        except pl.exceptions.PolarsError as problem:
            raise ValueError(f"{self.path}: {quoted(str(problem).splitlines()[0], 200)}") from None

    def where(self, row: int) -> str:
        return f"{self.path}, row {row + 1}"


Source = TextSource | ParquetSource
