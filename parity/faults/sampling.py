"""Sampling and initial weights."""

import numpy as np

from parity.faults.fault import Family, Patches

FAMILY = Family()


def sampler_with(alpha: float) -> Patches:
    """A patch that draws by another power of the support."""
    from keras_port import state

    class Sampler(state.NegativeSampler):
        def __init__(self, support, n_sample, _, store, rng, before=None):
            super().__init__(support, n_sample, alpha, store, rng, before)

    return [(state, "NegativeSampler", Sampler)]


@FAMILY.fault("uniform instead of popularity sampling", "negatives", "bpr-max")
def uniform() -> Patches:
    return sampler_with(alpha=0.0)


@FAMILY.fault("sample_alpha ignored", "negatives", "bpr-max")
def alpha_ignored() -> Patches:
    return sampler_with(alpha=1.0)


@FAMILY.fault("wrong initial range", "initial-weights", "bpr-max")
def wrong_range() -> Patches:
    from keras_port import initial_weights

    block = initial_weights.block

    def of_joined_blocks(rng, shape, sigma, normal, dtype):
        return block(rng, shape, np.sqrt(6.0 / (shape[0] + 3 * shape[1])), normal, dtype)

    return [(initial_weights, "block", of_joined_blocks)]
