"""The checks, one file a family.

Each family has what a reference engine is expected to give, as plain data, and a function that compares an engine with
it. So a reference can run beside the candidate, or have run before.
"""
