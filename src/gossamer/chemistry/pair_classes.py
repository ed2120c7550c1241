"""Which pairs of atoms are alike: the same elements in the same surroundings, as many bonds apart."""

from typing import NamedTuple

import numpy as np

from gossamer.chemistry.bonds import bond_distances, bond_graph, neighbours_of
from gossamer.chemistry.pairs import all_pairs, pair_images

APART = 3  # bonds at least between the two atoms of a pair that is far apart
FAR = 6  # bonds, from which on their number no longer tells pairs apart; atoms that none join are as far
EVER = 0.02  # of the structures in which two atoms are bonded for them to count as bonded: protons jump


class PairClasses(NamedTuple):
    """pairs (P, 2), first index above second; classes (P,): the number of each pair's class; names: of the classes."""

    pairs: np.ndarray
    classes: np.ndarray
    names: tuple[str, ...]


def pair_classes(positions: np.ndarray, numbers: np.ndarray, perms: np.ndarray) -> PairClasses:
    """The pairs of atoms APART or more bonds apart in every image under atom permutations perms (S, N), by class.

    A class is the element, the number of bonded neighbours and their elements, of both atoms, in any order, and the
    number of bonds between them, FAR at most; classes that a permutation takes into each other are one.  positions
    (n, N, 3) Angstrom.  Raises DataError for an element without a covalent radius."""
    bonds = bond_graph(positions, numbers, share=EVER)
    pairs, looks = all_pairs(len(numbers)), _looks(bonds, numbers)
    apart = np.minimum(bond_distances(bonds, len(numbers)), FAR)[tuple(pairs.T)]
    images = pair_images(perms)
    free = np.flatnonzero(far_apart(bonds, len(numbers), images))
    said = [
        (*sorted((looks[i], looks[j])), int(apart[p])) for p, (i, j) in zip(free, pairs[free].tolist(), strict=True)
    ]
    kinds = sorted(set(said))
    number = np.full(len(pairs), -1)
    number[free] = [kinds.index(kind) for kind in said]
    merged = _merged(number[free], number[images[:, free]], len(kinds))
    first, classes = np.unique(merged[number[free]], return_inverse=True)
    return PairClasses(pairs[free], classes, tuple("{}...{}, {} bonds".format(*kinds[k]) for k in first))


def atom_classes(bonds: np.ndarray, numbers: np.ndarray, perms: np.ndarray) -> np.ndarray:
    """The number (N,) of each atom's class: its element, and those bonded to it by bonds (B, 2); classes that atom
    permutations perms (S, N) take into each other are one."""
    looks, number = np.unique(_looks(bonds, numbers), return_inverse=True)
    return np.unique(_merged(number, number[perms], len(looks))[number], return_inverse=True)[1]


def far_apart(bonds: np.ndarray, n_atoms: int, images: np.ndarray | None = None) -> np.ndarray:
    """Which of all pairs are of atoms APART or more bonds (B, 2) apart, a mask (P,); of pairs with images (S, P), in
    every one of them."""
    apart = bond_distances(bonds, n_atoms)[tuple(all_pairs(n_atoms).T)] >= APART
    return apart if images is None else apart[images].all(axis=0)


def _looks(bonds: np.ndarray, numbers: np.ndarray) -> list[str]:
    """Every atom's element and those of its neighbours, such as "C(CHHH)"."""
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[z] for z in numbers]
    near = neighbours_of(bonds, len(numbers))
    return [f"{own}({''.join(sorted(symbols[b] for b in n))})" for own, n in zip(symbols, near, strict=True)]


def _merged(classes: np.ndarray, images: np.ndarray, n: int) -> np.ndarray:
    """The least of those of n classes that permutations take each into, (n,); classes (P,) of pairs
    or atoms, images (S, P) of their images."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start = np.broadcast_to(classes, images.shape)
    joined = coo_array((np.ones(images.size), (start.ravel(), images.ravel())), shape=(n, n))
    part = connected_components(joined, directed=False)[1]
    least = np.full(n, n)
    np.minimum.at(least, part, np.arange(n))
    return least[part]
