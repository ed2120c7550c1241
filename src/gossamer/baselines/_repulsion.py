"""Compiled sum of `repulsion`; a pair out of reach costs no more than its distance.

wall: pairs (P, 2), and a row of `repulsion.Reach` for each (P, 4)."""

import numpy as np
from numba import njit

from gossamer.baselines.screening import RATES, SHARES
from gossamer.loops import displacement, falling

S0, S1, S2, S3 = SHARES
B0, B1, B2, B3 = RATES


@njit(fastmath=True, error_model="numpy", cache=True)
def add_one(positions, wall, forces):
    """Energy of positions (N, 3); adds to forces (N, 3)."""
    pairs, reach = wall
    energy = 0.0
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        a, b, c = displacement(positions, i, j)
        r2 = a * a + b * b + c * c
        charges, inverse_length, inner, outer = reach[p, 0], reach[p, 1], reach[p, 2], reach[p, 3]
        if r2 >= outer * outer:
            continue
        r = np.sqrt(r2)
        x = r * inverse_length
        e0, e1 = S0 * np.exp(-B0 * x), S1 * np.exp(-B1 * x)
        e2, e3 = S2 * np.exp(-B2 * x), S3 * np.exp(-B3 * x)
        bare = charges / r
        v = bare * (e0 + e1 + e2 + e3)
        slope = -v / r - bare * inverse_length * (B0 * e0 + B1 * e1 + B2 * e2 + B3 * e3)
        if r > inner:
            width = outer - inner
            s, by_t = falling((r - inner) / width)
            slope = slope * s + v * by_t / width
            v *= s
        energy += v
        f = -slope / r
        forces[i, 0] += f * a
        forces[i, 1] += f * b
        forces[i, 2] += f * c
        forces[j, 0] -= f * a
        forces[j, 1] -= f * b
        forces[j, 2] -= f * c
    return energy


@njit(cache=True)
def add(positions, wall, forces):
    """Energies (Q,) of positions (Q, N, 3); adds to forces (Q, N, 3)."""
    energies = np.empty(len(positions))
    for q in range(len(positions)):
        energies[q] = add_one(positions[q], wall, forces[q])
    return energies
