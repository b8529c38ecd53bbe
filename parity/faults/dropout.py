"""Dropout."""

from collections.abc import Callable
from typing import Any

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("dropout rate used as keep rate", "dropout", "dropout")
def rate_as_keep_rate() -> Patches:
    from keras_port.settings import Settings

    sites = vars(Settings)["dropout_sites"].fget

    def swapped(self):
        return [(name, width, 1.0 - retain) for name, width, retain in sites(self)]

    return [(Settings, "dropout_sites", property(swapped))]


def without_dropout(site: Callable[[Any], str]) -> Patches:
    """A patch that leaves dropout out at the ``site(model)``."""
    from keras_port.model import SessionModel

    dropout_of = SessionModel.dropout_of

    def partial(self, batch):
        apply = dropout_of(self, batch)
        return lambda name, x: x if name == site(self) else apply(name, x)

    return [(SessionModel, "dropout_of", partial)]


@FAMILY.fault("dropout left out on the last GRU layer", "forward", "dropout")
def none_on_last_layer() -> Patches:
    return without_dropout(lambda model: f"hidden{len(model.gru_layers) - 1}")


@FAMILY.fault("embedding dropout left out", "loss", "dropout")
def none_on_embedding() -> Patches:
    return without_dropout(lambda model: "embed")


@FAMILY.fault("recurrent state kept free of dropout", "forward", "dropout")
def clean_state() -> Patches:
    from keras_port.layers import SessionGRU
    from keras_port.model import SessionModel

    call, training_cost, undropped = SessionGRU.call, SessionModel.training_cost, []

    def remembered(self, x, H):
        undropped.append(call(self, x, H))
        return undropped[-1]

    def clean(self, rows, hidden, batch):
        undropped.clear()
        return training_cost(self, rows, hidden, batch)[0], list(undropped)

    return [(SessionGRU, "call", remembered), (SessionModel, "training_cost", clean)]
