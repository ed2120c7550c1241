"""Places of fragments that the molecule's symmetry takes to each other, so that a sum of terms keeps the permutations
that it claims.

A permutation g of the atoms takes the place (a, b, ...) to (g[a], g[b], ...).  A term keeps g where the image of every
place is a place again, up to the exchanges that leave the term's function unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Orbits:
    """Places of one kind of fragment under a group of permutations of the molecule.

    atoms (L, n): one place a row; numbers (L,): which of them the group takes to each other; turns (T, n): exchanges of
    the columns by which the group takes some place to itself or, in other order, to another."""

    atoms: np.ndarray
    numbers: np.ndarray
    turns: np.ndarray

    @classmethod
    def of(cls, atoms: np.ndarray, perms: np.ndarray) -> "Orbits":
        """Places atoms (L, n), of which no two have the same atoms, under perms (S, N); the images of all are there."""
        index = _index(atoms)
        numbers = np.arange(len(atoms))
        turns = {tuple(range(atoms.shape[1]))}
        for k, place in enumerate(atoms):
            for image in np.unique(perms[:, place], axis=0):
                at = index[frozenset(image.tolist())]
                numbers[numbers == numbers[at]] = numbers[k]
                turns.add(_columns(atoms[at], image))
        return cls(atoms, np.unique(numbers, return_inverse=True)[1], np.array(sorted(turns)))

    def aligned(self, perms: np.ndarray) -> "Orbits":
        """The same places, each written as an image of the first of its orbit, so that no turn is needed but those that
        take a place to itself."""
        atoms, index = self.atoms.copy(), _index(self.atoms)
        for number in range(self.numbers.max() + 1):
            members = np.flatnonzero(self.numbers == number)
            for image in perms[::-1, atoms[members[0]]]:  # the identity, row 0, comes last
                atoms[index[frozenset(image.tolist())]] = image
        return Orbits.of(atoms, perms)

    def parts(self, perms: np.ndarray) -> "list[Orbits]":
        """Every orbit by itself."""
        return [Orbits.of(self.atoms[self.numbers == n], perms) for n in range(self.numbers.max() + 1)]


def with_images(kinds: Sequence[np.ndarray], perms: np.ndarray) -> list[np.ndarray]:
    """Kinds of places (L, n), completed by the images of all of them under a group perms (S, N); kinds of which one has
    an image in another become one, in the first's order of atoms.  Places added stand last in their kind."""
    rows = [row for places in kinds for row in places]
    kind = [k for k, places in enumerate(kinds) for _ in places]
    index = {frozenset(row.tolist()): at for at, row in enumerate(rows)}
    for at, row in enumerate(rows):  # grows while it is read
        for image in np.unique(perms[:, np.sort(row)], axis=0):
            key = frozenset(image.tolist())
            if key in index and kind[index[key]] == kind[at]:
                continue
            image = image[np.argsort(np.argsort(rows[at]))]  # `rows[at]` may have been put in another order
            if key not in index:
                index[key] = len(rows)
                rows.append(image)
                kind.append(kind[at])
            else:
                _join(rows, kind, at, index[key], image)
    return [np.array([r for r, own in zip(rows, kind, strict=True) if own == k]) for k in sorted(set(kind))]


def _join(rows: list[np.ndarray], kind: list[int], at: int, other: int, image: np.ndarray) -> None:
    """Make the kinds of rows `at` and `other` one, where `image` of the former has the atoms of the latter."""
    first, second = sorted((kind[at], kind[other]))
    turn = np.array(_columns(rows[other], image))
    if kind[at] == second:  # the first kind keeps its order
        turn = np.argsort(turn)
    for k, own in enumerate(kind):
        if own == second:
            rows[k], kind[k] = rows[k][turn], first


def _index(atoms: np.ndarray) -> dict[frozenset[int], int]:
    return {frozenset(row): at for at, row in enumerate(atoms.tolist())}


def _columns(place: np.ndarray, image: np.ndarray) -> tuple[int, ...]:
    """The columns c with place[c] = image, for rows of the same atoms."""
    at = {a: k for k, a in enumerate(place.tolist())}
    return tuple(at[a] for a in image.tolist())
