"""Train and evaluate GRU4Rec on MovieLens: the command ``gru4rec movielens``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("movielens"))
