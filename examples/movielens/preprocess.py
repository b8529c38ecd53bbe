"""Prepare MovieLens, the ratings of a release to files of sessions: ``gru4rec prepare movielens``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("prepare", "movielens"))
