"""GRU4Rec v2 (2018-06-08) on Aesara: the published program's behaviour, under the published module names.

``from original.gru4rec import GRU4Rec`` and ``from original import evaluation, baselines`` is all that an old script
has to change.

B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk: Session-based Recommendations with Recurrent Neural Networks (arXiv
1511.06939); B. Hidasi, A. Karatzoglou: Recurrent Neural Networks with Top-k Gains for Session-based Recommendations
(arXiv 1706.03847).
"""
