"""The bounds of float comparisons: one constant, the same for every engine, tensor and setting.

A comparison holds when ||a - b|| <= ULPS * u * S, u the unit roundoff of the type, S the tensor's scale
(:mod:`parity.scale`): the size that its terms have before they cancel. docs/bounds.md derives it, and says what it lets
pass.
"""

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
ULPS = 128  # how many units a correct program may be away
# Free-running is judged until rounding alone may have moved a tensor by this share of it. A unit of float32 is so large
# that a chaotic setting is at the smaller share after a step.
TRAJECTORY_CAP = {"float64": 1e-3, "float32": 1e-1}
FEWEST_STEPS = 3  # a run that cannot be judged for so many has shown nothing that single steps have not


def forced(dtype: str) -> float:
    """The bound of one step from equal states, relative to the scale."""
    return ULPS * UNIT[dtype]
