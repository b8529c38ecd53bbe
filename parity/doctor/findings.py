"""What an examination collects, and the engine that is examined."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from gru4rec.engines import EngineSpec
from parity.data import embedded
from parity.plain import Plain
from parity.protocol import Engine


class Outcome(StrEnum):
    """What the doctor says of one part of an engine."""

    OK = "ok"
    MISSING = "missing"  # an optional part; the finding says what it costs
    WRONG = "wrong"


class Finding(NamedTuple):
    """One part that was looked at. advice: what to change, or what its absence costs."""

    topic: str
    what: str
    outcome: Outcome
    found: str = ""
    advice: str = ""
    traceback: str | None = None


class Option(NamedTuple):
    """One option of the constructor. Defaults in words."""

    name: str
    published: str
    default: str
    outcome: Outcome
    remark: str = ""


STORE = 35  # negative samples drawn ahead: 7 rows

CLOSE = {"float64": 1e-9, "float32": 1e-3}  # of one step from equal states; the verdicts' bounds are far narrower


@dataclass
class Doctor:
    """One engine under examination, and what was found.

    Attributes:
        spec: how to make the engine. base, dtype: the options that it is examined with, all steps in this type.
        findings: in the order of the examination. options: of the constructor. values: (value, taken) by option.
    """

    spec: EngineSpec
    findings: list[Finding] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    values: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float64"

    def __post_init__(self) -> None:
        self.data = embedded(sessions=40, items=25, test_sessions=14)

    # What is collected.

    def say(
        self, topic: str, what: str, right: bool, advice: str = "", found: str = "", outcome: Outcome = Outcome.WRONG
    ) -> bool:
        """A finding: ok where ``right``, else ``outcome`` with the advice."""
        self.findings.append(Finding(topic, what, Outcome.OK if right else outcome, found, "" if right else advice))
        return right

    def probe(self, topic: str, what: str, function: Callable, *arguments: Any, costs: str = "") -> Any:
        """``function(self, *arguments)``; what it raises becomes a finding about ``what``. None where it raised."""
        try:
            return function(self, *arguments)
        except NotImplementedError as lacking:
            self.findings.append(Finding(topic, what, Outcome.MISSING, str(lacking) or "not implemented", costs))
        except Exception as problem:  # an engine under test may raise anything
            self.findings.append(
                Finding(
                    topic,
                    what,
                    Outcome.WRONG,
                    f"{type(problem).__name__}: {problem}",
                    "it raised; --debug prints where. What an engine lacks raises NotImplementedError",
                    traceback.format_exc(),
                )
            )
        return None

    def create(self, dtype: str | None = None, **params: Any) -> Engine:
        return self.spec.create(self.base | params, dtype or self.dtype)

    def prepared(self, dtype: str | None = None, **params: Any) -> Engine:
        engine = self.create(dtype, **params)
        engine.prepare(self.data.train.copy(), STORE)
        return engine

    def plain(self, dtype: str | None = None, **params: Any) -> Plain:
        """The harness's own program of the same options, prepared."""
        engine = Plain(dtype=dtype or self.dtype, **self.base | params)
        engine.prepare(self.data.train, STORE)
        return engine

    @cached_property
    def close(self) -> float:
        return CLOSE[self.dtype]

    @property
    def wrong(self) -> list[Finding]:
        return [each for each in self.findings if each.outcome == Outcome.WRONG]


def in_words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())
