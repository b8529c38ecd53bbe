"""Reading the recorded reference runs, for tests."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


class Recording:
    """One recorded run: settings, frames, and everything recorded at each step."""

    def __init__(self, name):
        self.name = name
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.spec = json.loads(str(self.arrays["spec"]))
        self.params, self.sample_store, self.dtype = self.spec["params"], self.spec["sample_store"], self.spec["dtype"]
        self.columns = self.spec["columns"]
        self.n_steps = int(self.arrays["n_steps"])

    def frame(self, part):
        parts = (self.arrays[f"{part}/{what}"] for what in ("session", "item", "time"))
        return pd.DataFrame(dict(zip(self.columns, parts)))

    @cached_property
    def train(self):
        return self.frame("train")

    @cached_property
    def test(self):
        return self.frame("test")

    def named(self, prefix):
        """Arrays below a prefix, by the rest of their name."""
        return {key.removeprefix(prefix): value for key, value in self.arrays.items() if key.startswith(prefix)}

    def numbered(self, prefix):
        """Arrays PREFIX0, PREFIX1, ... as a list."""
        found = []
        while f"{prefix}{len(found)}" in self.arrays:
            found.append(self.arrays[f"{prefix}{len(found)}"])
        return found


def relative_error(found, wanted):
    """||found - wanted|| / max(||wanted||, tiny)."""
    assert np.shape(found) == np.shape(wanted)
    difference = np.linalg.norm(np.asarray(found, np.float64) - np.asarray(wanted, np.float64))
    return difference / max(np.linalg.norm(np.asarray(wanted, np.float64)), 1e-30)
