"""Compare training with and without dwell time: the command ``gru4rec dwelltime``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("dwelltime"))
