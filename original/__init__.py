"""GRU4Rec v2 (2018-06-08) on Aesara: the published program's behaviour, under the published module names.

``from original.gru4rec import GRU4Rec`` and ``from original import evaluation, baselines`` is all that an old script
has to change.
"""
