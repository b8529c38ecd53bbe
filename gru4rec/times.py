"""Times of a column as seconds: Unix numbers, dates and times of ISO 8601, or of a form that is named.

Nothing is guessed that could be two things. A number is taken as it is, and said to look like milliseconds where it
does; numbers that look like two units, or like dates written without marks (``20140407``), are refused.
"""

import re
from collections.abc import Callable

import polars as pl

from gru4rec.sources import ParquetSource, Source
from gru4rec.terminal import quoted

# by name: words, units a second, and the least number that looks like one of a date from 1973 on
UNITS = {
    "s": ("seconds", 1, 1e8), "ms": ("milliseconds", 1_000, 1e11), "us": ("microseconds", 1_000_000, 1e14),
    "ns": ("nanoseconds", 1_000_000_000, 1e17),
}  # fmt: skip
_BY_HAND = f"--time-format {', '.join(UNITS)} says which unit they are of"
# date; time of day to the minute, the second or a fraction of it; zone
_ISO = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2}(?:[.,][0-9]{1,9})?))?"
    r"([Zz]| ?UTC| ?GMT| ?[+-][0-9]{2}(?::?[0-9]{2})?)?)?$"
)
_UNMARKED = (
    r"^(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?)?$"
)
_ACCEPTED = "Unix numbers, or dates and times of ISO 8601 as 2014-04-07T10:51:09Z or 2014-04-07 10:51:09 UTC"
_DATE = {"F", "D", "x", "v", "c", "+", "s"}  # marks of a form that hold a whole date
_YEAR, _MONTH, _DAY = set("YyGgC"), set("mbBh"), set("de")
_OF_YEAR = set("jUWV")  # the day of a year, or a week's
_CLOCK = set("HIklTRsXcr+")


def check_format(form: str | None) -> None:
    """Raise ValueError for a ``--time-format`` that names no date, or that would drop a part of it."""
    if form is None or form in UNITS:
        return
    marks = set(re.findall(r"%[-_0]?(?:\.?[0-9]?)([A-Za-z+])", form.replace("%%", "")))
    whole = marks & _DATE or (marks & _YEAR and (marks & _OF_YEAR or (marks & _MONTH and marks & _DAY)))
    if not whole:
        raise ValueError(f"--time-format {quoted(form)}: {', '.join(UNITS)}, or a form with year, month and day as "
                         "%d/%m/%Y %H:%M is accepted")  # fmt: skip
    if re.search(r"(?<!%)(?:%%)*%f", form):
        raise ValueError(f"--time-format {quoted(form)}: a fraction of a second is written %.f, its point included")


def seconds(source: Source, name: str, time_format: str | None, any_unit: bool = False) -> tuple[pl.Series, list[str]]:
    """The times of column ``name`` as float64, seconds where they were dates, and what is to be said of them.

    Raises:
        ValueError: naming file and line of a time that is none, or not of the form.
    """
    values = source.column(name) if isinstance(source, ParquetSource) else None
    if values is not None and values.dtype in (pl.Datetime, pl.Date):
        return _epoch(values), [f"dates of column {name} as seconds since 1970, UTC"]
    if values is not None and not (values.dtype.is_numeric() or values.dtype == pl.String):
        raise ValueError(f"{source.path}: column {name!r} holds {values.dtype}: numbers or dates are accepted")
    is_text = values is None or values.dtype == pl.String
    if time_format is not None and time_format not in UNITS:
        whole = pl.col(name) if values is None or not values.dtype.is_integer() else pl.col(name).cast(pl.String)
        if values is not None and not is_text and whole.meta.is_column():
            raise ValueError(f"{source.path}: column {name!r} holds {values.dtype}, no texts for --time-format")
        return _dates(source, name, lambda: _to_utc(whole, time_format), f"of the form {time_format!r}")
    number = pl.col(name).cast(pl.Float64, strict=False)
    if is_text:
        if time_format is None and source.first(name).str.contains(_ISO).item():
            return _dates(source, name, lambda: _iso(pl.col(name)), "ISO 8601")
        for row, value in source.bad(name, number.is_null()):
            raise ValueError(f"{source.where(row)}: {_no_time(name, value)}")
    for row, value in source.bad(name, ~number.is_finite()):
        raise ValueError(f"{source.where(row)}: {name}={quoted(value)}: a finite number is needed")
    times = source.column(name, pl.Float64)
    if time_format is not None:
        words, each, _ = UNITS[time_format]
        return times / each, [] if each == 1 else [f"times of column {name} as seconds, from {words}"]
    return times, [] if any_unit else _remarks(source, name, number)


