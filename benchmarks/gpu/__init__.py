"""The evidence on a GPU, in stages of at most eight minutes each: ``make gpu``, or ``python -m benchmarks.gpu``."""
