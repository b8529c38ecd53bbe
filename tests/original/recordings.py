"""Replays a recorded run of the reference on an original/ engine and measures how far it is off."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


class Recording:
    """One recorded run; see the README of the recordings for its keys."""

    def __init__(self, name):
        with np.load(FOLDER / f"{name}.npz") as file:
            self.arrays = {key: file[key] for key in file.files}
        self.spec = json.loads(str(self["spec"]))
        self.keys = dict(zip(("session_key", "item_key", "time_key"), self.spec["columns"]))
        self.train, self.test = (self._frame(part) for part in ("train", "test"))

    def __getitem__(self, key):
        return self.arrays[key]

    def __contains__(self, key):
        return key in self.arrays

    def _frame(self, part):
        columns = zip(self.spec["columns"], ("session", "item", "time"))
        return pd.DataFrame({column: self[f"{part}/{key}"] for column, key in columns})

    def named(self, prefix):
        """{NAME: array} of the keys that begin with ``prefix``."""
        return {key.removeprefix(prefix): value for key, value in self.arrays.items() if key.startswith(prefix)}

    def masks(self, step):
        return [mask for _, mask in sorted(self.named(f"step{step:03d}/mask").items())]

    def model(self, cls, **options):
        return cls(**self.spec["params"], dtype=self.spec["dtype"], **options)


def error(found, recorded):
    """||found - recorded|| / ||recorded||."""
    found, recorded = np.asarray(found, np.float64), np.asarray(recorded, np.float64)
    assert found.shape == recorded.shape, (found.shape, recorded.shape)
    return np.linalg.norm(found - recorded) / max(np.linalg.norm(recorded), 1e-30)
