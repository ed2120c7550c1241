"""Do the energies follow the forces?  Work along the path between neighbouring frames, in inverse distances.

A Cartesian straight line between two frames shortens bonds when a group turns; a straight line in x = 1/r does not.
So the forces are first turned into descriptor forces, the least-norm u with F = J^T u, and the work of a step is the
mean of u at both ends times the step in x.  It needs no alignment, and on thermal trajectories it explains 72 to 98 %
of the energy differences.
"""

from dataclasses import dataclass

import numpy as np

_SOLVE_BUDGET = 2.5e9  # frames times (3N)^3
_BLOCK = 1_500_000  # entries of the normal matrices held at once
_RIDGE = 1e-10
NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps between frames: first and second frame (E,), work done against the forces (E,) in eV, how uncertain that
    work is (E,) in eV, whether the frames are neighbours (E,) or drawn at random, and the part of the work (E,) that
    the forces of the first frame do; the rest is that of the second's."""

    first: np.ndarray
    second: np.ndarray
    work: np.ndarray
    doubt: np.ndarray
    near: np.ndarray
    first_work: np.ndarray


@dataclass(frozen=True)
class Slope:
    """Energy difference per work: `slope` is 1 when energies and forces agree in sign and unit; `explained` (at most 1)
    is the part of the energy differences that slope times work accounts for; `steps` how many were compared;
    `correlation` of the ranks of energy differences and work, near 0 when they have nothing to do with each other."""

    slope: float
    explained: float
    steps: int
    correlation: float = 0.0


