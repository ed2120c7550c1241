"""Distances, bonds and molecular graphs of many frames, for the checks of a data set."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gossamer.chemistry.bonds import STRETCH, radius_sums
from gossamer.units import LENGTH

BROKEN = 1.6  # a bond is broken beyond this many of its usual lengths
COVALENT = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53)  # elements that are no metals
NOBLE = (2, 10, 18, 36, 54, 86)
_PLAUSIBLE = (0.75, 1.4)  # nearest neighbours of bonded atoms, in sums of covalent radii
_HYDROGEN = 1.2  # of its sums of covalent radii is the bond of the hydrogen molecule
_BLOCK = 4_000_000  # distances held at once


def distance_blocks(positions: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of frames and their distances (frames, N, N) in Angstrom; infinite on the diagonal."""
    n, atoms = positions.shape[:2]
    step = max(1, _BLOCK // max(1, atoms * atoms))
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        centred = positions[block] - positions[block].mean(axis=1, keepdims=True)
        norms = (centred**2).sum(axis=2)
        squared = norms[:, :, None] + norms[:, None, :] - 2 * centred @ centred.transpose(0, 2, 1)
        distances = np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
        distances[:, np.arange(atoms), np.arange(atoms)] = np.inf
        yield block, distances


def nearest_ratio(numbers: np.ndarray, positions: np.ndarray) -> float:
    """Median distance to the nearest atom, in sums of covalent radii: near 1 where atoms are bonded and lengths are in
    Angstrom; NaN where that says nothing (a single atom, noble gases)."""
    usable = ~np.isin(numbers, NOBLE)
    if len(numbers) < 2 or not usable.any():
        return float("nan")
    sums = radius_sums(numbers) * (_HYDROGEN if (numbers == 1).all() else 1.0)
    nearest = [(distances / sums).min(axis=2)[:, usable] for _, distances in distance_blocks(positions)]
    return float(np.median(np.concatenate(nearest)))


def likely_length_unit(ratio: float, declared: str) -> str | None:
    """The unit that lengths taken for `declared` really have, judged by `nearest_ratio`; None: they may be right."""
    if not np.isfinite(ratio) or ratio <= 0 or _PLAUSIBLE[0] <= ratio <= _PLAUSIBLE[1]:
        return None
    misfit = {unit: abs(np.log(ratio * size / LENGTH[declared])) for unit, size in LENGTH.items() if unit != declared}
    unit = min(misfit, key=lambda name: misfit[name])
    return unit if misfit[unit] < np.log(_PLAUSIBLE[1]) else None


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The molecular graph that most frames have.  bonds (B, 2) atom indices; lengths (B,) usual, in Angstrom."""

    numbers: np.ndarray
    bonds: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray, positions: np.ndarray, at_most: int = 500) -> "Skeleton":
        """The commonest graph among up to `at_most` frames spread over the data."""
        sample = positions[np.unique(np.linspace(0, len(positions) - 1, at_most).astype(int))]
        limit = STRETCH * radius_sums(numbers)
        patterns = [np.packbits(frame) for _, d in distance_blocks(sample) for frame in (d < limit)]
        keys = [pattern.tobytes() for pattern in patterns]
        commonest, _ = Counter(keys).most_common(1)[0]
        like_it = np.array([key == commonest for key in keys])
        size = len(numbers)
        adjacency = np.unpackbits(np.frombuffer(commonest, np.uint8), count=size * size).reshape(size, size)
        bonds = np.argwhere(np.tril(adjacency, -1))
        return cls(numbers, bonds, np.median(bond_lengths(sample[like_it], bonds), axis=0))

    @cached_property
    def fragments(self) -> int:
        """How many molecules the graph falls into."""
        adjacency = np.zeros((len(self.numbers), len(self.numbers)), dtype=bool)
        adjacency[self.bonds[:, 0], self.bonds[:, 1]] = True
        return count_fragments(adjacency)

    def stretch(self, positions: np.ndarray) -> np.ndarray:
        """Bond lengths (n, B) in units of the usual ones."""
        return bond_lengths(positions, self.bonds) / self.lengths


def bond_lengths(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Lengths (n, B) in Angstrom."""
    return np.linalg.norm(positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]], axis=2)


def count_fragments(adjacency: np.ndarray) -> int:
    """Connected parts of a graph given by its (N, N) adjacency."""
    from scipy.sparse.csgraph import connected_components

    count, _ = connected_components(adjacency, directed=False)
    return int(count)


def graph_hash(numbers: np.ndarray, adjacency: np.ndarray) -> int:
    """A hash of the graph with its elements that does not depend on the order of the atoms (Weisfeiler and Lehman)."""
    neighbours = [np.flatnonzero(row) for row in adjacency]
    colours = [int(number) for number in numbers]
    for _ in range(6):
        colours = [hash((colours[i], tuple(sorted(colours[j] for j in near)))) for i, near in enumerate(neighbours)]
    return hash(tuple(sorted(colours)))
