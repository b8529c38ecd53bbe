"""A fault that only a GPU can have: keras_port on PyTorch with its float32 products in TF32, 10 binary digits of 23."""

import os

# parity turns TF32 off for all programs by this variable, which CUDA's libraries read when they are first used.
os.environ.pop("NVIDIA_TF32_OVERRIDE", None)

import torch

import keras_port


class GRU4Rec(keras_port.GRU4Rec):
    """The engine, as it is but for the products."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        torch.set_float32_matmul_precision("high")
        torch.backends.cuda.matmul.allow_tf32 = True


evaluation = keras_port.evaluation
