"""A model whose scores are few and so often tied."""

import numpy as np
import pandas as pd

from original.events import id_map
from original.prediction import KnownSessions, next_scores

N_ITEMS = 7
TABLE = np.random.RandomState(1).randint(3, size=(50, N_ITEMS)).astype(float)


def next_state(state, item):
    """What the model remembers of a session: a number that depends on every event and on their order."""
    return (3 * state + item + 1) % 50


class Remembering:
    """Scores are a row of a table, which the events of the running session select. Items are 10, 11, ..."""

    layers, dtype, error_during_train = [1], "float64", False
    itemidmap = id_map(pd.Index(10 + np.arange(N_ITEMS)), "ItemId")

    def __init__(self):
        self.sessions = KnownSessions(self.layers, self.dtype)
        self.reset_sessions = self.sessions.reset_sessions

    def first_not_finite(self):
        return None

    def predict_next_batch(self, session_ids, input_item_ids, predict_for_item_ids=None, batch=100):
        given = session_ids, input_item_ids, predict_for_item_ids, batch
        return next_scores(self.scores, self.sessions, self.itemidmap, *given)

    def scores(self, X, hidden, items=None):
        state = next_state(hidden[0][:, 0], np.asarray(X))
        scores = TABLE[state.astype(int)]
        return scores if items is None else scores[:, items], [state[:, None]]
