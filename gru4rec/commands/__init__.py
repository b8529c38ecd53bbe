"""The commands, one a file: a parser, and what it does."""
