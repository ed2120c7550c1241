"""Compiled twins of `FunctionCovariance`: the covariance of force components under pair functions.

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


@parallel_loop(fastmath=True)
def _columns(pairs, right, labels, scales, n3, out):
    slopes, dx, ends, first_pair = pairs
    there_slopes, there_dx = right
    owners, components, rows = labels
    size = slopes.shape[2]
    for c in prange(len(owners)):
        n, atom, axis = owners[c], components[c] // 3, components[c] % 3
        row = out[rows[c]]
        feature = np.empty(size)
        for k in range(len(first_pair) - 1):
            feature[:] = 0.0
            touched = False
            for p in range(first_pair[k], first_pair[k + 1]):
                if ends[p, 0] != atom and ends[p, 1] != atom:
                    continue
                touched = True
                weight = there_dx[n, p, axis] * scales[k]
                if ends[p, 0] == atom:
                    weight = -weight
                for b in range(size):
                    feature[b] += weight * there_slopes[n, p, b]
            if not touched:
                continue
            for m in range(len(slopes)):
                for p in range(first_pair[k], first_pair[k + 1]):
                    value = 0.0
                    for b in range(size):
                        value += slopes[m, p, b] * feature[b]
                    i, j = m * n3 + 3 * ends[p, 0], m * n3 + 3 * ends[p, 1]
                    for a in range(3):
                        row[i + a] -= dx[m, p, a] * value
                        row[j + a] += dx[m, p, a] * value


def add_columns(pairs, right, labels, scales: np.ndarray, out: np.ndarray, threads: int) -> None:
    """Add to out (C, 3N of every left structure) the covariance of chosen force components of right structures.

    pairs: as of `add_forces`, of the left structures; right: slopes (M, P, B) and dx (M, P, 3) of the right ones;
    labels: per chosen component (C,) its right structure, its number there, and its row of out; scales (K,): variances
    of the classes."""
    use_threads(threads)
    _columns(pairs, right, labels, scales, out.shape[1] // len(pairs[0]), out)
