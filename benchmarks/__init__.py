"""What the engines take: time and memory, beside plain programs of the same formulas."""
