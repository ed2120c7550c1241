"""Molecules that their periodic box has cut are put together again, along their bonds."""

import numpy as np

from gossamer.chemistry.bonds import STRETCH, radius_sums

_LARGEST = 1e6  # Angstrom; no box of a molecule is larger


def whole(
    numbers: np.ndarray, positions: np.ndarray, cells: np.ndarray, periodic: np.ndarray
) -> tuple[np.ndarray, str]:
    """Positions (n, N, 3) with every molecule in one piece and further molecules in the image nearest to the first, and
    a few words on what was done, "" where there is no box.  Structures whose bonds go round the box, such as crystals,
    stay as they are.

    positions (n, N, 3) and cells (n, 3, 3), one vector a row, in Angstrom; periodic (n, 3): which of them repeat.
    Frames that need no change keep their positions to the last bit."""
    n = len(positions)
    sane = (np.abs(cells) < _LARGEST).all(axis=(1, 2))
    cells, periodic = np.where(sane[:, None, None], cells, 0.0), periodic & sane[:, None]
    with_box = periodic.any(axis=1) & _usable(cells, periodic)
    if not with_box.any():
        return positions, ""
    kind = f"ignored in {with_box.sum()} of {n} frames: gossamer treats molecules, not crystals"
    rows = np.flatnonzero(with_box)
    cell, repeats = cells[rows], periodic[rows]
    parents, parts = _tree(numbers, positions[rows[0]], cell[0], repeats[0])
    joined = positions[rows].copy()
    for atom, parent in parents:
        joined[:, atom] -= _images(joined[:, atom] - joined[:, parent], cell, repeats)
    if _goes_round(numbers, joined[0], cell[0], repeats[0]):
        return positions, f"{kind}, and here bonds go round the box"
    centre = joined[:, parts[0]].mean(axis=1)
    for part in parts[1:]:
        joined[:, part] -= _images(joined[:, part].mean(axis=1) - centre, cell, repeats)[:, None]
    changed = (joined != positions[rows]).any(axis=(1, 2))
    if not changed.any():
        return positions, kind
    found = positions.copy()
    found[rows] = joined
    return found, f"molecules made whole in {changed.sum()} of {n} frames, otherwise ignored"


def _usable(cells: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Boxes (n,) whose repeating vectors are independent and longer than a bond."""
    full = _completed(cells, periodic)
    volume = np.abs(np.linalg.det(full))
    faces = np.linalg.norm(np.cross(full[:, [1, 2, 0]], full[:, [2, 0, 1]]), axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):  # flat boxes
        heights = volume[:, None] / faces
    return np.all(np.where(periodic, heights, np.inf) > 1.0, axis=1)


def _completed(cells: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Cells (n, 3, 3) in which a vector that does not repeat is long and at right angles to the others."""
    full = np.where(periodic[:, :, None], cells, 0.0)
    for frame, repeats in zip(full, periodic, strict=True):
        if not repeats.all():
            _, _, axes = np.linalg.svd(frame)
            frame[~repeats] = 1e6 * axes[len(axes) - (~repeats).sum() :]
    return full


def _images(between: np.ndarray, cells: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """The lattice vectors (n, 3) to take off differences (n, 3) so that they become shortest; exactly zero where they
    are already."""
    full = _completed(cells, periodic)
    fractions = np.linalg.solve(full.transpose(0, 2, 1), between[:, :, None])[:, :, 0]
    steps = np.where(periodic, np.round(fractions), 0.0)
    return (steps[:, :, None] * np.where(periodic[:, :, None], cells, 0.0)).sum(axis=1)


def _shortest(positions: np.ndarray, cell: np.ndarray, periodic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (N, N) to the nearest images, and whether these are others than the atoms themselves, of one frame."""
    n = len(positions)
    between = (positions[:, None] - positions[None]).reshape(-1, 3)
    cells, repeats = np.broadcast_to(cell, (1, 3, 3)), np.broadcast_to(periodic, (1, 3))
    full = _completed(cells.copy(), repeats)[0]
    steps = np.where(periodic, np.round(np.linalg.solve(full.T, between.T).T), 0.0)
    distances = np.linalg.norm(between - steps @ np.where(periodic[:, None], cell, 0.0), axis=1)
    return distances.reshape(n, n), steps.any(axis=1).reshape(n, n)


def _tree(
    numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, periodic: np.ndarray
) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """(atom, parent) in the order in which atoms are to be joined, and the atoms of every molecule, of one frame."""
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    distances, _ = _shortest(positions, cell, periodic)
    bonded = distances < STRETCH * radius_sums(numbers)
    count, labels = connected_components(bonded, directed=False)
    parents: list[tuple[int, int]] = []
    parts = [np.flatnonzero(labels == part) for part in range(count)]
    for part in parts:
        order, before = breadth_first_order(bonded, part[0], directed=False)
        parents += [(int(atom), int(before[atom])) for atom in order[1:]]
    return parents, parts


def _goes_round(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, periodic: np.ndarray) -> bool:
    """Whether bonds still cross the box after the molecules have been put together."""
    from scipy.sparse.csgraph import connected_components

    distances, shifted = _shortest(positions, cell, periodic)
    near = distances < STRETCH * radius_sums(numbers)
    _, labels = connected_components(near & ~shifted, directed=False)
    return bool((near & shifted & (labels[:, None] == labels[None])).any())
