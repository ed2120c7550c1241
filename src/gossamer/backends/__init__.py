"""Code that does the heavy sums: compiled loops for the CPU, array operations for any device."""
