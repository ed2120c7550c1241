"""Vectors between atoms, in array operations; `loops.displacement` is the same for compiled loops.

Positions are subtracted here and nowhere else where features of a molecule or its baselines are worked out: a periodic
cell would enter at these two places."""


def displacements(positions, of, origin):
    """Vectors (Q, ..., 3) from atoms `origin` to atoms `of`, index arrays (...) that broadcast, of positions (Q, N, 3),
    an array or a tensor."""
    return positions[:, of] - positions[:, origin]
