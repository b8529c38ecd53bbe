"""Which mutants are tried, and which cases each of them is put through, in which order."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from parity.mutants.tree import Mutant
from parity.mutants.trial import Clean


def sampled(mutants: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """``size`` mutants, every stratum (module, operator) by its share of all, to within one; so each is as likely.

    Which ones of a stratum hangs on the seed and on the mutants themselves, so a change elsewhere leaves them.
    """
    strata: dict[tuple[str, str], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        strata[mutant.module, mutant.operator].append(mutant)
    total, seen, chosen = sum(map(len, strata.values())), 0, []
    for name in sorted(strata):
        members, before = strata[name], seen
        seen += len(members)
        number = min(len(members), seen * size // total - before * size // total)
        chosen += sorted(members, key=lambda mutant: _draw(mutant, seed))[:number]
    return sorted(chosen, key=lambda mutant: (mutant.module, mutant.line, mutant.key))


def _draw(mutant: Mutant, seed: int) -> int:
    """A number of its own for each seed."""
    return (int(mutant.digest[:16], 16) * (2 * seed + 1)) % (2**61 - 1)


def order(baseline: Sequence[Clean]) -> list[Clean]:
    """The cases so that as many lines as possible have been executed in as few seconds as possible.

    Once all have been, the rest is ordered in the same way, as if none had: another setting may tell what one did not.
    """
    every = {clean.name: _places(clean) for clean in baseline}
    by_name, found, left = {clean.name: clean for clean in baseline}, [], dict(every)
    while left:
        if not any(left.values()):
            left = {name: every[name] for name in left}
        best = max(left, key=lambda name: (len(left[name]) / max(by_name[name].seconds, 0.01), name))
        found.append(by_name[best])
        seen = left.pop(best)
        left = {name: places - seen for name, places in left.items()}
    return found


def _places(clean: Clean) -> set[tuple[str, int]]:
    return {(module, line) for module, lines in clean.lines.items() for line in lines}


def reaching(mutant: Mutant, ordered: Sequence[Clean]) -> list[str]:
    """The names of the cases that execute the mutant's statement, in the order given; all where that is not known.

    The others run the same code with the mutant as without it.
    """
    if not any(clean.lines for clean in ordered):
        return [clean.name for clean in ordered]
    here = set(range(mutant.line, mutant.last_line + 1))
    return [clean.name for clean in ordered if here & set(clean.lines.get(mutant.module, ()))]
