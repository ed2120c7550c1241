"""All pairs of a molecule's atoms, in numpy's lower-triangle order (1,0), (2,0), (2,1), (3,0) ..., sgdml's order."""

import numpy as np


def all_pairs(n_atoms: int) -> np.ndarray:
    """The N(N-1)/2 pairs (P, 2), first index above second."""
    return np.stack(np.tril_indices(n_atoms, -1), axis=1)


def pair_numbers(pairs: np.ndarray) -> np.ndarray:
    """Where pairs (..., 2), in either atom order, stand in `all_pairs`."""
    high, low = np.max(pairs, axis=-1), np.min(pairs, axis=-1)
    return high * (high - 1) // 2 + low


def pair_images(perms: np.ndarray) -> np.ndarray:
    """Permutations (S, P) of all pairs that atom permutations (S, N) bring about: entry p of row s is the number of the
    pair on which perms[s] puts pair p."""
    return pair_numbers(perms[:, all_pairs(perms.shape[1])])
