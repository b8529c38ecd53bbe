"""Making a stored sample: runs are kept one by one, and packed when all are there."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gru4rec.files import written_whole
from parity import evaluator
from parity.convergence import equivalence, sample
from parity.convergence.sample import Runs
from parity.data import Dataset


class Work:
    """A folder of single runs, ``SETTING/SEED.npz``, all of one kind.

    what: the kind: engine, settings, data. Raises ValueError where the folder holds runs of another.
    """

    def __init__(self, folder: Path, what: dict[str, Any]) -> None:
        self.folder = folder
        text, path = json.dumps(what, indent=2, sort_keys=True) + "\n", folder / "runs.json"
        if not path.exists():
            with written_whole(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            raise ValueError(f"{path}: these runs are of another engine, other settings or other data")

    def has(self, setting: str, seed: int) -> bool:
        return self._path(setting, seed).exists()

    def keep(self, setting: str, seed: int, run: Runs) -> None:
        with written_whole(self._path(setting, seed)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **vars(run))

    def joined(self, setting: str, seeds: Sequence[int]) -> Runs:
        """The runs of ``seeds``. Raises ValueError for a damaged file, OSError for one that is missing."""
        parts = []
        for seed in seeds:
            path = self._path(setting, seed)
            try:
                with np.load(path, allow_pickle=False) as kept:
                    parts.append(Runs(**{name: kept[name] for name in kept.files}))
            except (TypeError, ValueError, zipfile.BadZipFile) as problem:
                raise ValueError(f"{path}: {problem}; delete it, and it is made again") from None
        return Runs.joined(parts)

    def _path(self, setting: str, seed: int) -> Path:
        return self.folder / setting / f"{seed}.npz"


def prefixes_of(dataset: Dataset) -> np.ndarray:
    """(K,) numbers of the predictions of the test data whose lists are kept."""
    events = evaluator.read_events(dataset.test, dataset.train["ItemId"].unique())
    return evaluator.spread_over(len(events.predicted), sample.PREFIXES)


def about(
    settings: dict[str, dict[str, Any]], runs: dict[str, Runs], dataset: Dataset, made_by: dict[str, Any]
) -> dict[str, Any]:
    """What stands in the JSON beside the runs: of what, how and by whom they were made, and the margins they give."""
    prefixes, some = len(prefixes_of(dataset)), next(iter(runs.values()))
    told = {
        "what": "full runs by fit, for python -m parity training",
        "data": dataset.describe(),
        "epochs": some.losses.shape[1],
        "dtype": "float32",
        "settings": settings,
        "seeds": some.seeds.tolist(),
        "dropout_seed": "12345 + seed",
        "fit": "fit(train), without further options",
        "evaluation": "parity.evaluator: all items, conservative ties, Recall and MRR at 1, 5, 10, 20",
        "prefixes": f"{prefixes} predictions, numbers floor(k*P/{prefixes}) of the P predictions of the test data by "
        "(session, time, item); items by index in the order of first appearance in the training data",
        "margin": f"the larger of {equivalence.RELATIVE:.0%} of the mean and {equivalence.DEVIATIONS:g} standard "
        "deviation of the runs",
        "margins": {setting: _margins(part) for setting, part in runs.items()},
        "made_by": made_by,
    }
    return json.loads(json.dumps(told))  # as it is read again


def _margins(runs: Runs) -> dict[str, float]:
    groups = zip(equivalence.FIGURES, equivalence.alone(runs))
    return {figure: float(f"{equivalence.margin_of(group):.6g}") for figure, group in groups}
