"""Which mutants are tried, and which recordings each of them is put through, in which order."""

from collections import defaultdict
from pathlib import Path
from typing import Iterable, Mapping, Sequence

from parity import matrix
from parity.mutants.trial import Clean
from parity.mutants.tree import Mutant


def sampled(mutants: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """At least ``size`` mutants, in equal shares of every (module, operator): as many of each stratum as its part of
    all, one at least.

    Which ones of a stratum hangs on the seed and on the mutants themselves, so a change elsewhere leaves them.
    """
    strata: dict[tuple[str, str], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        strata[mutant.module, mutant.operator].append(mutant)
    total = sum(map(len, strata.values()))
    size = min(size, total)
    shares = {name: max(1.0, len(members) * size / total) for name, members in strata.items()}
    taken = {name: int(share) for name, share in shares.items()}
    for name in sorted(strata, key=lambda name: taken[name] - shares[name]):  # the largest remainders
        if sum(taken.values()) >= size:
            break
        taken[name] = min(taken[name] + 1, len(strata[name]))
    chosen = []
    for name, members in strata.items():
        chosen += sorted(members, key=lambda mutant: _draw(mutant, seed))[: taken[name]]
    return sorted(chosen, key=lambda mutant: (mutant.module, mutant.line, mutant.key))


def _draw(mutant: Mutant, seed: int) -> int:
    """A number of its own for each seed."""
    return (int(mutant.digest[:16], 16) * (2 * seed + 1)) % (2**61 - 1)


def order(baseline: Sequence[Clean]) -> list[Clean]:
    """The recordings so that as many lines as possible have been executed in as few seconds as possible."""
    left = {clean.recording: _places(clean) for clean in baseline}
    by_name, found = {clean.recording: clean for clean in baseline}, []
    while left:
        best = max(left, key=lambda name: (len(left[name]) / max(by_name[name].seconds, 0.01), name))
        found.append(by_name[best])
        seen = left.pop(best)
        left = {name: places - seen for name, places in left.items()}
    return found


def _places(clean: Clean) -> set[tuple[str, int]]:
    return {(module, line) for module, lines in clean.lines.items() for line in lines}


def reaching(mutant: Mutant, ordered: Sequence[Clean], paths: Mapping[str, Path]) -> list[Path]:
    """The recordings that execute the mutant's statement, the quickest of them first, then in the order given.

    The others run the same code with the mutant as without it.
    """
    here = set(range(mutant.line, mutant.last_line + 1))
    found = [clean for clean in ordered if here & set(clean.lines.get(mutant.module, ()))]
    return [paths[clean.recording] for clean in found]


def few_configs(number: int) -> list[dict]:
    """Configurations of the matrix that hold as many values of the options as so few can."""
    design, values, chosen = matrix.design(), set(), []
    while design and len(chosen) < number:
        best = max(design, key=lambda config: len(_values(config) - values))
        chosen.append(best)
        values |= _values(best)
        design.remove(best)
    return chosen


def _values(config: dict) -> set[tuple[str, str]]:
    return {(name, str(value)) for name, value in config.items()}
