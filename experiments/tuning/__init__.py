"""Search for good options on Optuna: ``gru4rec tune``."""
