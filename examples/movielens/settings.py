"""Settings of GRU4Rec for MovieLens. They are this project's choice: none was published for these sets."""

from typing import Any

# 100k has 1,682 movies and 20M 27,278, where RSC15 has 37,483 items: 2,048 samples would hold most of the small ones.
_COMMON = dict(
    hidden_act="tanh",
    layers=[100],
    adapt="adagrad",
    batch_size=32,
    n_sample=512,
    sample_alpha=0.5,
    dropout_p_hidden=0.3,
    learning_rate=0.05,
    momentum=0.3,
    n_epochs=10,
)

CONFIGS: dict[str, dict[str, Any]] = {
    "cross-entropy": _COMMON | dict(loss="cross-entropy", final_act="softmax"),
    "bpr-max": _COMMON | dict(loss="bpr-max", final_act="elu-0.5", bpreg=1.0),
}
