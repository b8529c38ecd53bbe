"""Makes the example engine importable as ``numpy_gru4rec:GRU4Rec``, as a user's own module would be."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
