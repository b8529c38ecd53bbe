"""The data of a comparison: embedded synthetic sessions, or the user's files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ("SessionId", "ItemId", "Time")


@dataclass(frozen=True)
class Dataset:
    """Events to train on and to test on, in the columns SessionId, ItemId, Time."""

    train: pd.DataFrame
    test: pd.DataFrame
    title: str
    sha256: str

    def describe(self) -> dict[str, int | str]:
        """Counts and a fingerprint, for a report."""
        return {
            "title": self.title,
            "train_events": len(self.train),
            "train_sessions": int(self.train["SessionId"].nunique()),
            "items": int(self.train["ItemId"].nunique()),
            "test_events": len(self.test),
            "test_sessions": int(self.test["SessionId"].nunique()),
            "sha256": self.sha256,
        }


def embedded(sessions: int = 400, items: int = 150, test_sessions: int = 60, seed: int = 7) -> Dataset:
    """SYNTHETIC sessions, the same for the same arguments: items stand in a ring, and a session walks it with jumps.

    There are repeated items, sessions of one event, equal times, and test items that the training data lacks.
    """
    rng = np.random.RandomState(seed)
    popularity = 1.0 / (np.arange(items) + 3.0)
    popularity /= popularity.sum()
    ids = 1000 + rng.permutation(10 * items)[:items]
    rows = []
    for session in range(sessions + test_sessions):
        length = 1 + min(rng.geometric(0.25), 25)
        at, clock = rng.choice(items, p=popularity), 1000.0 * session + rng.randint(0, 50)
        for _ in range(length if rng.rand() > 0.05 else 1):
            rows.append((2 * session + 11, at, clock))
            move = rng.rand()
            at = at if move < 0.2 else (at + 1) % items if move < 0.7 else rng.choice(items, p=popularity)
            clock += rng.randint(0, 4)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["ItemId"] = ids[frame["ItemId"]]
    is_test = frame["SessionId"] >= 2 * sessions + 11
    train, test = frame[~is_test], frame[is_test].reset_index(drop=True)
    # rows in no order: an engine has to sort them itself
    train = train.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    unknown = rng.rand(len(test)) < 0.04
    test.loc[unknown, "ItemId"] = 5 + np.arange(unknown.sum()) % 3
    return Dataset(train, test, "embedded, SYNTHETIC", fingerprint(train, test))


def from_files(train: Path, test: Path) -> Dataset:
    """Tab-separated files with a header that holds SessionId, ItemId and Time.

    Raises ValueError for a file without these columns or without rows, OSError for one that cannot be read.
    """
    frames = _read(train), _read(test)
    return Dataset(*frames, f"{train}, {test}", fingerprint(*frames))


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, sep="\t", usecols=list(COLUMNS))
    except (ValueError, pd.errors.ParserError) as problem:
        raise ValueError(f"{path}: tab-separated columns {', '.join(COLUMNS)} are needed ({problem})") from None
    if frame.empty:
        raise ValueError(f"{path} holds no event")
    return frame[list(COLUMNS)]


def fingerprint(*frames: pd.DataFrame) -> str:
    """SHA-256 of the three columns of all frames, in row order."""
    digest = hashlib.sha256()
    for frame in frames:
        for column in COLUMNS:
            digest.update(np.ascontiguousarray(frame[column].to_numpy()).tobytes())
    return digest.hexdigest()
