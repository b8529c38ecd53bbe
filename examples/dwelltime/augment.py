"""Repeat the events of a training file by their dwell time: the command ``gru4rec augment``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("augment"))
