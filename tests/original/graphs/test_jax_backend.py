"""JAX mode updates item tensors in place: the compiled training loop holds no copy of one."""

import re

import numpy as np
import pytest

from original.batches import Batch
from original.settings import Settings
from original.state import of_size
from original.training import Trainer

pytest.importorskip("jax")

N_ITEMS = 4999  # a size that nothing else in the graph has


@pytest.mark.parametrize(
    "options",
    [
        dict(loss="bpr-max", momentum=0.3),
        dict(loss="cross-entropy", final_act="softmax", dropout_p_hidden=0.3, momentum=0.7),
        dict(loss="cross-entropy", final_act="softmax", constrained_embedding=True, momentum=0.1, logq=1.0),
        dict(embedding=6, lmbd=0.01),
        dict(adapt="adam", adapt_params=[0.9, 0.999]),
        dict(adapt="adadelta", adapt_params=[0.9], learning_rate=1.0),
    ],
    ids=lambda options: ", ".join(f"{name}={value}" for name, value in options.items()),
)
def test_no_item_tensor_is_copied(options):
    state = of_size(Settings(layers=[8], batch_size=4, n_sample=16, backend="jax", **options), N_ITEMS)
    trainer = Trainer(state.built.trainer.network, np.ones(N_ITEMS))
    X = np.arange(4, dtype=np.int32)
    step = trainer.compiled_step()
    inputs = trainer.inputs(Batch(X, np.arange(20, dtype=np.int32), X > 2, X), trainer.masks(4))
    step([inputs])
    copies = re.findall(rf"\[{N_ITEMS}(?:,\d+)?\]\S* copy\(", step.compiled_text([inputs]))
    assert not copies
