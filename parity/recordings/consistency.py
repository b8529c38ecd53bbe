"""What the parts of a recording say about each other."""

import numpy as np
import pandas as pd

from parity.recordings.recording import Recording, step_key


class Wrong(Exception):
    """A part that makes the file no recording: ``KEY: what is wrong``."""

    def __init__(self, key: str, what: str):
        super().__init__(f"{key}: {what}")


def check_transitions(recording: Recording) -> None:
    """Inputs and targets are neighbours in a session, R its last one, none taken more often than there are epochs."""
    spec, n = recording.spec, recording.n_items
    session, item, time = (recording.train[column].to_numpy() for column in spec.columns)
    session = pd.factorize(session)[0]
    order = np.lexsort((time, session))  # stable, as the training sorts
    session = session[order]
    index = pd.Index(recording.itemidmap).get_indexer(item[order])
    follows = np.flatnonzero(session[1:] == session[:-1])
    last = np.append(session[1:] != session[:-1], True)

    def code(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (x.astype(np.int64) * n + y) * 2 + r

    codes, there = np.unique(code(index[follows], index[follows + 1], last[follows + 1]), return_counts=True)
    steps = recording.steps
    taken = np.concatenate([code(step.X, step.targets, step.R) for step in steps])
    number = np.repeat([step.number for step in steps], [step.lanes for step in steps])
    lane = np.concatenate([np.arange(step.lanes) for step in steps])
    place = np.minimum(np.searchsorted(codes, taken), len(codes) - 1)
    if not len(codes):
        raise Wrong("train/session", "no session has two events")
    for at in np.flatnonzero(codes[place] != taken)[:1]:
        step = steps[number[at]]
        x, y, r = step.X[lane[at]], step.targets[lane[at]], bool(step.R[lane[at]])
        if taken[at] ^ 1 in codes:
            raise Wrong(step_key(step.number, "R"), f"{r} in lane {lane[at]}, which is not what train says")
        raise Wrong(step_key(step.number, "Y"), f"{y} in lane {lane[at]} follows {x} in no session of train")
    counted = np.bincount(place, minlength=len(codes))
    for at in np.flatnonzero(counted > there * spec.n_epochs)[:1]:
        last_one = number[np.flatnonzero(place == at)[-1]]
        raise Wrong(step_key(last_one, "X"), "events that were trained more often than there are epochs")


def check_losses(recording: Recording) -> None:
    """No step is missing, and the loss of an epoch is the mean of its costs weighted by lanes."""
    spec, epochs = recording.spec, recording.epochs
    if spec.epoch_steps is not None and sum(spec.epoch_steps) != recording.n_steps:
        raise Wrong("n_steps", f"{recording.n_steps}; epoch_steps of spec has {sum(spec.epoch_steps)}")
    if epochs is None:
        if spec.n_sample > 0:
            raise Wrong("n_steps", f"{recording.n_steps} steps do not train every event of train {spec.n_epochs} times")
        if not spec.random_order:
            raise Wrong("n_steps", f"{recording.n_steps} steps are not {spec.n_epochs} epochs of one length")
        return
    for epoch, (numbers, loss) in enumerate(zip(epochs, recording.epoch_loss)):
        steps = recording.steps[numbers.start : numbers.stop]
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.average([step.cost for step in steps], weights=[step.lanes for step in steps])
        rounding = 1e-5 if spec.dtype == "float32" else 1e-9  # of the mean, in which order ever it was summed
        if not abs(found - loss) <= 5.1e-7 + rounding * abs(loss):
            raise Wrong("epoch_loss", f"{loss} in epoch {epoch}; the costs of its steps give {found:.6f}")
