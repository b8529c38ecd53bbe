"""Faults of the program that ``fit`` runs, which a step with gradients does not have."""

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("session reset left out of the compiled loop", "forward", "bpr-max", own=True)
def no_reset() -> Patches:
    from keras import ops

    from keras_port import step

    run_steps = step.run_steps

    def without(model, state, chunk):
        return run_steps(model, state, {**chunk, "R": ops.zeros_like(chunk["R"])})

    return [(step, "run_steps", without)]


@FAMILY.fault("update of By halved in the compiled loop", "update", "bpr-max", own=True)
def halved_biases() -> Patches:
    from keras_port import step

    run_steps = step.run_steps

    def halved(model, state, chunk):
        changed, costs = run_steps(model, state, chunk)
        return {**changed, "By": state["By"] + 0.5 * (changed["By"] - state["By"])}, costs

    return [(step, "run_steps", halved)]
