"""Raw files with a line an event: read at Polars' speed, and line by line where something is out of the ordinary.

What a well-formed field is, a pattern says. Polars reads a file by types; a field that it cannot read is an error of
its own or no value, and then the slow look names file, line, field and what is accepted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from gru4rec.parquet import source
from gru4rec.terminal import quoted
from gru4rec.textfiles import check_line_lengths

WHOLE = r"-?[0-9]{1,18}"
_EXTRA = "\0extra"


@dataclass(frozen=True)
class Field:
    """A field that is read.

    Attributes:
        dtype: what Polars reads it as.
        pattern: of the whole text of a well-formed field.
        accepted: that pattern in words.
        empty: whether it may be empty.
    """

    dtype: Any
    pattern: str
    accepted: str
    empty: bool = False

    def fault(self, text: str) -> str | None:
        if not text:
            return None if self.empty else f"is empty; {self.accepted} is needed"
        return None if re.fullmatch(self.pattern, text) else f"{quoted(text, 40)}: {self.accepted} is needed"


def whole_number(empty: bool = False) -> Field:
    return Field(pl.Int64, WHOLE, "a whole number", empty)


@dataclass(frozen=True)
class Layout:
    """How a raw file is written.

    Attributes:
        separator: between the fields of a line.
        names: of the fields, in order, where the file has no header.
        fields: those that are read, by name. A header's names are compared without regard to case and underscores.
    """

    separator: str
    fields: Mapping[str, Field]
    names: tuple[str, ...] = field(default=())

    def scan(self, path: Path) -> pl.LazyFrame:
        """The fields that are read, in the file's order, and whether a line has more fields than it should: ``extra``.

        Raises:
            ValueError: where the header lacks one of them, or a line is longer than any event.
            OSError: where the file cannot be read.
        """
        check_line_lengths(path)
        names = self.names or self._header(path)
        schema = {name: self.fields[name].dtype if name in self.fields else pl.String for name in names}
        schema[_EXTRA] = pl.String
        lines = pl.scan_csv(
            source(path), separator=self.separator, has_header=False, skip_lines=0 if self.names else 1,
            schema=schema, missing_columns="insert", glob=False, quote_char='"' if self.separator != "\t" else None,
        )  # fmt: skip
        return lines.select(*self.fields, extra=pl.col(_EXTRA).is_not_null())

    def _header(self, path: Path) -> tuple[str, ...]:
        """The names of a file's columns, those of :attr:`fields` as they stand there."""
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(2**20).rstrip("\r\n")
        if not line:
            raise ValueError(f"{path} is empty" if path.stat().st_size == 0 else f"{path}, line 1: a blank line")
        known = {_plain(name): name for name in self.fields}
        cells = [cell.strip('"') for cell in line.split(self.separator)]
        names = [known.get(_plain(cell), f"{cell}\0{k}") for k, cell in enumerate(cells)]
        for name in self.fields:
            if names.count(name) != 1:
                what = "no column" if name not in names else "more than one column"
                raise ValueError(f"{path}, line 1: {what} {name!r}; its header is {quoted(line)}")
        return tuple(names)

    def first_fault(self, path: Path) -> str | None:
        """File, line (from 1 on) and fault of the first line that is not well formed; None where all are. Slow."""
        names = self.names or self._header(path)
        read = [(k, name, self.fields[name]) for k, name in enumerate(names) if name in self.fields]
        with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if number == 1 and not self.names:
                    continue
                text = line.rstrip("\r\n")
                cells = self._cells(text)
                if len(cells) != len(names):
                    return f"{path}, line {number}: {len(cells)} field(s) instead of {len(names)}: {quoted(text)}"
                for k, name, kind in read:
                    if fault := kind.fault(cells[k]):
                        return f"{path}, line {number}: {name} {fault}"
        return None

    def _cells(self, line: str) -> list[str]:
        """The fields of a line; quotation marks around one protect the separators in it."""
        if '"' not in line:
            return line.split(self.separator)
        found = re.findall(rf'(?:^|{re.escape(self.separator)})("(?:[^"]|"")*"|[^{re.escape(self.separator)}]*)', line)
        return [cell[1:-1] if cell[:1] == '"' else cell for cell in found]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def explain(layout: Layout, paths: Sequence[Path], problem: str) -> ValueError:
    """The error for files that could not be read: the first faulty line of them, else the reader's own words."""
    for path in paths:
        if fault := layout.first_fault(path):
            return ValueError(fault)
    return ValueError(f"{', '.join(map(str, paths))}: {quoted(problem, 200)}")
