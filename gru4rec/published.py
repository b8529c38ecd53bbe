"""What the authors published: settings and results, each of them once.

Papers: arXiv 1511.06939 (2016), arXiv 1706.03847 (2018). The settings with ``logq`` and ``constrained_embedding``, and
the results on six data sets, are those of the authors' program in its newest version, measured in the study
arXiv 2307.14956.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Params = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """Options of GRU4Rec, as published. data: the set that they were published for. source: where."""

    data: str
    source: str
    params: Params

    @property
    def about(self) -> str:
        """In words."""
        return f"{self.data}, {self.source}"


class Figures(NamedTuple):
    """Recall@N and MRR@N of one N."""

    recall: float
    mrr: float


@dataclass(frozen=True)
class Published:
    """Recall@20 and MRR@20 of one settings on RSC15, after so many epochs."""

    recall: float
    mrr: float
    n_epochs: int


_COMMON = dict(hidden_act="tanh", layers=[100], adapt="adagrad", n_epochs=10)
_SAMPLED = _COMMON | dict(batch_size=32, n_sample=2048, sample_alpha=0.0)
_BPR_MAX = _SAMPLED | dict(loss="bpr-max", final_act="elu-0.5", learning_rate=0.2)

# Those of 2016 and 2018, which need neither logq nor more than 100 units.
RSC15: dict[str, Params] = {
    "bpr-max": _BPR_MAX | dict(momentum=0.3, bpreg=1.0),
    "bpr-max-constrained": _BPR_MAX | dict(momentum=0.1, bpreg=0.5, constrained_embedding=True),
    "cross-entropy": _SAMPLED
    | dict(loss="cross-entropy", final_act="softmax", dropout_p_hidden=0.3, learning_rate=0.1, momentum=0.7),
    "top1": _COMMON
    | dict(loss="top1", final_act="tanh", batch_size=50, dropout_p_hidden=0.5, learning_rate=0.01)
    | dict(momentum=0.0, n_sample=0, time_sort=False),
}

# Published with them, on the full data. For the first paper's settings, top1, nothing was published on these files.
RSC15_RESULTS: dict[str, Published] = {
    "bpr-max": Published(0.7197, 0.3157, n_epochs=10),
    "bpr-max-constrained": Published(0.7261, 0.3124, n_epochs=10),
    "cross-entropy": Published(0.7180, 0.3087, n_epochs=10),
}


def _tuned(
    loss: str, final_act: str, layers: int, batch_size: int, dropout: tuple[float, float], learning_rate: float,
    momentum: float, sample_alpha: float, bpreg: float, logq: float,
) -> Params:  # fmt: skip
    """dropout: of the embedding, of the hidden states."""
    return dict(
        loss=loss, final_act=final_act, hidden_act="tanh", layers=[layers], constrained_embedding=True, n_epochs=10,
        batch_size=batch_size, dropout_p_embed=dropout[0], dropout_p_hidden=dropout[1], adapt="adagrad",
        learning_rate=learning_rate, momentum=momentum, n_sample=2048, sample_alpha=sample_alpha, bpreg=bpreg,
        logq=logq,
    )  # fmt: skip


_STUDY, _XE, _BPR = "arXiv 2307.14956", "cross-entropy", "bpr-max"

SETTINGS: dict[str, Settings] = {
    "coveo-bprmax": Settings(
        "Coveo", _STUDY, _tuned(_BPR, "elu-1", 512, 144, (0.35, 0.0), 0.05, 0.4, 0.2, 1.85, 0.0)
    ),
    "diginetica-bprmax": Settings(
        "Diginetica", _STUDY, _tuned(_BPR, "elu-1", 512, 128, (0.5, 0.3), 0.05, 0.15, 0.3, 0.9, 0.0)
    ),
    "rees46-xe": Settings(
        "Rees46", _STUDY, _tuned(_XE, "softmax", 512, 240, (0.45, 0.0), 0.065, 0.0, 0.5, 0.0, 1.0)
    ),
    "retailrocket-bprmax": Settings(
        "RetailRocket", _STUDY, _tuned(_BPR, "elu-0.5", 224, 80, (0.5, 0.05), 0.05, 0.4, 0.4, 1.95, 0.0)
    ),
    "rsc15-xe": Settings("RSC15", _STUDY, _tuned(_XE, "softmax", 100, 32, (0.1, 0.0), 0.1, 0.0, 0.75, 0.0, 1.0)),
    "yoochoose-xe": Settings(
        "Yoochoose", _STUDY, _tuned(_XE, "softmax", 480, 48, (0.0, 0.2), 0.07, 0.0, 0.2, 0.0, 1.0)
    ),
    **{
        name: Settings("RSC15", "arXiv 1511.06939" if name == "top1" else "arXiv 1706.03847", params)
        for name, params in RSC15.items()
    },
}  # fmt: skip


def _figures(at_1: float, *rest: float) -> Mapping[int, Figures]:
    """At 1, where Recall and MRR are one, then Recall and MRR at 5, 10 and 20."""
    return {1: Figures(at_1, at_1), 5: Figures(*rest[:2]), 10: Figures(*rest[2:4]), 20: Figures(*rest[4:])}


# By data set and N: the authors' program in its newest version, with the settings above.
RESULTS: dict[str, Mapping[int, Figures]] = {
    "RSC15": _figures(0.1845, 0.4906, 0.2954, 0.6218, 0.3130, 0.7283, 0.3205),
    "Yoochoose": _figures(0.1829, 0.4478, 0.2783, 0.5715, 0.2949, 0.6789, 0.3024),
    "Rees46": _figures(0.1114, 0.3010, 0.1778, 0.4135, 0.1928, 0.5293, 0.2008),
    "Coveo": _figures(0.0513, 0.1496, 0.0852, 0.2212, 0.0946, 0.3135, 0.1010),
    "RetailRocket": _figures(0.1274, 0.3237, 0.1977, 0.4207, 0.2107, 0.5186, 0.2175),
    "Diginetica": _figures(0.0725, 0.2369, 0.1288, 0.3542, 0.1442, 0.4995, 0.1542),
}
