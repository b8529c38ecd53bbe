"""``python -m gru4rec`` is the command ``gru4rec``."""

import sys

from gru4rec.cli import program

if __name__ == "__main__":
    sys.exit(program())
