"""The parity harness: shows that two GRU4Rec engines compute the same thing, and that it would notice if not."""
