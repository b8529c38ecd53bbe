"""What was found so far, in a file, so that a command that was stopped goes on; and the mutants known as equivalent."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gru4rec.files import written_whole
from parity.mutants.tree import Mutant
from parity.mutants.trial import STAGES, Outcome

EQUIVALENT = Path(__file__).with_name("equivalent.json")
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A mutant of an engine and its outcome, None where it was not tried yet."""

    engine: str
    mutant: Mutant
    outcome: Outcome | None = None

    @property
    def tried(self) -> Outcome:
        """The outcome. Raises ValueError where it was not tried yet."""
        if self.outcome is None:
            raise ValueError(f"{self.mutant.module}: a mutant was not tried yet")
        return self.outcome

    @property
    def survived(self) -> bool:
        return self.outcome is not None and self.outcome.result == "survived"

    def waits_for(self, stage: str) -> bool:
        """Whether it is to be put through ``stage`` next."""
        if self.outcome is None:
            return stage == STAGES[0]
        return self.survived and STAGES.index(stage) == STAGES.index(self.outcome.stage) + 1

    def after(self, outcome: Outcome) -> "Entry":
        """With what a further stage gave; seconds and cases of all stages are added up."""
        if self.outcome is not None:
            spent, ran = round(self.outcome.seconds + outcome.seconds, 2), self.outcome.ran + outcome.ran
            outcome = replace(outcome, seconds=spent, ran=ran)
        return replace(self, outcome=outcome)

    @property
    def by_golden(self) -> bool:
        """Caught before anything but recordings was asked."""
        out = self.outcome
        return out is not None and out.result == "caught" and out.stage in ("import", "golden")


@dataclass
class Book:
    """All entries.

    about: what they belong to: sample, seed, and of each engine the fingerprint of its source. baselines: of each
    engine, what the unfaulted one gave.
    """

    about: dict[str, Any]
    baselines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def write(self, path: Path) -> None:
        content = {
            "format": FORMAT,
            "about": self.about,
            "baselines": self.baselines,
            "mutants": [
                {"engine": each.engine, **asdict(each.mutant), "outcome": each.outcome and asdict(each.outcome)}
                for each in self.entries
            ],
        }
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Book":
        """Raises ValueError for a file that is none."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            entries = []
            for each in content["mutants"]:
                engine, outcome = each.pop("engine"), each.pop("outcome")
                entries.append(Entry(engine, Mutant(**each), Outcome(**outcome) if outcome else None))
            return cls(content["about"], content["baselines"], entries)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"{path}: no results of parity mutants ({type(problem).__name__}: {problem})") from None

    def check_goes_on(self, path: Path, about: dict[str, Any]) -> None:
        """Raises ValueError where what lies in ``path`` belongs to another command or another source."""
        for name, value in about.items():
            if self.about.get(name) != value:
                raise ValueError(f"{path}: its {name} is another; give another --out, or delete the file")


def equivalents(path: Path = EQUIVALENT) -> dict[tuple[str, str, str, str], str]:
    """The reasons by (module, function, original, mutated).

    Raises ValueError for a file of another form, OSError where it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for each in content["equivalent"]:
            if set(each) != {"module", "function", "original", "mutated", "reason"} or not each["reason"].strip():
                raise ValueError(f"{each}: module, function, original, mutated and a reason are needed")
            found[each["module"], each["function"], each["original"], each["mutated"]] = each["reason"]
        return found
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"{path}: {type(problem).__name__}: {problem}") from None


def unexplained(entries: Iterable[Entry], known: dict[tuple[str, str, str, str], str]) -> list[Entry]:
    """The survivors that nobody has named."""
    return [each for each in entries if each.survived and each.mutant.key[:4] not in known]
