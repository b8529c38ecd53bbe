"""Reference convergence points: full runs of ``original``, stored, and the test whether other runs are equivalent.

Training GRU4Rec is chaotic in some settings: a rounding apart, two runs of one program end as two draws of the same
training. What a candidate's full runs can then be asked is whether they are draws from the reference's distribution,
which takes many runs of both, a margin that is stated beforehand, and a test that can fail.
"""
