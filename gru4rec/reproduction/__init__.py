"""A published result from raw files to one report: prepared, checked, trained from several seeds, measured."""
