"""The published settings of GRU4Rec on RSC15, and the results published with them."""

from examples.data import Published
from parity.settings import RSC15 as CONFIGS

__all__ = ["CONFIGS", "PUBLISHED"]

# Hidasi and Karatzoglou, arXiv 1706.03847: the figures given with the released program, on the full data. For the
# first paper's setting, top1, nothing was published on these files.
PUBLISHED = {
    "bpr-max": Published(0.7197, 0.3157, n_epochs=10),
    "bpr-max-constrained": Published(0.7261, 0.3124, n_epochs=10),
    "cross-entropy": Published(0.7180, 0.3087, n_epochs=10),
}
