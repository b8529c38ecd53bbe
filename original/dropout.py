"""Dropout masks from Aesara's MRG31k3p stream, the generator of the published program."""

import warnings

import aesara
import aesara.tensor as at
import numpy as np

with warnings.catch_warnings():
    # Aesara advises against this generator; it is the one that the published program's masks come from.
    warnings.simplefilter("ignore", DeprecationWarning)
    from aesara.sandbox.rng_mrg import MRG_RandomStream


class DropoutMasks:
    """The masks of ``sites`` [(name, width, retain probability), ...]: each site has a stream of its own, in graph
    order.
    """

    def __init__(self, sites, seed, dtype, mode):
        self.sites = sites
        streams, M = MRG_RandomStream(seed), at.iscalar("M")
        masks = [streams.binomial((M, width), p=retain, dtype=dtype) for _, width, retain in sites]
        self._states = [update[0] for update in streams.state_updates]
        self._draw = lambda M: []
        if sites:
            self._draw = aesara.function([M], masks, mode=mode)
            self._draw.trust_input = True

    def __call__(self, M):
        """The next mask of each site, (M, width), 1 = kept, in the graph's dtype."""
        return self._draw(np.array(M, np.int32))

    def get_state(self):
        return [state.get_value() for state in self._states]

    def set_state(self, states):
        for state, value in zip(self._states, states):
            state.set_value(value)
