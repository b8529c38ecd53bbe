"""What synthetic sessions are made of: a catalogue with items to walk along, and times that pass."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Catalogue:
    """n items with a popularity, in C clusters that go in and out of favour over T periods.

    Items are 0..n-1, cluster by cluster, and along each cluster's ring.
    """

    item_ids: np.ndarray  # (n,) int64, the ids written to the file
    cluster: np.ndarray  # (n,) int64, the cluster of each item
    first: np.ndarray  # (C,) int64, a cluster's first item
    size: np.ndarray  # (C,) int64, a cluster's number of items
    item_cdf: np.ndarray  # (n,) float, c + cumulative popularity within cluster c
    cluster_cdf: np.ndarray  # (T*C,) float, t + cumulative popularity of the clusters in period t

    @classmethod
    def build(
        cls,
        n_items: int,
        n_periods: int,
        rng: np.random.Generator,
        first_id: int,
        sizes: tuple[int, int],
        share_new: float = 0.0,
    ) -> "Catalogue":
        """Popularity has a long tail; the clusters' is a random walk over the periods.

        The ids are drawn from ``first_id`` to ``first_id + 10 n - 1``. Clusters have ``sizes[0]`` to ``sizes[1] - 1``
        items. About the part ``share_new`` of them comes up in a later period than the first, and has no item drawn
        before.
        """
        popularity = (np.arange(n_items) + 10.0) ** -1.1
        # Neighbours in popularity, up to some noise, share a cluster: walking a ring then keeps the popularity tail.
        order = np.argsort(-np.log(popularity) + rng.normal(0, 0.7, n_items), kind="stable")
        bounds = np.cumsum(rng.integers(*sizes, n_items // sizes[0] + 1))
        first = np.concatenate([[0], bounds[bounds < n_items]])
        size = np.diff(np.append(first, n_items))
        cluster = np.repeat(np.arange(len(first)), size)
        order = order[np.lexsort((rng.random(n_items), cluster))]
        popularity = popularity[order]

        total = np.add.reduceat(popularity, first)
        favour = np.cumsum(rng.normal(0, 0.15, (n_periods, len(first))), axis=0)
        item_ids = first_id + rng.permutation(10 * n_items)[:n_items].astype(np.int64)
        by_period = total * np.exp(favour)
        if share_new:
            comes_up = np.where(rng.random(len(first)) < share_new, rng.integers(0, n_periods, len(first)), 0)
            comes_up[0] = 0  # no period is left without an item
            by_period *= np.arange(n_periods)[:, None] >= comes_up
        by_period /= by_period.sum(axis=1, keepdims=True)
        return cls(
            item_ids=item_ids,
            cluster=cluster,
            first=first,
            size=size,
            item_cdf=np.cumsum(popularity / total[cluster]),
            cluster_cdf=np.cumsum(by_period),
        )

    def draw_clusters(self, period: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = np.searchsorted(self.cluster_cdf, period + rng.random(len(period)), side="right")
        # Rounding in the cumulative sum may move a draw over the edge of its period.
        return np.clip(drawn - period * len(self.first), 0, len(self.first) - 1)

    def draw_items(self, cluster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = np.searchsorted(self.item_cdf, cluster + rng.random(len(cluster)), side="right")
        return np.clip(drawn, self.first[cluster], self.first[cluster] + self.size[cluster] - 1)

    def walk(self, item: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The neighbours of ``item`` in their rings; ``direction`` is +1 or -1."""
        cluster = self.cluster[item]
        return self.first[cluster] + (item - self.first[cluster] + direction) % self.size[cluster]

    def next_items(
        self,
        item: np.ndarray,
        direction: np.ndarray,
        period: np.ndarray,
        moves: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The items after ``item``.

        ``moves``: the shares of those that stay, walk the ring, and draw one of the cluster by popularity; the others
        jump to an item of another cluster.
        """
        move = np.searchsorted(np.cumsum(moves), rng.random(len(item)), side="right")
        following = item.copy()
        walking, detour, jump = (np.flatnonzero(move == kind) for kind in (1, 2, 3))
        following[walking] = self.walk(item[walking], direction[walking])
        following[detour] = self.draw_items(self.cluster[item[detour]], rng)
        following[jump] = self.draw_items(self.draw_clusters(period[jump], rng), rng)
        return following

    def sessions(
        self,
        lengths: np.ndarray,
        direction: np.ndarray,
        period: np.ndarray,
        moves: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Items of sessions, one after the other: (E,) for lengths (S,), directions (S,) and each event's period (E,).

        A session begins with an item of any cluster, by popularity, and goes on by :meth:`next_items`.
        """
        offset = np.concatenate([[0], np.cumsum(lengths)])
        items = np.empty(offset[-1], np.int64)
        alive = np.argsort(-lengths, kind="stable")  # longest first: those still running at a position are a prefix
        running = np.cumsum(np.bincount(lengths)[::-1])[::-1]  # sessions of at least that length
        item = self.draw_items(self.draw_clusters(period[offset[alive]], rng), rng)
        for position in range(lengths.max()):
            alive = alive[: running[position + 1]]
            item = item[: len(alive)]
            if position:
                item = self.next_items(item, direction[alive], period[offset[alive] + position], moves, rng)
            items[offset[alive] + position] = item
        return items


def times(start: np.ndarray, gaps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """When the events of sessions happen (E,), from each session's start (S,) and the gap before each event (E,).

    The gap before a session's first event is not used. All are whole numbers of the same unit.
    """
    first = np.cumsum(lengths) - lengths
    gaps = gaps.copy()
    gaps[first] = start
    elapsed = np.cumsum(gaps)
    return elapsed - np.repeat(elapsed[first] - start, lengths)
