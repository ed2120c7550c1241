"""Structures that are the same but for rounding, single precision, or where and how they stand in space."""

import numpy as np

from gossamer.data.geometry import distance_blocks

ALIKE = 2.5e-4  # Angstrom, RMS over all distances: four decimals; frames 0.5 fs apart at 300 K differ by 3e-3 and more
_COARSE = 1e-3  # the same where one of both is written with three decimals
_CHANCE = 1e-3  # that any two of structures drawn at random are as near, which decides in molecules of few atoms
_LEAST_SPREAD = 0.01  # of distances in Angstrom, or of their logarithms: structures that differ less are not drawn
_FARTHEST = 5.0  # times the RMS allowed is what one distance may differ by
_PROJECTIONS = 8


def earliest_twins(positions: np.ndarray) -> np.ndarray:
    """For every structure (n,) the first one in the list that it is a twin of, itself where there is none.

    Twins have all distances in common, to `ALIKE` or, in molecules of few atoms, to what cannot be chance.  A structure
    is compared with those that are no twins themselves, so a slow trajectory does not become one chain.
    positions (n, N, 3) Angstrom, finite."""
    from scipy.spatial import cKDTree

    n, atoms = positions.shape[:2]
    first = np.arange(n)
    if n < 2 or atoms < 2:
        return first
    i, j = np.tril_indices(atoms, -1)
    directions = _directions(len(i))
    shadows = np.concatenate([distances[:, i, j] @ directions for _, distances in distance_blocks(positions)])
    chance = _by_chance(shadows, max(1, 3 * atoms - 6))
    coarse = (np.abs(positions * 1000 - np.rint(positions * 1000)) < 1e-6).all(axis=(1, 2))
    limits = np.minimum(np.where(coarse, _COARSE, ALIKE), chance)
    radius = 2 * float(limits.max())  # a shadow's length is that of the RMS difference, give or take a third
    tree = cKDTree(shadows)
    nearest = np.asarray(tree.query(shadows, k=2, distance_upper_bound=radius)[0])[:, 1]
    for row in np.flatnonzero(np.isfinite(nearest)):
        if first[row] != row:
            continue
        near = np.array(tree.query_ball_point(shadows[row], radius), dtype=np.int64)
        near = near[(near > row) & (first[near] == near)]
        gap = np.abs(_distances(positions[near], i, j) - _distances(positions[row], i, j))
        limit = np.maximum(limits[near], limits[row])
        first[near[(np.sqrt((gap**2).mean(axis=1)) < limit) & (gap.max(axis=1) < _FARTHEST * limit)]] = row
    return first


def among(asked: np.ndarray, known: np.ndarray, limit: float, freedom: int) -> np.ndarray:
    """Which rows of `asked` (Q, P) stand among `known` (M, P), to `limit` (RMS) or to what cannot be chance among
    structures of so many degrees of freedom.  (Q,) bool."""
    from scipy.spatial import cKDTree

    directions = _directions(known.shape[1])
    shadows = known @ directions
    limit = min(limit, _by_chance(shadows, freedom))
    _, nearest = cKDTree(shadows).query(asked @ directions, k=min(4, len(known)), distance_upper_bound=2 * limit)
    nearest = nearest.reshape(len(asked), -1)
    found = np.zeros(len(asked), dtype=bool)
    for column in nearest.T:
        rows = np.flatnonzero(column < len(known))
        found[rows] |= np.sqrt(((asked[rows] - known[column[rows]]) ** 2).mean(axis=1)) < limit
    return found


def _directions(size: int) -> np.ndarray:
    """(P, 8), the same every time; a vector times them is on average as long as its RMS."""
    return np.random.default_rng(0).normal(size=(size, _PROJECTIONS)) / np.sqrt(size * _PROJECTIONS)


def _by_chance(shadows: np.ndarray, freedom: int) -> float:
    """How near the nearest two of so many structures come, each being compared with each, with probability _CHANCE."""
    spread = max(_LEAST_SPREAD, float(np.sqrt(shadows.var(axis=0).sum())))
    return spread * (_CHANCE / len(shadows) ** 2) ** (1 / freedom)


def _distances(positions: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[..., i, :] - positions[..., j, :], axis=-1)
