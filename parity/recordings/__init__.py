"""Recorded runs of GRU4Rec: the format, its reader and writer, and the runs of the authors' program that are shipped.

FORMAT.md describes the file for programs in any language; :class:`~parity.recordings.recording.Recording` is what the
rest of the harness reads it through.
"""
