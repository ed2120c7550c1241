"""Data sets: what they hold, reading and writing them, and whether their labels can be right."""
