"""The published settings of GRU4Rec on RSC15, and the results published with them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Published:
    """Recall@20 and MRR@20 on the full RSC15 data."""

    recall: float
    mrr: float


@dataclass(frozen=True)
class Config:
    """Constructor options of GRU4Rec, and what was published for them (None: nothing for these files)."""

    name: str
    params: dict[str, Any]
    published: Published | None = None


_COMMON = dict(hidden_act="tanh", layers=[100], adapt="adagrad", n_epochs=10)
_SAMPLED = dict(batch_size=32, n_sample=2048, sample_alpha=0.0)
_BPR_MAX = _COMMON | _SAMPLED | dict(loss="bpr-max", final_act="elu-0.5", learning_rate=0.2)

CONFIGS = {
    config.name: config
    for config in (
        # Hidasi and Karatzoglou, arXiv 1706.03847: the three settings and figures given with the released program.
        Config("bpr-max", _BPR_MAX | dict(momentum=0.3, bpreg=1.0), Published(0.7197, 0.3157)),
        Config(
            "bpr-max-constrained",
            _BPR_MAX | dict(momentum=0.1, bpreg=0.5, constrained_embedding=True),
            Published(0.7261, 0.3124),
        ),
        Config(
            "cross-entropy",
            _COMMON
            | _SAMPLED
            | dict(loss="cross-entropy", final_act="softmax", dropout_p_hidden=0.3, learning_rate=0.1, momentum=0.7),
            Published(0.7180, 0.3087),
        ),
        # Hidasi et al., arXiv 1511.06939: negatives are the other lanes' targets alone.
        Config(
            "top1",
            _COMMON
            | dict(loss="top1", final_act="tanh", batch_size=50, dropout_p_hidden=0.5, learning_rate=0.01)
            | dict(momentum=0.0, n_sample=0, time_sort=False),
        ),
    )
}


def choose(names: list[str]) -> list[Config]:
    """The configs of these names, each once, in the given order; ``all`` stands for every one.

    Raises ValueError for an unknown name.
    """
    wanted = [each for name in names for each in (CONFIGS if name == "all" else [name])]
    for name in wanted:
        if name not in CONFIGS:
            raise ValueError(f"--config {name}: unknown; {', '.join(CONFIGS)} and all are accepted")
    return [CONFIGS[name] for name in dict.fromkeys(wanted)]


def parse_overrides(texts: list[str]) -> dict[str, str]:
    """``name=value`` texts as a dictionary of strings, for ``set_params``. Raises ValueError for any other form."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set {text}: name=value is needed, for example --set momentum=0.2")
        overrides[name.strip()] = value.strip()
    return overrides
