"""Reading the recorded reference runs, and running a model through one."""

import json
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parents[2] / "parity" / "recordings"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


class Recording:
    """One recorded run; the README of the recordings says what its keys hold."""

    def __init__(self, name):
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.spec = json.loads(str(self["spec"]))
        self.dtype, self.sample_store = self.spec["dtype"], self.spec["sample_store"]
        self.n_steps = int(self["n_steps"])
        self.keys = dict(zip(("session_key", "item_key", "time_key"), self.spec["columns"]))

    def __getitem__(self, key):
        return self.arrays[key]

    def _frame(self, part):
        columns = zip(self.spec["columns"], ("session", "item", "time"))
        return pd.DataFrame({column: self[f"{part}/{key}"] for column, key in columns})

    @cached_property
    def train(self):
        return self._frame("train")

    @cached_property
    def test(self):
        return self._frame("test")

    def named(self, prefix):
        """{NAME: array} of the keys that begin with ``prefix``."""
        return {key.removeprefix(prefix): value for key, value in self.arrays.items() if key.startswith(prefix)}

    def numbered(self, prefix):
        """The arrays PREFIX0, PREFIX1, ..."""
        found = []
        while f"{prefix}{len(found)}" in self.arrays:
            found.append(self[f"{prefix}{len(found)}"])
        return found

    def model(self, cls, **options):
        return cls(**self.spec["params"], dtype=self.dtype, **options)


def epoch_steps(gru, gradients=False):
    """Train one epoch step by step, as ``fit`` does. Yields (batch, masks, hidden before, result) a step.

    One graph serves all steps, whichever of them are looked at: compiling a second one costs more than all the steps.
    """
    gru.set_hidden([np.zeros((gru.batch_size, L)) for L in gru.layers])
    lanes = np.arange(gru.batch_size)
    for batch in gru.batches():
        if len(batch.lanes) < len(lanes):
            gru.set_hidden([H[np.isin(lanes, batch.lanes)] for H in gru.get_hidden()])
        lanes = batch.lanes
        masks, hidden = gru.draw_masks(len(batch.X)), gru.get_hidden()
        yield batch, masks, hidden, gru.train_step(batch.X, batch.Y, batch.R, masks, gradients)


def replay(recording, gru):
    """Train on a recording's data from the seed alone. Returns the initial weights and what the steps took and gave."""
    gru.prepare(recording.train, recording.sample_store)
    initial, steps, losses = gru.get_weights(), [], []
    for _ in range(gru.n_epochs):
        cost_sum = lane_sum = 0
        for batch, masks, hidden, (cost, gradients) in epoch_steps(gru, gradients=True):
            step = SimpleNamespace(batch=batch, masks=masks, hidden=hidden, cost=cost, gradients=gradients)
            if len(steps) in recording.spec["keep"]:
                step.hidden_after, step.weights_after = gru.get_hidden(), gru.get_weights()
            steps.append(step)
            cost_sum, lane_sum = cost_sum + cost * len(batch.X), lane_sum + len(batch.X)
        losses.append(cost_sum / lane_sum)
    return SimpleNamespace(recording=recording, gru=gru, initial=initial, steps=steps, losses=losses)


def relative_error(found, wanted):
    """||found - wanted|| / max(||wanted||, tiny)."""
    assert np.shape(found) == np.shape(wanted), f"shape {np.shape(found)}, not {np.shape(wanted)}"
    difference = np.linalg.norm(np.asarray(found, np.float64) - np.asarray(wanted, np.float64))
    return difference / max(np.linalg.norm(np.asarray(wanted, np.float64)), 1e-30)


def assert_same_state(a, b):
    """Two models have the same weights and optimizer state, to the bit."""
    for name, (found, wanted) in {
        **{name: (a.get_weights()[name], w) for name, w in b.get_weights().items()},
        **{name: (a.get_optimizer_state()[name], s) for name, s in b.get_optimizer_state().items()},
    }.items():
        np.testing.assert_array_equal(found, wanted, err_msg=name)
