"""What model files of older versions become."""

from dataclasses import replace

import numpy as np

from gossamer.chemistry.origin import WHOLE, Origin
from gossamer.chemistry.pairs import all_pairs
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet, as_pairs
from gossamer.model.terms import Term
from gossamer.records.upgrade import origin_in_name


def from_1(model: ForceField) -> ForceField:
    """Version 1 told by the names of its terms what they were made from."""
    pairs = as_pairs(model.pairs, "version 1")
    return replace(model, terms=tuple(replace(t, origin=_origin(t, pairs)) for t in model.terms))


def _origin(term: Term, pairs: PairSet) -> Origin:
    atoms = _atoms(term, pairs)
    found = origin_in_name(term.name, [] if atoms is None else atoms.tolist())
    if found.kind == "global":
        return WHOLE
    if atoms is None:
        return Origin()
    if found.heads > 1 and found.kind != "contact":  # pairs do not tell which of two atoms is the centre
        if len(atoms) > 1:
            return Origin(found.kind, found.reach)
        atoms = np.sort(atoms) if term.name.startswith(f"{atoms.min()} ") else -np.sort(-atoms)
    return Origin.of(found.kind, found.reach, atoms)


def _atoms(term: Term, pairs: PairSet) -> np.ndarray | None:
    """The atoms (L, n) of a term over all pairs of a fragment; None for another term.

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
