"""Small data for tests."""

import numpy as np
import pandas as pd

from original.events import Columns, id_map, read

KEYS = Columns("SessionId", "ItemId", "Time")


def random_frame(n_sessions=30, n_items=15, longest=6, seed=0, shuffle=True):
    """Sessions of 2 to ``longest`` events over items 100, 101, ..., rows in random order, times without ties."""
    random = np.random.RandomState(seed)
    session = np.repeat(1000 + random.permutation(n_sessions), random.randint(2, longest + 1, size=n_sessions))
    n = len(session)
    data = pd.DataFrame({"SessionId": session, "ItemId": 100 + random.randint(n_items, size=n)})
    data["Time"] = random.permutation(n) / 2
    return data.iloc[random.permutation(n)].reset_index(drop=True) if shuffle else data


def frame_of(events):
    """A frame of (session, item, time), ..."""
    return pd.DataFrame(events, columns=KEYS)


def events_of(frame):
    """Events and item map of a frame with the usual columns."""
    events = read(frame, KEYS)
    return events, id_map(events.item_ids, "ItemId")
