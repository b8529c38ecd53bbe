"""Complete jobs on a data set: settings by engines, trained and evaluated, to a table, a figure and a file."""
