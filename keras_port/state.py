"""All that training changes: weights, optimizer slots, hidden states, random streams, epochs done."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_port import backend, checkpoint, optimizers
from keras_port.dropout import DropoutMasks
from keras_port.events import Events, Fingerprint
from keras_port.model import SessionModel
from keras_port.sampling import NegativeSampler, state_of


class TrainingState:
    """State of one model's training; its arrays go by name.

    lanes: rows of the hidden state that the next step uses. rng: the NumPy stream of weights, samples and orders.
    masks: the dropout stream. sampler: the negative samples, None before the first training. epochs_done: whole epochs
    since the weights were drawn. diverged: a NaN cost, or a weight that is not finite, ended the last training. fault:
    the same in words, '' for none. events: the data, None where the training has not begun in this process.
    """

    def __init__(self, model: SessionModel):
        self.model, settings = model, model.settings
        B = settings.batch_size
        self.split = model.split
        self._hidden = [self._zeros((B, units), f"hidden{k}") for k, units in enumerate(settings.layers)]
        self.lanes = B
        self._slots = {
            f"{slot}/{name}": self._zeros(self.split.shape(w), f"{slot}_{name}", name in model.read_at)
            for slot in optimizers.slot_names(settings)
            for name, w in model.named_weights.items()
        }
        self._log_support = self._zeros((model.n_items,), "log_support", True) if settings.logq else None
        self.rng = np.random.RandomState(settings.seed)
        self.masks = DropoutMasks(settings.dropout_seed, settings.dropout_sites, settings.dtype)
        self.sampler: NegativeSampler | None = None
        self.epochs_done = 0
        self.diverged, self.fault = False, ""
        self.events: Events | None = None
        self._fingerprint: Fingerprint | None = None
        model.training = self

    def _zeros(self, shape: Sequence[int], name: str, by_rows: bool = False) -> keras.Variable:
        return self.split.zeros(tuple(shape), self.model.settings.dtype, name, by_rows, trainable=False)

    def variables(self) -> dict[str, keras.Variable]:
        """The state of the training programs: weights, slots as SLOT/NAME, ``hidden0``, ..., and ``log_support``."""
        hidden = {f"hidden{k}": v for k, v in enumerate(self._hidden)}
        fixed = {} if self._log_support is None else {"log_support": self._log_support}
        return {**self.model.named_weights, **self._slots, **hidden, **fixed}

    @property
    def support(self) -> np.ndarray | None:
        """(n,) events of each item in the data; None before the first training."""
        return None if self.sampler is None else np.asarray(self.sampler.support)

    def get_weights(self, split: bool = True) -> dict[str, np.ndarray]:
        """Copies of the weights; without ``split`` of those alone whose rows are not split over devices."""
        found = self.model.named_weights.items()
        return {name: self.split.read(v) for name, v in found if split or not self.split.is_split(v)}

    def split_tensors(self) -> dict[str, keras.Variable]:
        """The variables whose rows are split over devices, by their names in a file."""
        found = {f"weight/{name}": variable for name, variable in self.model.named_weights.items()}
        found |= {f"state/slot/{name}": variable for name, variable in self._slots.items()}
        return {name: variable for name, variable in found.items() if self.split.is_split(variable)}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set the named weights, leave the others. Raises ValueError for an unknown name or another shape."""
        self.model.known_finite = False
        self._assign("weights", self.model.named_weights, weights)

    def get_slots(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer state, by SLOT/NAME."""
        return {name: self.split.read(variable) for name, variable in self._slots.items()}

    def set_slots(self, slots: Mapping[str, Any]) -> None:
        """Set the named slots, leave the others. Raises ValueError for an unknown name or another shape."""
        self._assign("state", self._slots, slots)

    def get_hidden(self) -> list[np.ndarray]:
        """Copies of the hidden states of the lanes in use, (M, L_k) a layer."""
        return [backend.to_numpy(variable)[: self.lanes] for variable in self._hidden]

    def set_hidden(self, hidden: Sequence[Any]) -> None:
        """Set the hidden states; their rows are the lanes of the next step. Raises ValueError for other shapes."""
        settings = self.model.settings
        rows = check_hidden(hidden, settings.layers)
        if rows > settings.batch_size:
            raise ValueError(f"hidden has {rows} rows: at most batch_size={settings.batch_size} are accepted")
        self.lanes = rows
        for variable, values in zip(self._hidden, hidden):
            padding = np.zeros((settings.batch_size - rows, variable.shape[1]), settings.dtype)
            self.split.assign(variable, np.concatenate([np.asarray(values, settings.dtype), padding]))

    def clear_hidden(self) -> None:
        """Zero hidden states for all lanes, as at the start of an epoch."""
        settings = self.model.settings
        self.set_hidden([np.zeros((settings.batch_size, units)) for units in settings.layers])

    def start_sampler(self, support: np.ndarray, store: int) -> NegativeSampler:
        """Draw the first store of negative samples."""
        return self._set_sampler(support, store)

    def _set_sampler(self, support: np.ndarray, store: int, state: Any = None) -> NegativeSampler:
        settings = self.model.settings
        n_sample, alpha = settings.n_sample, settings.sample_alpha
        sampler = self.sampler = NegativeSampler(support, n_sample, alpha, store, self.rng, state)
        if self._log_support is not None:
            # an item without events is drawn where sample_alpha is 0 only, and there its P is 1 whatever the support
            log_support = np.log(np.maximum(support, 1), dtype=np.float64).astype(settings.dtype)
            self.split.assign(self._log_support, log_support)
        return sampler

    def continue_streams(self, other: "TrainingState") -> None:
        """Take over another training's random streams, where they are."""
        self.rng, self.masks = other.rng, other.masks

    def fingerprint(self) -> Fingerprint | None:
        """Of the data; None before the first training, and after one by an earlier release."""
        if self.events is not None:
            self._fingerprint = self.events.digests(self.model.settings)
        return self._fingerprint

    def to_arrays(self, split: bool = True) -> dict[str, np.ndarray]:
        """Everything but weights and hidden states (which are zero between epochs), as NumPy arrays by name.

        Without ``split`` those slots are left out whose rows are split over devices.
        """
        found = self._slots.items()
        arrays = {f"slot/{name}": self.split.read(v) for name, v in found if split or not self.split.is_split(v)}
        arrays["epochs_done"] = np.array(self.epochs_done, np.int64)
        arrays["diverged"] = np.array(self.diverged, np.int64)
        arrays.update(checkpoint.rng_arrays("rng", state_of(self.rng)))
        arrays.update({f"masks/{j}": stream for j, stream in enumerate(self.masks.get_state())})
        fingerprint = self.fingerprint()
        if fingerprint is not None:
            arrays["fingerprint"] = fingerprint.as_array()
        if self.sampler is not None:
            arrays["support"] = np.asarray(self.sampler.support, np.int64)
            arrays["sample_store"] = np.array(self.sampler.store, np.int64)
            state = self.sampler.get_state()
            if state is not None:
                before, used = state
                arrays.update({**checkpoint.rng_arrays("store", before), "store/used": np.array(used, np.int64)})
        return arrays

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from what :meth:`to_arrays` returned. Raises ValueError for what it cannot have returned."""
        settings, n_items = self.model.settings, self.model.n_items
        checkpoint.check_state_shapes({name: np.shape(v) for name, v in arrays.items()}, settings, n_items)
        checkpoint.check_state(arrays, settings, n_items)
        for name, variable in self._slots.items():
            self.split.assign(variable, arrays[f"slot/{name}"])
        self.epochs_done = checkpoint.integer(arrays, "epochs_done")
        self.diverged = "diverged" in arrays and bool(checkpoint.integer(arrays, "diverged"))
        self.rng.set_state(checkpoint.rng_state("rng", arrays))
        self.masks.set_state([arrays[f"masks/{j}"] for j in range(len(self.masks.sites)) if f"masks/{j}" in arrays])
        if "fingerprint" in arrays:
            self._fingerprint = Fingerprint.read(arrays["fingerprint"])
        if "support" in arrays:
            state = None
            if "store/used" in arrays:
                state = checkpoint.rng_state("store", arrays), checkpoint.integer(arrays, "store/used")
            self._restore_sampler(np.asarray(arrays["support"]), checkpoint.integer(arrays, "sample_store"), state)

    def _restore_sampler(self, support: np.ndarray, store: int, state: Any) -> None:
        """A new sampler, or where data are taken up already the one that they are read with, as it was."""
        if self.events is None or self.sampler is None:
            self._set_sampler(support, store, state)
        elif not np.array_equal(support, self.sampler.support) or store != self.sampler.store:
            raise ValueError("the state of a training on other data, or with another sample_store, is not accepted")
        elif state is not None:
            self.sampler.set_state(state)

    def _assign(self, what: str, variables: Mapping[str, keras.Variable], values: Mapping[str, Any]) -> None:
        """Assign arrays to variables by name, after checking all of them."""
        for name, value in values.items():
            if name not in variables:
                raise ValueError(f"{what}: unknown name {name!r}, {', '.join(variables) or 'none'} are accepted")
            shape = self.split.shape(variables[name])
            if np.shape(value) != shape:
                raise ValueError(f"{what}[{name!r}] has shape {np.shape(value)}: {shape} is accepted")
        for name, value in values.items():
            self.split.assign(variables[name], value)


def check_hidden(hidden: Sequence[Any], layers: Sequence[int]) -> int:
    """The number of rows M of hidden states. Raises ValueError unless they are one (M, L_k) array a layer."""
    shapes = [np.shape(H) for H in hidden]
    rows = shapes[0][0] if shapes and shapes[0] else 0
    if shapes != [(rows, units) for units in layers]:
        raise ValueError(f"hidden has shapes {shapes}: one (M, L_k) a layer, L = {list(layers)}, is accepted")
    return rows
