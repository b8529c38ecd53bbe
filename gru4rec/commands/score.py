"""``gru4rec score LISTS TEST [LISTS2 ...]``: the lists of any program, measured and compared."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from gru4rec import files, frames, lists, sessions
from gru4rec.commands import arguments
from gru4rec.commands.evaluate import add_measuring, begun, check_files, finish, labels

EPILOG = """
LISTS is a text with the header SessionId;Position;Recommendations;Scores, or Parquet with these columns: Position is
the place, from 0, of the newest event that was seen in its session, Recommendations the item ids, the best first and
split by commas (in Parquet: a list), Scores theirs. gru4rec evaluate --lists writes such files.

The rank of an item is its place in the list; where it is not there it counts as beyond every N. With -e conservative
every item of the list that has the same score stands before it. Lists that are shorter than an N give Recall, MRR and
NDCG at that N as if nothing followed. Events are counted in the order of session and time. With --train, test events of
items that the training file does not have are left out first, coverage is of its items, and popularity is measured.
"""


def parser() -> argparse.ArgumentParser:
    made = arguments.make_parser("gru4rec score", "Measure top lists of any program, and compare them.", EPILOG)
    made.add_argument("lists", metavar="LISTS", type=Path, help="file of lists")
    made.add_argument("test", metavar="TEST", type=Path, help="the test file that they are of")
    made.add_argument("others", nargs="*", metavar="LISTS2", type=Path, help="further ones, compared pairwise")
    made.add_argument("--train", metavar="FILE", type=Path, help="the training file")
    add_measuring(made)
    arguments.add_data(made)
    return made


def execute(given: argparse.Namespace, command: list[str], console: Console) -> int:
    """Returns the exit status 0."""
    if given.eval_type not in (None, "conservative"):
        raise ValueError(f"-e {given.eval_type}: conservative is accepted, or none, for places in the lists")
    paths = [given.lists, *given.others]
    if twice := [path for number, path in enumerate(paths) if path in paths[:number]]:
        raise ValueError(f"LISTS {twice[0]} stands there twice")
    train = [("--train", given.train)] if given.train else []
    check_files([*(("LISTS", path) for path in paths), ("TEST", given.test), *train], given.output)
    columns = arguments.columns(given)
    ids, support, text_items = None, None, None
    if given.train:
        data = arguments.read(given, given.train, columns)
        counts = data.frame[columns.item].value_counts(sort=False)
        ids, support, text_items = pd.Index(counts.index), counts.to_numpy(), data.has_text_items
    test = arguments.read(given, given.test, columns, text_items)
    console.print(test.describe())
    if ids is None:
        ids = pd.Index(test.frame[columns.item].unique())
    frames.check_predictable(test, ids)
    events = sessions.read(test.frame, columns, ids, str(given.test))
    mode = "conservative in the list" if given.eval_type else "places in the lists"
    comparison = begun(given, command, given.test, mode)
    for name, path in zip(labels(paths), paths):
        found = lists.read(path, events, ids)
        if given.eval_type:
            found = conservative(found)
        comparison.sha256[str(path)] = files.sha256(path)
        words = f"{path}: {len(found.predicted):,} of {len(events.predicted):,} predictions, lists of {found.length}"
        console.print(words + level_scores(found))
        comparison.add(name, found, support)
    return finish(comparison, given.output, console)


def conservative(found: lists.Lists) -> lists.Lists:
    """The same with ranks in which every listed item of the target's score stands before it."""
    place = np.where(np.isfinite(found.rank), found.rank - 1, 0).astype(int)
    own = np.take_along_axis(found.scores, place[:, None], axis=1)
    rank = np.where(np.isfinite(found.rank), (found.scores >= own).sum(axis=1), np.inf)
    return lists.Lists(found.events, found.predicted, found.items, found.scores, rank, found.ids, True)


def level_scores(found: lists.Lists) -> str:
    """A word on scores that stand level in the lists, where that is no rarity: their order is the program's choice."""
    level = np.diff(found.scores, axis=1) == 0
    share = level.sum() / max(1, (~np.isnan(found.scores[:, 1:])).sum())
    return f"; {share:.0%} of the scores are level with the one before (-e conservative)" if share > 0.01 else ""
