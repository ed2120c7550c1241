"""What baselines know of charges: Coulomb's constant, how electrons screen nuclei (Ziegler, Biersack and Littmark 1985:
parts of phi, and their rates), and how wide fixed charges are smeared; and which permutations keep pairs."""

import numpy as np

COULOMB = 14.399645  # eV Angstrom, e^2 / (4 pi epsilon_0)
SHARES = (0.18175, 0.50986, 0.28022, 0.02817)
RATES = (3.19980, 0.94229, 0.40290, 0.20162)
SMEARED = 1.0  # Angstrom


def keeps_pairs(n_atoms: int, pairs: np.ndarray, values: np.ndarray, perms: np.ndarray) -> np.ndarray:
    """Which atom permutations perms (S, N) take pairs (P, 2) to pairs of the same values (P,), a mask (S,)."""
    mine = np.zeros((n_atoms, n_atoms))
    mine[pairs[:, 0], pairs[:, 1]] = values
    mine += mine.T
    return np.array([np.array_equal(mine[np.ix_(perm, perm)], mine) for perm in perms], dtype=bool)
