"""Scripts that attack the programs and print figures; the tests beside them run each in a small form."""