def _remarks(source: Source, name: str, number: pl.Expr) -> list[str]:
    """What numbers look like. Raises ValueError where that is two units, or dates without marks."""
    if source.all(number.is_between(19000101, 21000000000000)) and source.all(
        pl.col(name).cast(pl.String).str.contains(_UNMARKED)
    ):
        value = str(source.first(name).item())
        form = "%Y%m%d%H%M%S"[: {8: 6, 12: 10, 14: 12}[len(value)]]
        raise ValueError(f"{source.path}: times of column {name} as {value} look like dates: --time-format {form} "
                         "reads them; --time-format s takes them for seconds")  # fmt: skip
    unit = pl.lit(None, pl.Int8)
    for index, (_, _, least) in enumerate(UNITS.values()):
        unit = pl.when(number >= least).then(pl.lit(index, pl.Int8)).otherwise(unit)
    found = source.select(low=unit.min(), high=unit.max())
    low, high = found.row(0)
    words = [each[0] for each in UNITS.values()]
    if low != high:
        (row, value), (other, _) = (next(source.bad(name, unit == index)) for index in (high, low))
        there = source.where(other).rpartition(", ")[2]
        raise ValueError(f"{source.where(row)}: {name}={quoted(value)} looks like {words[high]}, and {there} like "
                         f"{words[low]}: one unit is needed, and {_BY_HAND}")  # fmt: skip
    if high:
        said = f"times of column {name} look like {words[high]}, and are taken as the seconds they stand for"
        return [f"{said}; --time-format {list(UNITS)[high]} makes seconds of them"]
    return []


def _no_time(name: str, value: str) -> str:
    return f"{name}={quoted(value)}: {_ACCEPTED} are accepted; --time-format names any other form"


def _dates(source: Source, name: str, dates: Callable[[], pl.Expr], form: str) -> tuple[pl.Series, list[str]]:
    for row, value in source.bad(name, dates().is_null()):
        accepted = _no_time(name, value) if form == "ISO 8601" else f"{name}={quoted(value)} is not {form}"
        raise ValueError(f"{source.where(row)}: {accepted}")
    times = source.column(name).to_frame().select(dates().alias(name))[name]
    said = f"ISO 8601 times of column {name}" if form == "ISO 8601" else f"times {form} of column {name}"
    return _epoch(times), [f"{said} as seconds since 1970, UTC"]


def _iso(text: pl.Expr) -> pl.Expr:
    """UTC datetimes of texts of :data:`_ISO`, null for any other. Without a zone they are UTC."""
    date, minute, second, zone = (text.str.extract(_ISO, group) for group in (1, 2, 3, 4))
    clock = pl.concat_str(minute.fill_null("00:00"), pl.lit(":"), second.fill_null("00").str.replace(",", "."))
    digits = zone.str.replace_all(r"[: ]", "")
    digits = pl.when(digits.str.len_chars() == 3).then(digits + "00").otherwise(digits)
    offset = pl.when(zone.str.contains(r"[0-9]")).then(digits).otherwise(pl.lit("+0000"))
    whole = pl.concat_str(date, pl.lit("T"), clock, offset)
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False).alias(text.meta.output_name())


def _to_utc(text: pl.Expr, form: str) -> pl.Expr:
    """UTC datetimes of texts of a form as ``strftime`` writes them, null for any other."""
    if not _CLOCK & set(re.findall(r"%[-_0]?([A-Za-z+])", form)):
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(form, time_unit="us", strict=False)


def _epoch(dates: pl.Series) -> pl.Series:
    return dates.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
