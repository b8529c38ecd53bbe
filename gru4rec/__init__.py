"""GRU4Rec for those who use it: the command ``gru4rec``, and what commands and harness share.

Importing it imports none of the engines' libraries: they come with the engine that is asked for.
"""
