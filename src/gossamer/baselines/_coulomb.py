"""Compiled sums of `coulomb`."""

from math import erf, exp, pi, sqrt

import numpy as np
from numba import njit

from gossamer.baselines.screening import SMEARED
from gossamer.loops import displacement

STEEP = 2 / (sqrt(pi) * SMEARED)


@njit(error_model="numpy", cache=True)
def unit(r2):
    """Of strength 1, at r^2: the energy, and the force over the vector between the atoms."""
    r = np.sqrt(r2)
    v = erf(r / SMEARED) / r
    return v, (v - STEEP * exp(-r2 / SMEARED**2)) / r2


@njit(error_model="numpy", cache=True)
def add(positions, pairs, strengths, forces):
    """Energies (Q,) of positions (Q, N, 3); adds to forces (Q, N, 3).  pairs (P, 2), strengths (P,) eV Angstrom."""
    energies = np.zeros(len(positions))
    for q in range(len(positions)):
        for p in range(len(pairs)):
            i, j = pairs[p, 0], pairs[p, 1]
            a, b, c = displacement(positions[q], i, j)
            v, f = unit(a * a + b * b + c * c)
            energies[q] += strengths[p] * v
            f *= strengths[p]
            forces[q, i, 0] += f * a
            forces[q, i, 1] += f * b
            forces[q, i, 2] += f * c
            forces[q, j, 0] -= f * a
            forces[q, j, 1] -= f * b
            forces[q, j, 2] -= f * c
    return energies


@njit(error_model="numpy", cache=True)
def pulls(structure, pairs):
    """Forces (P,) of strength 1 over the vectors between the atoms of pairs (P, 2) of a structure (N, 3)."""
    found = np.empty(len(pairs))
    for p in range(len(pairs)):
        a, b, c = displacement(structure, pairs[p, 0], pairs[p, 1])
        found[p] = unit(a * a + b * b + c * c)[1]
    return found
