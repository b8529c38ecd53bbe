"""Train and evaluate GRU4Rec on RSC15: the command ``gru4rec rsc15``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("rsc15"))
