"""Complete jobs on real data sets, from the raw file to a table of results."""
