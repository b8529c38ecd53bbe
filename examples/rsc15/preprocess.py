"""Prepare RSC15, its raw clicks to files of sessions: ``gru4rec prepare rsc15``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("prepare", "rsc15"))
