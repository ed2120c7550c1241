"""Motions of a molecule as a whole, which its energy does not see."""

import numpy as np

LINEAR = 1e-3  # a turn that moves the atoms this many times less than the largest motion is none


def rigid_motions(positions: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Shifts and turns of a structure positions (N, 3), Angstrom, as orthonormal columns (3N, r) in the coordinates
    sqrt(mass) * displacement; masses (N,).  r is 6, or 5 for atoms in a line."""
    from_centre = positions - masses @ positions / masses.sum()
    shifts = np.broadcast_to(np.eye(3)[:, None], (3, *positions.shape))
    turns = np.array([np.cross(axis, from_centre) for axis in np.eye(3)])
    weighted = np.concatenate([shifts, turns]) * np.sqrt(masses)[:, None]
    columns, sizes, _ = np.linalg.svd(weighted.reshape(6, -1).T, full_matrices=False)
    return columns[:, sizes > LINEAR * sizes[0]]
