"""Dropout masks from the MRG31k3p stream, the generator of the published program (P. L'Ecuyer, R. Touzin, 2000)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from original.graphs.c_backend import c_mode
from original.graphs.library import MRG_RandomStream, function, tensor
from original.settings import Settings

MODULI = (2**31 - 1, 2**31 - 21069)  # of the generator's first and of its second three numbers


class Site(NamedTuple):
    """A place in the graph where something is dropped.

    Attributes:
        name: 'embed', 'hidden0', 'hidden1', ...
        width: how many columns are dropped from.
        retain: the probability that one is kept.
    """

    name: str
    width: int
    retain: float


def dropout_sites(settings: Settings) -> list[Site]:
    """The dropout sites in graph order."""
    sites = []
    if settings.input_width and settings.dropout_p_embed > 0:
        sites.append(Site("embed", settings.input_width, 1 - settings.dropout_p_embed))
    if settings.dropout_p_hidden > 0:
        sites += [Site(f"hidden{k}", L, 1 - settings.dropout_p_hidden) for k, L in enumerate(settings.layers)]
    return sites


class DropoutMasks:
    """The masks of each site; a site has a stream of its own, in graph order.

    Args:
        settings: of the model.
        states: where the streams go on, as :meth:`get_state` gives them; None for their beginning.

    Raises:
        ValueError: for states that are none of these streams.
    """

    def __init__(self, settings: Settings, states: Sequence[np.ndarray] | None = None) -> None:
        self.settings, self.sites = settings, dropout_sites(settings)
        streams, M = MRG_RandomStream(settings.dropout_seed), tensor.iscalar("M")
        masks = [streams.binomial((M, site.width), p=site.retain, dtype=settings.dtype) for site in self.sites]
        self._states = [update[0] for update in streams.state_updates]
        self._draw = function([M], masks, mode=c_mode()) if masks else None
        if self._draw is not None:
            self._draw.trust_input = True
        if states is not None:
            self._set_state(states)

    def __call__(self, M: int) -> list[np.ndarray]:
        """The next mask of each site, (M, width), 1 = kept, in the graph's dtype."""
        return self._draw(np.array(M, np.int32)) if self._draw is not None else []

    def get_state(self) -> list[np.ndarray]:
        """Each site's stream: (streams, 6) int32."""
        return [state.get_value() for state in self._states]

    def _set_state(self, states: Sequence[np.ndarray]) -> None:
        if len(states) != len(self._states):
            raise ValueError(f"{len(states)} dropout streams; {len(self._states)} are accepted")
        for state, value in zip(self._states, states, strict=True):
            wanted = state.get_value(borrow=True)
            limits = np.repeat(np.array(MODULI, np.int64), 3)
            if value.shape != wanted.shape or value.dtype != wanted.dtype:
                raise ValueError(f"a dropout stream of shape {value.shape}; {wanted.shape} {wanted.dtype} is accepted")
            if (value < 0).any() or (value >= limits).any():
                raise ValueError("a dropout stream holds numbers that MRG31k3p never has")
            state.set_value(np.array(value))

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: made anew, where it stands."""
        return DropoutMasks, (self.settings, self.get_state())
