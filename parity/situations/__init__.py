"""Situations: what no recording of the published program can owe, expected by the harness's own program.

A recording holds one training of one data set. Retraining on further data, a cost that is no number in the middle of
an epoch, predictions whose sessions change, saturated scores, activations at their kinks, lists of odd lengths are put
to an engine here, and ``python -m parity golden`` runs them beside the recordings. What is expected comes from
:mod:`parity.plain`, which is itself held against every recording, and from the harness's own ranks; nothing of an
engine under test enters it.
"""

from parity.situations.judging import Expected, expected, judge
from parity.situations.listing import SITUATIONS, situation
from parity.situations.situation import Situation

__all__ = ["SITUATIONS", "Expected", "Situation", "expected", "judge", "situation"]