def sample(n: int, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Frame numbers worth comparing within the time allowed: pairs of successive frames, spread at random."""
    size = int(min(1500, max(30, _SOLVE_BUDGET / (3 * n_atoms) ** 3)))
    if n <= size:
        return np.arange(n)
    anchors = rng.choice(n - 1, size // 2, replace=False)
    return np.unique(np.concatenate([anchors, anchors + 1]))


def steps(positions: np.ndarray, forces: np.ndarray, rng: np.random.Generator) -> Steps:
    """Steps from every frame to its nearest neighbours, and to one random frame.
    positions (n, N, 3) Angstrom, forces (n, N, 3) eV/Angstrom; n >= 2, N >= 2."""
    x, u = descriptor_forces(positions, forces)
    n = len(x)
    count = min(NEIGHBOURS, n - 1)
    nearest = _nearest(x, count)
    first = np.concatenate([np.repeat(np.arange(n), count), np.arange(n)])
    second = np.concatenate([nearest.ravel(), rng.permutation(n)])
    near = np.arange(len(first)) < n * count
    keep = first != second
    first, second, near = first[keep], second[keep], near[keep]
    work, doubt, first_work = np.empty((3, len(first)))
    for start in range(0, len(first), 1000):
        part = slice(start, start + 1000)
        dx, du = x[second[part]] - x[first[part]], u[second[part]] - u[first[part]]
        first_work[part] = -(u[first[part]] * dx).sum(axis=1) / 2
        work[part] = 2 * first_work[part] - (du * dx).sum(axis=1) / 2
        doubt[part] = np.sqrt((dx**2).sum(axis=1) * (du**2).sum(axis=1))
    return Steps(first, second, work, doubt, near, first_work)


def descriptor_forces(positions: np.ndarray, forces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x = 1/r (n, P) in 1/Angstrom and the least-norm u (n, P) in eV Angstrom with F = J^T u, pairs in lower-triangle
    order.   u = J (J^T J)^+ F   with   dx/dr_i = -(r_i - r_j) / r^3."""
    n, atoms = positions.shape[:2]
    i, j = np.tril_indices(atoms, -1)
    x, u = np.empty((n, len(i))), np.empty((n, len(i)))
    step = max(1, _BLOCK // (9 * atoms * atoms))
    for start in range(0, n, step):
        block = slice(start, start + step)
        between = positions[block][:, i] - positions[block][:, j]
        x[block] = 1 / np.linalg.norm(between, axis=2)
        gradient = -between * (x[block] ** 3)[:, :, None]
        y = np.linalg.solve(_normal_matrices(gradient, i, j, atoms), forces[block].reshape(-1, 3 * atoms, 1))
        y = y.reshape(-1, atoms, 3)
        u[block] = ((y[:, i] - y[:, j]) * gradient).sum(axis=2)
    return x, u


def _normal_matrices(gradient: np.ndarray, i: np.ndarray, j: np.ndarray, atoms: int) -> np.ndarray:
    """J^T J (n, 3N, 3N) with a small ridge for translations and rotations, which J maps to zero anyway."""
    n = len(gradient)
    outer = gradient[:, :, :, None] * gradient[:, :, None, :]
    blocks = np.zeros((n, atoms, atoms, 3, 3))
    blocks[:, i, j] = -outer
    blocks[:, j, i] = -outer
    blocks[:, np.arange(atoms), np.arange(atoms)] = -blocks.sum(axis=2)
    matrices = blocks.transpose(0, 1, 3, 2, 4).reshape(n, 3 * atoms, 3 * atoms)
    diagonal = np.arange(3 * atoms)
    matrices[:, diagonal, diagonal] += _RIDGE * matrices[:, diagonal, diagonal].mean(axis=1, keepdims=True)
    return matrices


def _nearest(x: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest frames (n, count) of every frame, by the logarithms of its distances."""
    logs = np.log(x).astype(np.float32)
    logs -= logs.mean(axis=0)
    norms = (logs**2).sum(axis=1)
    squared = norms[:, None] + norms[None, :] - 2 * logs @ logs.T
    np.fill_diagonal(squared, np.inf)
    return np.argpartition(squared, count - 1, axis=1)[:, :count]


def fit_slope(steps: Steps, energies: np.ndarray) -> Slope:
    """Least absolute deviations of energy differences against work, over neighbouring frames; energies (n,) in eV.
    Half of the steps may be wrong without moving it."""
    near = steps.near & (steps.work != 0)
    work = steps.work[near]
    change = (energies[steps.second] - energies[steps.first])[near]
    if not len(work):
        return Slope(float("nan"), 0.0, 0)
    slope = weighted_median(change / work, np.abs(work))
    scatter = np.abs(change).sum()
    explained = 1 - np.abs(change - slope * work).sum() / scatter if scatter > 0 else 0.0
    return Slope(float(slope), float(explained), len(work), _rank_correlation(work, change))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's; 0 where one of them is constant."""
    ranks = [np.argsort(np.argsort(values)) - (len(values) - 1) / 2 for values in (a, b)]
    if len(a) < 2 or not np.ptp(a) or not np.ptp(b):
        return 0.0
    return float((ranks[0] * ranks[1]).mean() / (ranks[0] ** 2).mean())


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value that splits the total weight in half."""
    order = np.argsort(values)
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, running[-1] / 2)])


def unexplained_offsets(steps: Steps, energies: np.ndarray, slope: float) -> np.ndarray:
    """Offsets (n,) in eV, one per frame, that account best for what the forces leave unexplained between frames.
    Weighted least squares of  o_second - o_first = change - slope * work  over all steps."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    change = energies[steps.second] - energies[steps.first]
    floor = 0.01 * np.median(np.abs(change[steps.near])) + 1e-12
    weights = 1 / (0.02 * abs(slope) * steps.doubt + floor)
    weights /= weights.max()
    row = np.arange(len(change))
    column = np.concatenate([steps.second, steps.first])
    entries = (np.concatenate([weights, -weights]), (np.concatenate([row, row]), column))
    system = coo_array(entries, shape=(len(change), len(energies))).tocsr()
    return lsqr(system, weights * (change - slope * steps.work), damp=1e-4, atol=1e-8, btol=1e-8, iter_lim=300)[0]


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """The best split of numbers into a lower and an upper group: which are in the upper one (n,), the distance of the
    means, and that distance over the spread inside the groups (2.6 for one Gaussian, 3.5 for a flat distribution)."""

    upper: np.ndarray
    distance: float
    separation: float


def two_groups(values: np.ndarray) -> TwoGroups:
    """Split into two groups with the least spread inside them (Otsu 1979).  values (n,), n >= 2."""
    order = np.argsort(values)
    ordered = values[order] - values.mean()
    n = len(ordered)
    size = np.arange(1, n)
    low_sum, low_square = np.cumsum(ordered)[:-1], np.cumsum(ordered**2)[:-1]
    high_sum, high_square = ordered.sum() - low_sum, (ordered**2).sum() - low_square
    inside = (low_square - low_sum**2 / size + high_square - high_sum**2 / (n - size)) / n
    cut = int(np.argmin(inside))
    distance = float(high_sum[cut] / (n - size[cut]) - low_sum[cut] / size[cut])
    upper = np.zeros(n, dtype=bool)
    upper[order[cut + 1 :]] = True
    spread = float(np.sqrt(max(inside[cut], 0.0)))
    return TwoGroups(upper, distance, distance / spread if spread > 0 else (np.inf if distance > 0 else 0.0))
