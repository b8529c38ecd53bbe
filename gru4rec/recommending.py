"""Recommendations for all sessions of a file, by any engine or baseline."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from gru4rec import files, sessions
from gru4rec.frames import Columns
from gru4rec.terminal import quoted

SUFFIXES = (".parquet", ".csv", ".tsv")
RANK, SCORE = "Rank", "Score"


def recommend(
    gru: Any, frame: pd.DataFrame, columns: Columns, length: int, exclude: Sequence[Any] = (),
    exclude_seen: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """The best next items after every session of a frame.

    Args:
        gru: the model.
        frame: the events, whose ``columns`` are given.
        columns: session, item and time.
        length: items of a session, at most.
        exclude: item ids that are never recommended.
        exclude_seen: leave out the items of the session itself.

    Returns:
        A frame sorted by session and rank: the session and the item column, ``Rank`` from 1 and ``Score``. Sessions
        without any item that the model knows are left out.

    Raises:
        ValueError: where no session has such an item, or no item is left.
        RuntimeError: for scores that are no numbers.
    """
    ids = gru.itemidmap.index
    length = min(length, len(ids))
    left_out = np.zeros(len(ids), bool)
    found = ids.get_indexer(pd.Index(list(exclude))) if len(exclude) else np.zeros(0, int)
    left_out[found[found >= 0]] = True
    if left_out.all():
        raise ValueError("every item of the model is excluded, so nothing can be recommended")
    length = min(length, int((~left_out).sum()))
    if "exclude_seen" in _parameters(getattr(gru, "recommend", None)):
        own = Columns(gru.session_key, gru.item_key, gru.time_key)
        table = gru.recommend(frame.rename(columns=dict(zip(columns, own))), length, exclude=ids[left_out],
                              exclude_seen=exclude_seen)  # fmt: skip
        return table.rename(columns=dict(zip(own, columns)))
    events = sessions.read(frame, columns, ids)
    if not len(events.items):
        raise ValueError("no session has an item that the model knows")
    items, scores = np.zeros((len(events), length), np.int64), np.full((len(events), length), -np.inf)
    for rows, values in sessions.last_scored(gru, events):
        chosen = np.where(left_out, -np.inf, values)
        if exclude_seen:
            lengths = events.lengths[rows]
            inside = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
            seen = events.items[np.repeat(events.offsets[rows], lengths) + inside]
            chosen[np.repeat(np.arange(len(rows)), lengths), seen] = -np.inf
        items[rows] = sessions.best(chosen, length)
        scores[rows] = np.take_along_axis(chosen, items[rows], axis=1)
    row, place = np.nonzero(scores > -np.inf)
    return pd.DataFrame(
        {
            columns.session: events.ids.to_numpy()[row],
            RANK: place + 1,
            columns.item: ids.to_numpy()[items[row, place]],
            SCORE: scores[row, place],
        }
    )


def _parameters(function: Any) -> set[str]:
    """Names of a function's parameters; ``exclude_seen`` among them for one that takes any, as keras_port's facade."""
    if function is None:
        return set()
    found = inspect.signature(function).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in found.values())
    return set(found) | ({"exclude_seen"} if takes_any else set())


def write(path: Path, table: pd.DataFrame) -> None:
    """Replace a file of recommendations as a whole, in the form that its name says."""
    frame = pl.DataFrame({name: table[name].to_numpy() if table[name].dtype.kind in "iuf" else table[name].tolist()
                          for name in table.columns})  # fmt: skip
    with files.written_whole(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.write_parquet(temporary)
        else:
            frame.write_csv(temporary, separator="\t" if path.suffix.lower() == ".tsv" else ",")


def read_excluded(path: Path, ids: pd.Index, header: str) -> list[Any]:
    """Item ids of a text with one a line, as the model's are; a first line that is ``header`` is passed over.

    Raises:
        ValueError: naming the line that is no whole number, where the model's ids are.
        OSError: where the file cannot be read.
    """
    lines = [line.strip() for line in files.read_text(path).splitlines()]
    given = {number: line for number, line in enumerate(lines, 1) if line and (number > 1 or line != header)}
    if any(isinstance(each, str) for each in ids[:1].tolist()):
        return list(given.values())
    for number, line in given.items():
        if not line.removeprefix("-").isdecimal():
            raise ValueError(f"{path}, line {number}: {quoted(line)}: the model's item ids are whole numbers")
    return [int(line) for line in given.values()]
