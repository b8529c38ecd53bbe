"""Write SYNTHETIC ratings in the format of MovieLens: ``gru4rec sample movielens``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("sample", "movielens"))
