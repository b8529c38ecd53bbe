"""MovieLens as sessions: synthetic sample, preparation of any release's ratings, training and evaluation."""
