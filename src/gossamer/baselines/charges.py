"""Charges of atoms from forces.

    F = sum_ab q_a q_b G_ab + sum_k sum_n c_kn H_kn + rest

G_ab is the force of unit charges on the atoms of classes a and b, H_kn a force along the pairs of class k, one to three
bonds apart, that is the n-th power of their distance.  The c are eliminated, so that charges are not asked to stand in
for bonds, angles and torsions; the q minimise |rest|^2 / |rest without charges|^2 + RIDGE * mean q^2.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gossamer.baselines.screening import COULOMB
from gossamer.chemistry.bonds import bond_distances, bond_graph, require_radii
from gossamer.chemistry.pair_classes import APART, EVER, atom_classes, far_apart
from gossamer.chemistry.pairs import all_pairs, pair_images
from gossamer.errors import DataError

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset

FITTED_TO = 100  # structures at most
POWERS = 3  # of distances: 0, 1, 2
RIDGE = 0.03
TINY = 1e-8  # of the mean square of a column: what keeps the elimination defined
APPARENT = 1e-10  # of the largest eigenvalue: products of charges below it are not told apart
LEAST_WIDTH = 1e-3  # Angstrom, of the distances of a class


class _Columns(NamedTuple):
    """pairs (P, 2) of atoms, and the column (P,) of `size` to which the force of each belongs."""

    pairs: np.ndarray
    column: np.ndarray
    size: int

    def forces(self, structure: np.ndarray, pulls: np.ndarray) -> np.ndarray:
        """(3 N, size): the forces pulls (P,) times the vectors between the atoms of a structure (N, 3)."""
        i, j = self.pairs.T
        along = pulls[:, None] * (structure[i] - structure[j])
        found = np.zeros((len(structure), self.size, 3))
        np.add.at(found, (i, self.column), along)
        np.add.at(found, (j, self.column), -along)
        return found.transpose(0, 2, 1).reshape(-1, self.size)


def fitted_charges(data: "Dataset", perms: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    """Charges (N,) that sum to `total`, equal within classes of atoms, and the pairs (P, 2) of atoms far apart in every
    image under permutations perms (S, N).

    Raises DataError where there are none, and for elements without a covalent radius."""
    require_radii(data.numbers, "coulomb")
    bonds, every = bond_graph(data.positions, data.numbers, share=EVER), all_pairs(data.n_atoms)
    far = far_apart(bonds, data.n_atoms, pair_images(perms))
    if not far.any():
        raise DataError(
            "baseline: 'coulomb' acts between atoms three or more bonds apart, and there are none; leave it out."
        )
    classes = atom_classes(bonds, data.numbers, perms)
    apart = bond_distances(bonds, data.n_atoms)[tuple(every.T)]
    kinds = np.column_stack([np.sort(classes[every], axis=1), apart])[apart <= APART]
    said, kind = np.unique(kinds, axis=0, return_inverse=True)
    near = _Columns(every[apart <= APART], kind.reshape(-1), len(said))
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), FITTED_TO)).round().astype(int))
    normal = _normal(data.positions[rows], data.labelled_forces()[rows], _products(every[far], classes), near)
    q = _solved(normal, np.bincount(classes), total)
    if q @ np.bincount(classes, data.numbers - data.numbers.mean()) > 0 and total == 0:
        q = -q  # which forces do not tell: let the heavier atoms be negative
    return q[classes], every[far]


def _products(pairs: np.ndarray, classes: np.ndarray) -> _Columns:
    """A column for every two classes a <= b, in the order of `np.triu_indices`."""
    K = int(classes.max()) + 1
    low, high = np.sort(classes[pairs], axis=1).T
    return _Columns(pairs, low * (2 * K - low - 1) // 2 + high, K * (K + 1) // 2)


def _normal(positions: np.ndarray, forces: np.ndarray, far: _Columns, near: _Columns) -> np.ndarray:
    """Products (T + 1, T + 1) of the T columns of G, and of forces (M, N, 3) as the last, where those of H have been
    eliminated, as shares of what is left of the forces.  positions (M, N, 3)."""
    from gossamer.baselines import _coulomb

    i, j = near.pairs.T
    distances = np.linalg.norm(positions[:, i] - positions[:, j], axis=-1)
    count = np.bincount(near.column, minlength=near.size)
    mean = (np.bincount(near.column, distances.mean(0), near.size) / count)[near.column]
    square = np.bincount(near.column, ((distances - mean) ** 2).mean(0), near.size) / count
    width = np.maximum(np.sqrt(square), LEAST_WIDTH)[near.column]
    T = far.size + 1
    products = np.zeros((T + POWERS * near.size,) * 2)
    for structure, force, r in zip(positions, forces, distances, strict=True):
        charged = far.forces(structure, COULOMB * _coulomb.pulls(structure, far.pairs))
        powers = [near.forces(structure, ((r - mean) / width) ** n / r) for n in range(POWERS)]
        columns = np.column_stack([charged, force.ravel(), *powers])
        products += columns.T @ columns
    inner = products[T:, T:]
    ridge = TINY * np.trace(inner) / max(len(inner), 1)
    left = products[:T, :T] - products[:T, T:] @ np.linalg.solve(inner + ridge * np.eye(len(inner)), products[T:, :T])
    return left / max(left[-1, -1], np.finfo(float).tiny)


def _solved(normal: np.ndarray, counts: np.ndarray, total: float) -> np.ndarray:
    """The charge of every class (K,) of counts (K,) atoms; normal: see `_normal`.

    Least squares in the charges, from the largest eigenvector of the best matrix of products, of whatever rank."""
    from scipy.linalg import null_space
    from scipy.optimize import least_squares

    matrix, vector = normal[:-1, :-1], normal[:-1, -1]
    K, (low, high) = len(counts), np.triu_indices(len(counts))
    values, vectors = np.linalg.eigh(matrix)
    kept = values > APPARENT * values[-1]
    root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    wanted = vectors[:, kept].T @ vector / np.sqrt(values[kept])
    weight = np.sqrt(RIDGE * counts / counts.sum())
    free, offset = null_space(counts[None].astype(float)), np.full(K, total / counts.sum())
    if not free.size:  # atoms of one class
        return offset

    def residual(u: np.ndarray) -> np.ndarray:
        q = offset + free @ u
        return np.concatenate([root @ (q[low] * q[high]) - wanted, weight * q])

    def jacobian(u: np.ndarray) -> np.ndarray:
        q, column = offset + free @ u, np.arange(len(low))
        slope = np.zeros((len(low), K))
        np.add.at(slope, (column, low), q[high])
        np.add.at(slope, (column, high), q[low])
        return np.concatenate([root @ slope, np.diag(weight)]) @ free

    best = np.linalg.solve(matrix + RIDGE * np.eye(len(low)), vector)
    products = np.zeros((K, K))
    products[low, high] = products[high, low] = best
    largest, along = (part[..., -1] for part in np.linalg.eigh(products))
    start = free.T @ (np.sqrt(max(largest, 0.0)) * along - offset)
    q: np.ndarray = offset + free @ least_squares(residual, start, jacobian).x
    return q
