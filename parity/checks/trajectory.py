"""Free-running: both engines go on from one common start, each from its own random streams."""

from typing import Iterable

from parity.measure import Checks, error
from parity.walk import Record

# Steps that are judged, and the bound. GRU4Rec's own RSC15 settings are chaotic at the start: float64 runs of one
# program on two compilers are 1e-10 apart at step 8 and 1e-7 at step 20. Later steps are drawn in the report, and
# judged by the final metrics.
HORIZON = {"float64": 8, "float32": 3}
TOLERANCE = {"float64": 1e-8, "float32": 1e-3}


def check_trajectory(
    checks: Checks, wanted: Iterable[Record], found: Iterable[Record], dtype: str
) -> dict[str, list[float]]:
    """Costs and weights of the first steps; returns both cost curves and the error of the weights by step."""
    curves = {"reference": [], "candidate": [], "weights_error": []}
    check, tolerance = checks["trajectory"], TOLERANCE[dtype]
    found = iter(found)
    for a in wanted:
        b = next(found, None)
        if b is None:  # the candidate's training has ended, the reference's has not
            check.equal("number of steps", a.number, a.number + 1)
            break
        if a.number < HORIZON[dtype]:
            check.close("cost", b.cost, a.cost, tolerance, a.number)
            check.close_all(b.after.weights, a.after.weights, tolerance, a.number)
        curves["reference"].append(a.cost)
        curves["candidate"].append(b.cost)
        curves["weights_error"].append(
            max(error(b.after.weights[name], w).relative for name, w in a.after.weights.items())
        )
    judged = min(HORIZON[dtype], len(curves["reference"]))
    check.notes.append(f"judged on {judged} of {len(curves['reference'])} steps")
    return curves
