"""Designs of experiments that try every pair of option values (covering arrays of strength 2)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

Config = dict[str, Any]


def pairs_of(config: Config) -> set[tuple]:
    """Every pair of (option, value) in ``config``; values are told apart by their text."""
    return set(combinations([(name, str(value)) for name, value in config.items()], 2))


def all_pairs(factors: Mapping[str, Sequence], allowed: Callable[[Config], bool]) -> set[tuple]:
    """Every pair of values of two factors that ``allowed`` admits by themselves."""
    found = set()
    for a, b in combinations(factors, 2):
        for x in factors[a]:
            found |= {((a, str(x)), (b, str(y))) for y in factors[b] if allowed({a: x, b: y})}
    return found


def design(
    factors: Mapping[str, Sequence], least: int, allowed: Callable[[Config], bool], seed: int = 0
) -> list[Config]:
    """Configurations that cover every admitted pair; ``least`` of them or more, the further ones covering pairs again.

    Greedy: of some random candidates grown around the rarest pair, take the one with the most pairs still rare.
    ``allowed`` judges full and partial configurations and must not admit a whole whose parts it refuses.
    """
    rng = np.random.RandomState(seed)
    times = dict.fromkeys(sorted(all_pairs(factors, allowed)), 0)
    values = {(name, str(value)): value for name, choices in factors.items() for value in choices}
    made: list[Config] = []
    while len(made) < least or min(times.values()) == 0:
        fewest = min(times.values())
        rare = [pair for pair, count in times.items() if count == fewest]
        candidates = [_grow(rare[rng.randint(len(rare))], factors, values, times, allowed, rng) for _ in range(6)]
        best = max(candidates, key=lambda config: sum(times[pair] == fewest for pair in pairs_of(config)))
        made.append(best)
        for pair in pairs_of(best):
            times[pair] += 1
    return made


def _grow(pair, factors, values, times, allowed, rng) -> Config:
    """A configuration around ``pair``: factor by factor in random order, the value that makes the rarest pairs."""
    config = {name: values[name, text] for name, text in pair}
    place = {name: at for at, name in enumerate(factors)}
    for name in map(str, rng.permutation([name for name in factors if name not in config])):

        def rarity(value, name=name):
            ends = [sorted([(name, str(value)), (k, str(v))], key=lambda end: place[end[0]]) for k, v in config.items()]
            return sum(1.0 / (1 + times[tuple(pair)]) ** 2 for pair in ends) + 1e-3 * rng.rand()

        config[name] = max((v for v in factors[name] if allowed({**config, name: v})), key=rarity)
    return {name: config[name] for name in factors}
