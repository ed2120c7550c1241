"""Structures that are the same but for rounding, single precision, or where and how they stand in space."""

import numpy as np

from gossamer.data.geometry import distance_blocks

ALIKE = 1e-3  # Angstrom, RMS over all distances; frames of a trajectory, 0.5 fs apart at 300 K, differ by 3e-3 and more
_FARTHEST = 5 * ALIKE  # and no distance by more
_PROJECTIONS = 8


def earliest_twins(positions: np.ndarray) -> np.ndarray:
    """For every structure (n,) the first one in the list that it is a twin of, itself where there is none.

    Twins have all distances in common, to `ALIKE`.  A structure is compared with those that are no twins themselves,
    so a slow trajectory does not become one chain.  positions (n, N, 3) Angstrom, finite."""
    from scipy.spatial import cKDTree

    n, atoms = positions.shape[:2]
    first = np.arange(n)
    if n < 2 or atoms < 2:
        return first
    i, j = np.tril_indices(atoms, -1)
    directions = np.random.default_rng(0).normal(size=(len(i), _PROJECTIONS)) / np.sqrt(len(i) * _PROJECTIONS)
    shadows = np.concatenate([distances[:, i, j] @ directions for _, distances in distance_blocks(positions)])
    radius = 2 * ALIKE  # a shadow's length is that of the RMS difference, give or take a third
    tree = cKDTree(shadows)
    nearest = tree.query(shadows, k=2, distance_upper_bound=radius)[0][:, 1]
    for row in np.flatnonzero(np.isfinite(nearest)):
        if first[row] != row:
            continue
        near = np.array(tree.query_ball_point(shadows[row], radius), dtype=np.int64)
        near = near[(near > row) & (first[near] == near)]
        gap = np.abs(_distances(positions[near], i, j) - _distances(positions[row], i, j))
        first[near[(np.sqrt((gap**2).mean(axis=1)) < ALIKE) & (gap.max(axis=1) < _FARTHEST)]] = row
    return first


def _distances(positions: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[..., i, :] - positions[..., j, :], axis=-1)
