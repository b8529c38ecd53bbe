"""All that training changes besides the weights: optimizer slots, hidden states, random streams, epochs done."""

import keras
import numpy as np

from keras_port.random_streams import MaskStream, NegativeSampler


class TrainState:
    """State of one :class:`~keras_port.model.SessionModel`'s training.

    rng: the NumPy stream of weights, samples and orders. sampler: the negative samples, None before the first ``fit``.
    log_support: (n,) log of each item's events in the training data, which ``logq`` needs; None without it.
    mask_streams: one dropout stream a site. epochs_done: whole epochs since the weights were drawn.
    """

    def __init__(self, model):
        self.model, s = model, model.settings
        self.hidden = [self._zeros((s.batch_size, units), f"hidden{k}") for k, units in enumerate(s.layers)]
        self.lanes = s.batch_size
        self.slots = {
            f"{slot}/{name}": self._zeros(w.shape, f"{slot}_{name}")
            for slot in model.updater.slots
            for name, w in model.named_weights.items()
        }
        self.log_support = self._zeros((model.n_items,), "log_support") if s.logq else None
        self.rng = np.random.RandomState(s.seed)
        self.sampler = self._mask_streams = None
        self.epochs_done = 0

    def _zeros(self, shape, name):
        return keras.Variable("zeros", shape=tuple(shape), dtype=self.model.settings.dtype, trainable=False, name=name)

    def variables(self):
        """Weights, slots and hidden states by name, and the log of the support: the state of the training programs."""
        hidden = {f"hidden{k}": v for k, v in enumerate(self.hidden)}
        fixed = {} if self.log_support is None else {"log_support": self.log_support}
        return {**self.model.named_weights, **self.slots, **hidden, **fixed}

    @property
    def mask_streams(self):
        """One dropout stream a site, made at their first use."""
        if self._mask_streams is None:
            s, sites = self.model.settings, self.model.dropout_sites()
            self._mask_streams = [MaskStream(s.dropout_seed, j, site[2], s.dtype) for j, site in enumerate(sites)]
        return self._mask_streams

    def clear_hidden(self):
        """Zero hidden states for all lanes, as at the start of an epoch."""
        self.lanes = self.model.settings.batch_size
        for variable in self.hidden:
            variable.assign(np.zeros(variable.shape, self.model.settings.dtype))

    def clear_slots(self):
        """An optimizer that has seen nothing."""
        for variable in self.slots.values():
            variable.assign(np.zeros(variable.shape, self.model.settings.dtype))

    def start_sampler(self, support, store):
        """Draw the first store of negative samples."""
        self._set_sampler(support, store)

    def _set_sampler(self, support, store, state=None):
        s = self.model.settings
        self.sampler = NegativeSampler(support, s.n_sample, s.sample_alpha, store, self.rng, state)
        if self.log_support is not None:
            # an item without events is drawn where sample_alpha is 0 only, and there its P is 1 whatever the support
            self.log_support.assign(np.log(np.maximum(support, 1), dtype=np.float64).astype(s.dtype))

    def continue_streams(self, other):
        """Take over another model's random streams, where they are."""
        self.rng, self._mask_streams = other.rng, other._mask_streams

    def to_arrays(self):
        """Everything but weights and hidden states (which are zero between epochs), as NumPy arrays by name."""
        arrays = {f"slot/{name}": keras.ops.convert_to_numpy(v) for name, v in self.slots.items()}
        arrays["epochs_done"] = np.array(self.epochs_done, np.int64)
        arrays.update(_rng_arrays("rng", self.rng.get_state()))
        arrays.update({f"masks/{j}": stream.get_state() for j, stream in enumerate(self._mask_streams or [])})
        if self.sampler is not None:
            arrays["support"] = np.asarray(self.sampler.support, np.int64)
            arrays["sample_store"] = np.array(self.sampler.store, np.int64)
            if self.sampler.get_state() is not None:
                before, used = self.sampler.get_state()
                arrays.update({**_rng_arrays("store", before), "store/used": np.array(used, np.int64)})
        return arrays

    def from_arrays(self, arrays):
        """Continue from what :meth:`to_arrays` returned."""
        for name, variable in self.slots.items():
            variable.assign(arrays[f"slot/{name}"])
        self.epochs_done = _integer(arrays, "epochs_done")
        self.rng.set_state(_rng_state("rng", arrays))
        self._mask_streams = None
        if "masks/0" in arrays:
            for j, stream in enumerate(self.mask_streams):
                stream.set_state(arrays[f"masks/{j}"])
        if "support" in arrays:
            state = None
            if "store/used" in arrays:
                state = _rng_state("store", arrays), _integer(arrays, "store/used")
            self._set_sampler(arrays["support"], _integer(arrays, "sample_store"), state)


def _integer(arrays, name):
    return int(np.ravel(arrays[name])[0])  # some file formats give a scalar back as a vector of one


def _rng_arrays(prefix, state):
    _, keys, position, has_gauss, gauss = state
    position = np.array([position, has_gauss], np.int64)
    return {f"{prefix}/keys": keys, f"{prefix}/position": position, f"{prefix}/gauss": np.array([gauss])}


def _rng_state(prefix, arrays):
    position, has_gauss = (int(v) for v in arrays[f"{prefix}/position"])
    return (
        "MT19937",
        np.asarray(arrays[f"{prefix}/keys"], np.uint32),
        position,
        has_gauss,
        float(arrays[f"{prefix}/gauss"][0]),
    )
