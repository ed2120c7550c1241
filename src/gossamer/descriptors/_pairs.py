"""Compiled twins of the pair descriptor and its two products (model.pairs), held together by contract tests."""

import numpy as np
from numba import njit, prange

from gossamer.loops import displacement, parallel_loop, use_threads


@njit(inline="always")
def inverse_distance(p, a, b, c, r2, x, dx):
    """x[p] = 1/r and dx[p], its gradient, of the displacement (a, b, c) with square r2; returns 1/r."""
    inverse = 1.0 / np.sqrt(r2)
    cube = -inverse * inverse * inverse
    x[p] = inverse
    dx[p, 0], dx[p, 1], dx[p, 2] = a * cube, b * cube, c * cube
    return inverse


@parallel_loop()  # without fastmath, so that no digit depends on it, and as fast
def _forward(pairs, positions, x, dx):
    for q in prange(positions.shape[0]):
        structure, own_x, own_dx = positions[q], x[q], dx[q]
        for p in range(pairs.shape[0]):
            a, b, c = displacement(structure, pairs[p, 0], pairs[p, 1])
            inverse_distance(p, a, b, c, a * a + b * b + c * c, own_x, own_dx)


@parallel_loop(fastmath=True)
def _push(pairs, dx, a, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            v = 0.0
            for c in range(3):
                v += dx[q, p, c] * (a[q, i, c] - a[q, j, c])
            out[q, p] = v


@parallel_loop(fastmath=True)
def _pull(pairs, dx, g, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            for c in range(3):
                f = dx[q, p, c] * g[q, p]
                out[q, i, c] += f
                out[q, j, c] -= f


@njit(cache=True)
def is_outside(pairs, structure, least2, most2):
    """Whether a squared distance of the structure (N, 3) is below least2 (P,) or above most2 (P,)."""
    found = 0
    for p in range(pairs.shape[0]):
        a, b, c = displacement(structure, pairs[p, 0], pairs[p, 1])
        r2 = a * a + b * b + c * c
        found += r2 < least2[p] or r2 > most2[p]
    return found > 0


def forward(pairs: np.ndarray, positions: np.ndarray, x: np.ndarray, dx: np.ndarray, threads: int) -> None:
    """x (Q, P) = 1/r and dx (Q, P, 3) = dx/dr_i; see PairSet.forward."""
    use_threads(threads)
    _forward(pairs, positions, x, dx)


def push(pairs: np.ndarray, dx: np.ndarray, a: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, P) = (dx/dR) a; see PairSet.push."""
    use_threads(threads)
    _push(pairs, dx, a, out)


def pull(pairs: np.ndarray, dx: np.ndarray, g: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, N, 3) += (dx/dR)^T g; see PairSet.pull."""
    use_threads(threads)
    _pull(pairs, dx, g, out)
