"""What a situation is, and the frames that situations train on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from parity.data import Dataset, fingerprint
from parity.scenario import Scenario

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Situation:
    """A setting of GRU4Rec, its data, and what an engine is put through in it.

    about: in a few words, for the reader of a report. parts: names of :data:`parity.situations.parts.PARTS`.
    start: gives the weights that single steps start from, out of those that were drawn; None: those.
    """

    about: str
    scenario: Scenario
    parts: tuple[str, ...]
    start: Callable[[Weights], Weights] | None = None

    @property
    def name(self) -> str:
        return self.scenario.name

    def trained(self, **params: object) -> Scenario:
        """The scenario of what is trained first: three fifths of the sessions."""
        return replace(self.scenario, dataset=halves(self.scenario.dataset)[0]).with_params(**params)

    def further(self) -> pd.DataFrame:
        """What it is retrained on: the other sessions, with items that the first ones lack."""
        return halves(self.scenario.dataset)[1].train


def halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Three fifths of the training sessions, and the others, in which some items are new ones."""
    train = dataset.train
    sessions = np.sort(train["SessionId"].unique())
    first = train["SessionId"].isin(sessions[: len(sessions) * 3 // 5])
    further = train[~first].reset_index(drop=True)
    renamed = (further["ItemId"] % 4 == 1) & (np.arange(len(further)) % 2 == 0)
    further.loc[renamed, "ItemId"] += 50_000
    made = []
    for part, frame in (("first", train[first].reset_index(drop=True)), ("further", further)):
        made.append(Dataset(frame, dataset.test, f"{dataset.title}, {part} sessions", fingerprint(frame, dataset.test)))
    return made[0], made[1]
