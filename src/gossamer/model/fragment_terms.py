"""Terms over the atoms of fragments, and the way back from a term to its atoms."""

import numpy as np

from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.pairs import all_pairs, pair_images
from gossamer.errors import UsageError
from gossamer.kernels import Kernel
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


def term_of(fragment: Fragment, pairs: PairSet, kernel: Kernel, **kwargs) -> Term:
    """The term over all pairs of the fragment's atoms.  Raises UsageError where `pairs` lacks one of them."""
    if fragment.atoms.min() < 0 or fragment.atoms.max() >= pairs.n_atoms:
        raise UsageError(f"fragment {fragment.name!r}: its atoms must lie in 0 to {pairs.n_atoms - 1}; correct them.")
    places = pairs.index(fragment.atoms[:, fragment.inner])
    if np.any(places < 0):
        place, slot = np.argwhere(places < 0)[0]
        i, j = fragment.atoms[place][fragment.inner[slot]]
        raise UsageError(f"pairs: fragment {fragment.name!r} needs pair ({i}, {j}), which is not in the list; add it.")
    return Term(places, np.unique(pair_images(fragment.perms), axis=0), kernel, name=fragment.name, **kwargs)


def fragment_atoms(term: Term, pairs: PairSet) -> np.ndarray | None:
    """The atoms (L, n) of a term that `Fragment.term` made; None for another term.

    In the order of the fragment, which pairs tell from three atoms on; two stand as in their pair."""
    n = round((1 + (1 + 8 * term.n_pairs) ** 0.5) / 2)
    inner = all_pairs(n)
    ends = pairs.pairs[term.places]
    if len(inner) != term.n_pairs:
        return None
    if n == 2:
        return ends[:, 0]
    common = [set(place[0].tolist()) & set(place[1].tolist()) for place in ends]
    if any(len(shared) != 1 for shared in common):
        return None
    first = np.array([shared.pop() for shared in common])
    spokes = ends[:, np.flatnonzero(inner[:, 1] == 0)]  # the pairs (first, k), k = 1, 2, ...
    atoms = np.column_stack([first, np.where(spokes[..., 0] == first[:, None], spokes[..., 1], spokes[..., 0])])
    if any(len(set(row)) < n for row in atoms.tolist()) or np.any(pairs.index(atoms[:, inner]) != term.places):
        return None
    return atoms
