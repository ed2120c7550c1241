"""Compiled sum of `repulsion`; a pair out of reach costs no more than its distance."""

import numpy as np
from numba import njit

from gossamer.baselines.screening import RATES, SHARES
from gossamer.loops import displacement

S0, S1, S2, S3 = SHARES
B0, B1, B2, B3 = RATES


@njit(fastmath=True, cache=True)
def add(positions, pairs, charges, inverse_length, inner, outer, forces):
    """Energies (Q,) of positions (Q, N, 3); adds to forces (Q, N, 3)."""
    energies = np.zeros(len(positions))
    for q in range(len(positions)):
        structure = positions[q]
        for p in range(len(pairs)):
            i, j = pairs[p, 0], pairs[p, 1]
            a, b, c = displacement(structure, i, j)
            r2 = a * a + b * b + c * c
            if r2 >= outer[p] * outer[p]:
                continue
            r = np.sqrt(r2)
            x = r * inverse_length[p]
            e0, e1 = S0 * np.exp(-B0 * x), S1 * np.exp(-B1 * x)
            e2, e3 = S2 * np.exp(-B2 * x), S3 * np.exp(-B3 * x)
            bare = charges[p] / r
            v = bare * (e0 + e1 + e2 + e3)
            slope = -v / r - bare * inverse_length[p] * (B0 * e0 + B1 * e1 + B2 * e2 + B3 * e3)
            if r > inner[p]:
                width = outer[p] - inner[p]
                t = (r - inner[p]) / width
                s = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
                slope = slope * s - v * 30.0 * t * t * (1.0 - t) * (1.0 - t) / width
                v *= s
            energies[q] += v
            f = -slope / r
            forces[q, i, 0] += f * a
            forces[q, i, 1] += f * b
            forces[q, i, 2] += f * c
            forces[q, j, 0] -= f * a
            forces[q, j, 1] -= f * b
            forces[q, j, 2] -= f * c
    return energies
