"""Compiled twin of `FunctionCovariance.add_matrix`: the covariance of force components under pair functions.

Between structures m and n and within one class, sum_b A s_b(p) f_b(c) is what component c of n gives to the slope of
pair p of m; pulled back to the two atoms of p it is a part of the matrix.  Few pairs of a class share an atom, so that
this takes a fifth of the operations of products of the components' features.
"""

import numpy as np
from numba import prange

from gossamer.loops import parallel_loop, use_threads


@parallel_loop(fastmath=True)
def _matrix(pairs, components, n3, out):
    slopes, dx, ends, first_pair = pairs
    features, columns, first_column = components
    for row in prange(len(slopes)):
        m = len(slopes) - 1 - row  # the longest rows first
        for n in range(m + 1):
            for k in range(len(first_pair) - 1):
                for p in range(first_pair[k], first_pair[k + 1]):
                    i, j = m * n3 + 3 * ends[p, 0], m * n3 + 3 * ends[p, 1]
                    x, y, z = dx[m, p, 0], dx[m, p, 1], dx[m, p, 2]
                    for c in range(first_column[k], first_column[k + 1]):
                        value = 0.0
                        for b in range(slopes.shape[2]):
                            value += slopes[m, p, b] * features[n, c, b]
                        column = n * n3 + columns[c]
                        out[i, column] -= x * value
                        out[i + 1, column] -= y * value
                        out[i + 2, column] -= z * value
                        out[j, column] += x * value
                        out[j + 1, column] += y * value
                        out[j + 2, column] += z * value


def add_forces(pairs, components, n3: int, out: np.ndarray, threads: int) -> None:
    """Add to the lower triangle of out (n, n), and to all of its diagonal blocks, the covariance of force components.

    pairs: slopes (M, P, B) and dx (M, P, 3) of the pairs, class by class, their atoms (P, 2), and where each class
    begins and the last ends (K + 1,); components: features (M, C, B), times the variance of the class, of the force
    components that each class touches, their numbers (C,) in a structure, and where each class begins (K + 1,)."""
    use_threads(threads)
    _matrix(pairs, components, n3, out)
