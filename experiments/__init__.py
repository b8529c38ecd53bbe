"""Experiments with GRU4Rec without writing code: the command ``gru4rec``, also ``python -m experiments``."""
