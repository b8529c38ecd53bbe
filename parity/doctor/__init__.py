"""What an engine offers, part by part: a first look at a third party's program before any verdict is asked for.

Small synthetic data, no reference program; answers are those of the harness's own (:mod:`parity.plain`). Each part
becomes a :class:`Finding`. Where an outcome is another than the documented one, it is held against the outcomes of
usual mistakes (:data:`parity.doctor.forms.FORMS` of the GRU, a rate that was not rounded, the other sign), and the
advice names the one that fits. The doctor gives no verdict: ``golden`` and ``run`` do.
"""

from collections.abc import Callable, Iterator, Sequence

from gru4rec.engines import EngineSpec
from parity.doctor.findings import Doctor, Finding, Option, Outcome
from parity.doctor.options import MEMBERS, choose_base, members, option_values, published_options
from parity.doctor.parts import constrained, dropout
from parity.doctor.start import batches_given, first_start
from parity.doctor.steps import single_precision, step_taken
from parity.doctor.trips import hidden_trip, optimizer_trip, weights_trip
from parity.doctor.using import evaluated, files, fitted, scored

__all__ = ["Doctor", "Finding", "Option", "Outcome", "by_topic", "examine"]

PROBES: list[tuple[str, str, Callable, str]] = [
    ("batches", "batches", batches_given, ""),
    ("round trips", "weights", weights_trip, ""),
    ("round trips", "optimizer state", optimizer_trip, "optimizer states are not covered"),
    ("round trips", "hidden state", hidden_trip, ""),
    ("scores", "scores", scored, ""),
    ("step", "train_step", step_taken, ""),
    ("constrained embedding", "constrained_embedding=True", constrained, "settings that use it are not covered"),
    ("dropout", "dropout_p_hidden=0.4", dropout, "settings that use it are not covered"),
    ("fit", "fit", fitted, MEMBERS["fit"]),
    ("files", "save and load", files, MEMBERS["save"]),
    ("evaluation", "evaluation", evaluated, MEMBERS["evaluation"]),
    ("float32", "dtype='float32'", single_precision, "float32 is not covered, the type that people use"),
]


def examine(spec: EngineSpec) -> Doctor:
    """Look at everything of one engine; what was found stands in ``findings``, ``options`` and ``values``.

    Raises:
        ValueError: where the engine takes none of the settings that can be examined.
    """
    doctor = Doctor(spec)
    members(doctor)
    choose_base(doctor)
    doctor.options = published_options(doctor)
    doctor.values = option_values(doctor)
    if doctor.probe("data", "prepare", first_start) is not None:
        for topic, what, function, costs in PROBES:
            doctor.probe(topic, what, function, costs=costs)
    return doctor


def by_topic(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Findings by topic, in the order in which the topics first came up."""
    for topic in dict.fromkeys(each.topic for each in findings):
        yield topic, [each for each in findings if each.topic == topic]
