"""Top lists that somebody else recorded, and an engine's lists for the same sessions and positions.

A file of lists: a header ``SessionId;Position;Recommendations;Scores``, then a line for every prediction. Position is
that of the newest event that was seen, from 0; the items and their scores stand best first, parted by commas.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from parity import evaluator
from parity.data import Dataset
from parity.protocol import Engine

COLUMNS = "SessionId;Position;Recommendations;Scores"
LENGTHS = (20, 10, 5)  # of the lists that are compared
LIMIT = 1 << 28  # bytes of a file
SHARE_OF_OTHER = 0.25  # of what another seed leaves different, that the same seed may
RESAMPLES = 2000
LEVEL = 0.025  # of each side


@dataclass(frozen=True)
class Recorded:
    """P recorded predictions of test events, L items each."""

    sessions: np.ndarray  # (P,) session of each prediction
    predictions: np.ndarray  # (P,) number of the prediction in Events.predicted
    targets: np.ndarray  # (P,) item indices
    items: np.ndarray  # (P, L) item indices, best first
    scores: np.ndarray  # (P, L)
    events: evaluator.Events


class Ours(NamedTuple):
    """What an engine gives for the recorded predictions."""

    items: np.ndarray  # (P, L') item indices, best first
    scores: np.ndarray  # (P, L) scores of the recorded items


class Likeness(NamedTuple):
    """How two sets of lists agree. Shares are means over the predictions."""

    shared: dict[int, float]  # N -> share of the best N items that are in both
    first: float  # the same first item
    correlation: float  # of the scores of the recorded items


class Judgement(NamedTuple):
    """Of one share: what differs with the same seed and with another, and 95 % bounds of same - bound."""

    what: str
    differs: float
    other: float
    low: float
    high: float

    @property
    def status(self) -> str:
        """held: what differs is below :data:`SHARE_OF_OTHER` of what another seed leaves different; failed: above."""
        if self.high < 0 or self.differs == 0 < self.other:
            return "held"
        return "failed" if self.low > 0 else "not covered"


def read(path: Path, dataset: Dataset) -> Recorded:
    """The lists of ``path`` for sessions of ``dataset.test``.

    Raises ValueError naming the file, the line and what is wrong with it, OSError where it cannot be read.
    """
    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path}: more than {LIMIT:,} bytes")
    ids = pd.Index(dataset.train["ItemId"].unique())
    events = evaluator.read_events(dataset.test, ids)
    session_at = {str(session): number for number, session in enumerate(events.sessions.tolist())}
    index = {str(item): number for number, item in enumerate(ids.tolist())}
    number_of = np.full(len(events.items), -1)
    number_of[events.predicted] = np.arange(len(events.predicted))
    rows: list[tuple[int, int, list[int], list[float]]] = []
    seen: dict[tuple[int, int], int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: {problem}") from None
    if not lines or lines[0].strip() != COLUMNS:
        raise ValueError(f"{path}, line 1: the header {COLUMNS} is needed")
    for line, text in enumerate(lines[1:], 2):
        try:
            session, position, items, scores = _row(text, session_at, index)
            length = events.offsets[session + 1] - events.offsets[session]
            if position + 1 >= length:
                raise ValueError(f"position {position}: the session has {length} known events in the test data")
            if rows and len(items) != len(rows[0][2]):
                raise ValueError(f"{len(items)} items, where the lines before have {len(rows[0][2])}")
            if (session, position) in seen:
                raise ValueError(f"the same prediction as line {seen[session, position]}")
        except ValueError as problem:
            raise ValueError(f"{path}, line {line}: {problem}") from None
        seen[session, position] = line
        rows.append((session, events.offsets[session] + position + 1, items, scores))
    if not rows:
        raise ValueError(f"{path}: no list")
    rows.sort(key=lambda row: row[1])
    sessions, positions = (np.array([row[k] for row in rows]) for k in (0, 1))
    return Recorded(
        sessions, number_of[positions], events.items[positions],
        np.array([row[2] for row in rows]), np.array([row[3] for row in rows]), events,
    )  # fmt: skip


def _row(text: str, session_at: dict[str, int], index: dict[str, int]) -> tuple[int, int, list[int], list[float]]:
    parts = text.split(";")
    if len(parts) != 4:
        raise ValueError(f"{len(parts)} fields; {COLUMNS} are needed")
    session, position, items, scores = (part.strip() for part in parts)
    if session not in session_at:
        raise ValueError(f"session {session!r} is not in the test data")
    if not position.isascii() or not position.isdigit():
        raise ValueError(f"position {position!r}: a whole number of at least 0 is accepted")
    names = items.split(",")
    unknown = [name for name in names if name not in index]
    if unknown:
        raise ValueError(f"item {unknown[0]!r} is not in the training data")
    if len(set(names)) < len(names):
        raise ValueError("an item stands twice in the list")
    try:
        values = [float(score) for score in scores.split(",")]
    except ValueError:
        raise ValueError("a score is no number") from None
    if len(values) != len(names):
        raise ValueError(f"{len(names)} items and {len(values)} scores")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    if (np.diff(values) > 0).any():
        raise ValueError("the scores do not fall from item to item")
    return session_at[session], int(position), [index[name] for name in names], values


def made_by(engine: Engine, recorded: Recorded, dataset: Dataset, widths: list[int]) -> Ours:
    """The engine's lists of the recorded predictions, and its scores of the recorded items.

    Raises RuntimeError where the engine's catalogue is not that of the training data or a score is not finite.
    """
    ids = pd.Index(dataset.train["ItemId"].unique())
    own = pd.Index(engine.itemidmap.index).get_indexer(ids)  # the engine's index of each of our indices
    if (own < 0).any() or engine.n_items != len(ids):
        raise RuntimeError(f"the engine has {engine.n_items} items, and not the {len(ids)} of the training data")
    length = min(max(LENGTHS), len(ids))
    items, scores = np.full((len(recorded.items), length), -1), np.full(recorded.scores.shape, np.nan)
    at = np.full(len(recorded.events.predicted), -1)
    at[recorded.predictions] = np.arange(len(recorded.predictions))
    events = recorded.events._replace(items=own[recorded.events.items])
    for part in evaluator.scored(engine, events, widths):
        lanes = np.flatnonzero(at[part.rows] >= 0)
        if not len(lanes):
            continue
        ours, rows = part.scores[lanes][:, own], at[part.rows[lanes]]
        if not np.isfinite(ours).all():
            raise RuntimeError("a score of the engine is not finite")
        items[rows] = evaluator.top(ours, length).items
        scores[rows] = np.take_along_axis(ours, recorded.items[rows], axis=1)
    return Ours(items, scores)


def shared(a: np.ndarray, b: np.ndarray, length: int) -> np.ndarray:
    """(P,) share of the best ``length`` items that both lists have."""
    a, b = a[:, :length], b[:, :length]
    return (a[:, :, None] == b[:, None, :]).any(axis=2).mean(axis=1)


def likeness(recorded: Recorded, ours: Ours) -> Likeness:
    # of scores that are all equal there is no correlation
    varied = ours.scores.std() > 0 and recorded.scores.std() > 0
    correlation = np.corrcoef(recorded.scores.ravel(), ours.scores.ravel())[0, 1] if varied else np.nan
    lengths = [N for N in LENGTHS if min(recorded.items.shape[1], ours.items.shape[1]) >= N]
    return Likeness(
        {N: float(shared(recorded.items, ours.items, N).mean()) for N in lengths},
        float((recorded.items[:, 0] == ours.items[:, 0]).mean()),
        float(correlation),
    )


def hits(recorded: Recorded, items: np.ndarray, length: int = 20) -> tuple[float, float]:
    """(Recall, MRR) at ``length`` of lists for the recorded predictions, by the place of the target in its list."""
    found = items[:, :length] == recorded.targets[:, None]
    reciprocal = np.where(found, 1 / np.arange(1, found.shape[1] + 1), 0).sum(axis=1)
    return float(found.any(axis=1).mean()), float(reciprocal.mean())


def judge(recorded: Recorded, same: Ours, other: Ours) -> list[Judgement]:
    """Does the seed of the recorded run bring its lists back, as no other seed does?

    An exact double of the recorded program parts from it by rounding alone, and ends near to it; an engine that is
    another algorithm, or draws other numbers, ends where another seed would. So what differs with the same seed has to
    be below a quarter of what differs with another. The bounds are of 2,000 resamples of whole sessions.
    """
    N = max(n for n in LENGTHS if n <= recorded.items.shape[1]) if recorded.items.shape[1] >= min(LENGTHS) else 1
    pairs = {
        f"best {N} items": [1 - shared(recorded.items, ours.items, N) for ours in (same, other)],
        "first item": [(recorded.items[:, 0] != ours.items[:, 0]).astype(float) for ours in (same, other)],
    }
    _, session = np.unique(recorded.sessions, return_inverse=True)
    stream = np.random.RandomState(0)
    weights = stream.multinomial(session.max() + 1, np.full(session.max() + 1, 1 / (session.max() + 1)), RESAMPLES)
    sizes = weights @ np.bincount(session)
    found = []
    for what, (a, b) in pairs.items():
        excess = weights @ np.bincount(session, a - SHARE_OF_OTHER * b) / sizes
        low, high = np.quantile(excess, [LEVEL, 1 - LEVEL])
        found.append(Judgement(what, float(a.mean()), float(b.mean()), float(low), float(high)))
    return found
