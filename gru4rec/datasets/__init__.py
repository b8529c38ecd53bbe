"""Data sets, one a file: from the raw file to files of sessions. Synthetic ones in the same raw formats beside them."""
