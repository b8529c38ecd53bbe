"""Sessions and hidden states."""

from dataclasses import replace

import numpy as np

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("hidden state not reset at a session's end while training", "forward", "bpr-max")
def not_reset() -> Patches:
    from keras import ops

    from keras_port import step

    training_step = step.training_step

    def without_ends(model, state, batch):
        return training_step(model, state, {**batch, "R": ops.zeros_like(batch["R"])})

    return [(step, "training_step", without_ends)]


@FAMILY.fault("reset mask only recomputed when some session ends", "batches", "bpr-max")
def stale_mask() -> Patches:
    from keras_port.batches import SessionParallel

    batches = SessionParallel.batches

    def stale(self):
        R = None
        for batch in batches(self):
            R = batch.R if R is None or batch.R.any() or len(R) != len(batch.R) else R
            yield batch._replace(R=R)

    return [(SessionParallel, "batches", stale)]


@FAMILY.fault("state not reset in evaluation", "ranks", "bpr-max")
def carried_over_in_evaluation() -> Patches:
    from keras_port import evaluation

    hidden_states = evaluation.hidden_states

    def carried_over(model, events, batch_size):
        # two sessions after one another read as one
        joined = np.unique(np.r_[events.offsets[::2], events.offsets[-1]])
        H, predicted = hidden_states(model, replace(events, offsets=joined), batch_size)
        kept = ~np.isin(predicted, events.offsets)
        return H[kept], predicted[kept]

    return [(evaluation, "hidden_states", carried_over)]


@FAMILY.fault("epoch ends when the remaining sessions no longer fill the batch", "batches", "bpr-max")
def cut_epoch() -> Patches:
    from keras_port import batches

    class Cut(batches.Schedule):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            full = (np.asarray(self) >= 0).all(axis=1)  # the steps of all lanes come first
            self.shape = int(full.sum()), self.shape[1]

    return [(batches, "schedule", Cut)]
