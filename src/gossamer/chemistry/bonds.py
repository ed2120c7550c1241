"""Bonds from covalent radii, and what they join."""

import numpy as np

from gossamer.errors import DataError

UNCONNECTED = 10**6  # bond distance of two atoms in different molecules
STRETCH = 1.3  # two atoms are bonded below this multiple of the sum of their covalent radii
COINCIDENT = 0.01  # Angstrom; closer atoms are one atom written twice, or a broken file


def radius_sums(numbers: np.ndarray) -> np.ndarray:
    """Sums (N, N) of covalent radii, Angstrom."""
    from ase.data import covalent_radii

    radii = covalent_radii[numbers]
    return radii[:, None] + radii


def bond_graph(positions: np.ndarray, numbers: np.ndarray, *, share: float = 0.5) -> np.ndarray:
    """Bonded pairs (B, 2) int64, i < j, sorted: pairs within 1.3 times the sum of their covalent radii in at least
    the fraction `share` of the structures.  One half compares the median distance; a small share also bonds a
    proton to both atoms between which it jumps.

    positions (n, N, 3) Angstrom, numbers (N,).  Raises DataError for an element without a covalent radius.
    """
    from ase.data import covalent_radii

    if len(numbers) and not 1 <= np.min(numbers) <= np.max(numbers) < len(covalent_radii):
        raise DataError(f"numbers: atomic numbers must lie in 1 ... {len(covalent_radii) - 1}; correct {numbers}.")
    reach = STRETCH * radius_sums(numbers)
    bonds = []
    for i in range(len(numbers) - 1):
        distance = np.linalg.norm(positions[:, i + 1 :] - positions[:, i : i + 1], axis=-1)
        near = np.mean(distance < reach[i, i + 1 :], axis=0) >= share
        bonds += [(i, j) for j in i + 1 + np.flatnonzero(near)]
    return np.array(bonds, dtype=np.int64).reshape(-1, 2)


def require_radii(numbers: np.ndarray, what: str) -> None:
    """Raise DataError, which names `what` and the elements, where atoms (N,) have no covalent radius."""
    from ase.data import chemical_symbols, covalent_radii, missing

    lacking = [chemical_symbols[z] for z in np.unique(numbers).tolist() if covalent_radii[z] == missing]
    if lacking:
        raise DataError(
            f"baseline: {', '.join(lacking)} has no covalent radius, so its bonds are not known; leave out {what!r}."
        )


def neighbours_of(bonds: np.ndarray, n_atoms: int) -> tuple[tuple[int, ...], ...]:
    """The bonded atoms of every atom, ascending; bonds (B, 2)."""
    near: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds.tolist():
        near[i].append(j)
        near[j].append(i)
    return tuple(tuple(sorted(atoms)) for atoms in near)


def bond_distances(bonds: np.ndarray, n_atoms: int) -> np.ndarray:
    """Number of bonds on the shortest way between two atoms, (N, N) int64; UNCONNECTED where there is none."""
    from scipy.sparse.csgraph import shortest_path

    adjacency = np.zeros((n_atoms, n_atoms))
    adjacency[bonds[:, 0], bonds[:, 1]] = 1
    steps = shortest_path(adjacency, directed=False, unweighted=True)
    return np.where(np.isinf(steps), UNCONNECTED, steps).astype(np.int64)


def molecules(bonds: np.ndarray, n_atoms: int) -> np.ndarray:
    """Molecule of every atom, (N,) int64, numbered by first appearance."""
    first = np.argmax(bond_distances(bonds, n_atoms) < UNCONNECTED, axis=1)
    return np.unique(first, return_inverse=True)[1].astype(np.int64)
