"""Runs of ``predict_next_batch`` and ``scores``: sessions that go on, change, come back, and are forgotten."""

import numpy as np

from parity.situations.outcome import Make, Outcome
from parity.situations.situation import Situation

LANES, FEWER = 5, 3
# sessions of the lanes, call by call; None: reset_sessions
CALLS = (
    (11, 12, 13, 14, 15),
    (11, 12, 13, 14, 15),
    (11, 12, 23, 14, 15),
    (11, 22, 23, 14, 15),
    (11, 12, 23, 14, 15),
    None,
    (11, 12, 23, 14, 15),
    (11, 12, 23, 15, 14),
    (11, 12, 23),
    (11, 12, 24),
    (11, 12, 24, 15, 14),
)


def predicted(make: Make, situation: Situation) -> Outcome:
    """Scores of every call, of all items and of some, after training's own start."""
    s, floats = situation.scenario, {}
    engine = make(s)
    engine.prepare(s.dataset.train.copy(), s.store)
    ids, random = np.asarray(engine.itemidmap.index), np.random.default_rng(5)
    exact = {"rows": ids}
    some = random.permutation(len(ids))[: len(ids) // 3]
    if situation.start:
        engine.set_weights(situation.start(engine.get_weights()))
    for number, sessions in enumerate(CALLS):
        if sessions is None:
            engine.reset_sessions()
            continue
        asked = None if number % 2 else ids[some]
        items = ids[random.integers(0, len(ids), len(sessions))]
        found = engine.predict_next_batch(np.array(sessions), items, asked, batch=len(sessions))
        exact[f"rows of call {number}"] = np.asarray(found.index)
        floats[f"call {number}"] = found.to_numpy(dtype=np.float64)
    X = random.integers(0, len(ids), FEWER)
    hidden = [random.uniform(-0.5, 0.5, (FEWER, L)).astype(s.dtype) for L in s.params["layers"]]
    for which, asked in (("all", None), ("some", some), ("one", some[:1])):
        scores, after = engine.scores(X, [H.copy() for H in hidden], asked)
        floats[f"scores of {which}"] = np.asarray(scores, np.float64)
        floats |= {f"H{k} by scores of {which}": np.asarray(H, np.float64) for k, H in enumerate(after)}
    return Outcome(exact, floats)
