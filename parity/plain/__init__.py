"""GRU4Rec in plain NumPy, the harness's own: what scales are measured on and ranks are counted by.

It is written for the eye, gradients by hand, in any float type, and nothing of an engine under test is in it. It
follows ``parity.protocol.Engine`` (``--engine parity.plain:Plain``), so it can be held against the recordings itself,
and a candidate can be held against it where no other reference can be installed. What it lacks is said by
NotImplementedError: evaluation, files.
"""

from parity.plain.engine import Plain

__all__ = ["Plain"]
