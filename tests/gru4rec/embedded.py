"""Small sessions with something to learn: items stand in a ring, and a session walks it with jumps."""

import numpy as np
import pandas as pd

COLUMNS = ("SessionId", "ItemId", "Time")


def embedded(sessions, items, test_sessions, seed=7):
    """(train, test). Repeated items, sessions of one event, equal times, test items that training lacks."""
    rng = np.random.RandomState(seed)
    popularity = 1.0 / (np.arange(items) + 3.0)
    popularity /= popularity.sum()
    ids = 1000 + rng.permutation(10 * items)[:items]
    rows = []
    for session in range(sessions + test_sessions):
        length = 1 + min(rng.geometric(0.25), 25)
        item, clock = rng.choice(items, p=popularity), 1000.0 * session + rng.randint(0, 50)
        for _ in range(length if rng.rand() > 0.05 else 1):
            rows.append((2 * session + 11, item, clock))
            move = rng.rand()
            item = item if move < 0.2 else (item + 1) % items if move < 0.7 else rng.choice(items, p=popularity)
            clock += rng.randint(0, 4)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["ItemId"] = ids[frame["ItemId"]]
    is_test = frame["SessionId"] >= 2 * sessions + 11
    train, test = frame[~is_test], frame[is_test].reset_index(drop=True)
    # rows in no order: an engine has to sort them itself
    train = train.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    unknown = rng.rand(len(test)) < 0.04
    test.loc[unknown, "ItemId"] = 5 + np.arange(unknown.sum()) % 3
    return train, test
