"""The baselines as models: what each learns from the training sessions, and the scores that follow."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from gru4rec.baselines import neighbours, rules
from gru4rec.baselines.model import Baseline
from gru4rec.baselines.options import Option

if TYPE_CHECKING:
    from original.events import Events

LONGEST = 200  # events of a running session that are looked at
_RULES = Option(1000, "rules kept of each item, those of the highest scores; 0 keeps all")
_TOP_N = Option(100, "items that get a score above 0, the most popular ones", least=1)


class SKNN(Baseline):
    """S-kNN: the items of the k sessions that are most like the running one (:mod:`gru4rec.baselines.neighbours`)."""

    NAME = "sknn"
    HISTORY = LONGEST
    OPTIONS: ClassVar[dict[str, Option]] = {
        "k": Option(500, "neighbours", least=1),
        "sample_size": Option(5000, "newest sessions sharing an item, which they are taken of", least=1),
    }
    IS_COSINE = True

    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        found = neighbours.index(
            events.items, events.offsets, events.times, len(events.item_ids), self.options["sample_size"]
        )
        return csr_arrays("sessions", found.sessions) | csr_arrays("of_item", found.of_item) | {"idf": found.idf}

    def prepared(self) -> neighbours.Index:
        return neighbours.Index(self.matrix("sessions"), self.matrix("of_item"), self.arrays["idf"])

    def score(self, history: np.ndarray) -> np.ndarray:
        chosen = {name: self.options.get(name, other) for name, other in _PLAIN.items()}
        return neighbours.scores(self.held, history, cosine=self.IS_COSINE, **chosen)


_PLAIN = {"k": 500, "sample_size": 5000, "weighting": "same", "scoring": "same", "idf": 0.0}


class VSKNN(SKNN):
    """VS-kNN: S-kNN with weights of places, steps and rare items (:mod:`gru4rec.baselines.neighbours`)."""

    NAME = "vsknn"
    OPTIONS: ClassVar[dict[str, Option]] = SKNN.OPTIONS | {
        "weighting": Option("quadratic", "of the places in the running session", choices=neighbours.DECAYS),
        "scoring": Option("div", "of the step back to the newest shared item", choices=neighbours.DECAYS),
        "idf": Option(5.0, "weight of the inverse document frequency of an item", whole=False),
    }
    IS_COSINE = False


class AR(Baseline):
    """Association rules: what stands in a session with the last item (:func:`gru4rec.baselines.rules.association`)."""

    NAME = "ar"
    OPTIONS: ClassVar[dict[str, Option]] = {"rules": _RULES}

    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        n = len(events.item_ids)
        return csr_arrays("rules", rules.association(events.items, events.offsets, n, self.options["rules"]))

    def prepared(self) -> csr_array:
        return self.matrix("rules")

    def score(self, history: np.ndarray) -> np.ndarray:
        return self.held[history[:, -1] - 1].toarray()


class SR(AR):
    """Sequential rules: what comes after the last item (:func:`gru4rec.baselines.rules.sequential`)."""

    NAME = "sr"
    OPTIONS: ClassVar[dict[str, Option]] = {
        "steps": Option(10, "events between the two, at most", least=1),
        "weighting": Option("div", "of these steps", choices=rules.WEIGHTS),
        "rules": _RULES,
    }

    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        o, n = self.options, len(events.item_ids)
        steps, weighting = o.get("steps", 1), o.get("weighting", "same")
        return csr_arrays("rules", rules.sequential(events.items, events.offsets, n, steps, weighting, o["rules"]))


class Markov(SR):
    """First-order Markov chain: how often an item comes next after the last one."""

    NAME = "markov"
    OPTIONS: ClassVar[dict[str, Option]] = {"rules": _RULES}


class Pop(Baseline):
    """Popularity: supp_i / (1 + supp_i) of the ``top_n`` items of the highest support, 0 for the others."""

    NAME = "pop"
    OPTIONS: ClassVar[dict[str, Option]] = {"top_n": _TOP_N}

    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        found = np.zeros(len(events.support))
        top = np.argsort(-events.support, kind="stable")[: self.options["top_n"]]
        found[top] = events.support[top] / (1.0 + events.support[top])
        return {"popularity": found}

    def prepared(self) -> np.ndarray:
        return self.arrays["popularity"]

    def score(self, history: np.ndarray) -> np.ndarray:
        return np.tile(self.held, (len(history), 1))


class SPop(Pop):
    """Popularity in the running session: the item's events in it, and the score of Pop, which is below 1."""

    NAME = "spop"
    HISTORY = LONGEST

    def score(self, history: np.ndarray) -> np.ndarray:
        found = super().score(history)
        row, column = np.nonzero(history)
        np.add.at(found, (row, history[row, column] - 1), 1.0)
        return found


class ItemKNN(AR):
    """Similar items: s_ij = sum_s c_si c_sj / ((supp_i + lmbd)^alpha (supp_j + lmbd)^(1 - alpha)), s_ii = 0.

    Of the last item the ``n_sims`` highest. c_si are the events of item i in session s (arXiv 1511.06939, section 4.1).
    """

    NAME = "itemknn"
    OPTIONS: ClassVar[dict[str, Option]] = {
        "n_sims": Option(100, "similar items kept of each item", least=1),
        "lmbd": Option(20.0, "discount of items of low support", whole=False),
        "alpha": Option(0.5, "share of the last item's support in the normalisation", whole=False, most=1),
    }

    def learn(self, events: "Events") -> dict[str, np.ndarray]:
        o, n = self.options, len(events.item_ids)
        found = rules.association(events.items, events.offsets, n, 0).tocoo()
        other = found.row != found.col
        row, column, support = found.row[other], found.col[other], events.support + o["lmbd"]
        similar = found.data[other] / (support[row] ** o["alpha"] * support[column] ** (1 - o["alpha"]))
        matrix = csr_array((similar, (row, column)), shape=(n, n))
        return csr_arrays("rules", rules.highest(matrix, o["n_sims"]))


def csr_arrays(name: str, matrix: csr_array) -> dict[str, np.ndarray]:
    """A sparse matrix as arrays that a file holds."""
    matrix.sort_indices()
    parts: dict[str, Any] = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    return {f"{name}.{part}": np.asarray(values) for part, values in parts.items()} | {
        f"{name}.shape": np.array(matrix.shape, np.int64)
    }


ALL: dict[str, type[Baseline]] = {
    each.NAME: each for each in (VSKNN, SKNN, SR, AR, Markov, ItemKNN, SPop, Pop)
}
