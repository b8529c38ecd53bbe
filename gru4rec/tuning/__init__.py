"""The search for good options: space, objective, study, plots."""
