"""Which of a term's pairs touch an atom."""

import numpy as np

from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


def incident_slots(term: Term, pairs: PairSet) -> tuple[np.ndarray, np.ndarray]:
    """Per place and atom the slots (L, N, D) whose pair contains the atom, and the sign of its gradient there (0 ends
    the list)."""
    tables = [pairs.keep(place).incidence for place in term.places]
    width = max(signs.shape[1] for _, signs in tables)
    incident = np.zeros((term.n_places, pairs.n_atoms, width), np.int64)
    signs = np.zeros((term.n_places, pairs.n_atoms, width))
    for place, (slot, sign) in enumerate(tables):
        incident[place, :, : slot.shape[1]], signs[place, :, : slot.shape[1]] = slot, sign
    return incident, signs
