"""Compiled CPU twins of loops that array libraries do badly.  Every function here has its equation elsewhere, and a
contract test that holds the two together."""

import numba
import numpy as np
from numba import njit, prange


@njit(parallel=True, fastmath=True, cache=True)
def _push(pairs, dx, a, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            v = 0.0
            for c in range(3):
                v += dx[q, p, c] * (a[q, i, c] - a[q, j, c])
            out[q, p] = v


@njit(parallel=True, fastmath=True, cache=True)
def _pull(pairs, dx, g, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            for c in range(3):
                f = dx[q, p, c] * g[q, p]
                out[q, i, c] += f
                out[q, j, c] -= f


def _use(threads: int) -> None:
    """Let the parallel loops that follow use `threads` threads, or as many as numba was started with."""
    numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))  # type: ignore[attr-defined]


def push(pairs: np.ndarray, dx: np.ndarray, a: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, P) = (dx/dR) a; see PairSet.push."""
    _use(threads)
    _push(pairs, dx, a, out)


def pull(pairs: np.ndarray, dx: np.ndarray, g: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, N, 3) += (dx/dR)^T g; see PairSet.pull."""
    _use(threads)
    _pull(pairs, dx, g, out)


@njit(fastmath=True, inline="always")
def _matern52(s2, length):
    """The three radial factors of kernels.Matern52 at squared distance s2."""
    q = np.sqrt(5.0 * s2) / length
    decay = np.exp(-q)
    c = 5.0 / (3.0 * length * length)
    return (1.0 + q + q * q / 3.0) * decay, c * (1.0 + q) * decay, c * decay * 5.0 / (length * length)
