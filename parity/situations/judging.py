"""An engine in a situation, against what the harness's own program expects there."""

from functools import cache
from typing import Any

from gru4rec.engines import EngineSpec
from parity.measure import Checks
from parity.situations.listing import situation
from parity.situations.parts import PARTS

Expected = dict[str, Any]  # by part


@cache
def expected(name: str) -> Expected:
    """What the harness's own program gives in the situation of that name, by part."""
    return {part: PARTS[part].expect(situation(name)) for part in situation(name).parts}


def judge(name: str, spec: EngineSpec, wanted: Expected | None = None) -> Checks:
    """Put an engine through the parts of a situation. wanted: what is expected, where it is known already."""
    checks, wanted = Checks(), wanted or expected(name)
    for part, what in wanted.items():
        checks.attempt(PARTS[part].names, PARTS[part].check, situation(name), what, spec)
    return checks
