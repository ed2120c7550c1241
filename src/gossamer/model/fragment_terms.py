"""Terms over the atoms of fragments."""

import numpy as np

from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.pairs import pair_images
from gossamer.errors import UsageError
from gossamer.kernels import Kernel
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


def term_of(fragment: Fragment, pairs: PairSet, kernel: Kernel) -> Term:
    """The term over all pairs of the fragment's atoms.  Raises UsageError where `pairs` lacks one of them."""
    if fragment.atoms.min() < 0 or fragment.atoms.max() >= pairs.n_atoms:
        raise UsageError(f"fragment {fragment.name!r}: its atoms must lie in 0 to {pairs.n_atoms - 1}; correct them.")
    places = pairs.index(fragment.atoms[:, fragment.inner])
    if np.any(places < 0):
        place, slot = np.argwhere(places < 0)[0]
        i, j = fragment.atoms[place][fragment.inner[slot]]
        raise UsageError(f"pairs: fragment {fragment.name!r} needs pair ({i}, {j}), which is not in the list; add it.")
    return Term(
        places, np.unique(pair_images(fragment.perms), axis=0), kernel, name=fragment.name, origin=fragment.origin
    )
