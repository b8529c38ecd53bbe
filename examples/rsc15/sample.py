"""Write SYNTHETIC clicks in the format of RSC15's raw file: ``gru4rec sample rsc15``."""

import sys

from gru4rec.cli import script

if __name__ == "__main__":
    sys.exit(script("sample", "rsc15"))
