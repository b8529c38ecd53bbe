"""Small sessions with something to learn: items stand in a ring, and a session walks it with jumps."""

from parity import data


def embedded(sessions, items, test_sessions, seed=7):
    """(train, test). Repeated items, sessions of one event, equal times, test items that training lacks."""
    made = data.embedded(sessions, items, test_sessions, seed)
    return made.train, made.test
