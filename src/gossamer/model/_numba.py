"""Compiled CPU twins of small loops that array libraries do badly.  Nothing here knows an equation of its own."""

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


def push(pairs: np.ndarray, dx: np.ndarray, a: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, P) = (dx/dR) a; see PairSet.push."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    _push(pairs, dx, a, out)


def pull(pairs: np.ndarray, dx: np.ndarray, g: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, N, 3) += (dx/dR)^T g; see PairSet.pull."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    _pull(pairs, dx, g, out)


@njit(fastmath=True, inline="always")
def _add_block(i, j, components, term, X, dx, pairs, work, out):
    """out (3N+1, C) += covariance of structure i's labels (3N forces, then the energy) with C labels of structure j.

    force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0, summed over the
    term's places and permutations (PAPER.md); the radial factors are those of kernels.Matern52."""
    places, perms, weights, incident, signs, length, amplitude = term
    root5 = np.sqrt(5.0)
    c1 = 5.0 / (3.0 * length * length)
    n3 = out.shape[0] - 1
    for here in range(places.shape[0]):
        for there in range(places.shape[0]):
            for h in range(perms.shape[0]):
                s2 = 0.0
                work[:] = 0.0
                for p in range(places.shape[1]):
                    slot = perms[h, p]
                    delta = X[i, here, slot] - X[j, there, p]
                    s2 += delta * delta
                    q = places[here, slot]
                    for c in range(3):
                        f = weights[p] * delta * dx[i, q, c]
                        work[3 * pairs[q, 0] + c] += f
                        work[3 * pairs[q, 1] + c] -= f
                q = root5 * np.sqrt(s2) / length
                decay = amplitude * np.exp(-q)
                k0 = decay * (1.0 + q + q * q / 3.0)
                k1 = c1 * decay * (1.0 + q)
                k2 = c1 * decay * 5.0 / (length * length)
                for column in range(components.shape[0]):
                    if components[column] == n3:
                        out[n3, column] += k0
                        for row in range(n3):
                            out[row, column] += k1 * work[row]
                        continue
                    atom, c = components[column] // 3, components[column] % 3
                    along = 0.0
                    for d in range(incident.shape[2]):
                        sign = signs[there, atom, d]
                        if sign == 0.0:
                            break
                        p = incident[there, atom, d]
                        slot = perms[h, p]
                        pair = places[here, slot]
                        f = sign * weights[p] * dx[j, places[there, p], c]
                        along += f * (X[i, here, slot] - X[j, there, p])
                        f *= k1 * weights[p]
                        for e in range(3):
                            out[3 * pairs[pair, 0] + e, column] += f * dx[i, pair, e]
                            out[3 * pairs[pair, 1] + e, column] -= f * dx[i, pair, e]
                    out[n3, column] -= k1 * along
                    along *= k2
                    for row in range(n3):
                        out[row, column] -= along * work[row]


@njit(parallel=True, fastmath=True, cache=True)
def _columns(structures, starts, components, term, X, dx, pairs, forces, energies):
    n3 = forces.shape[1]
    for i in prange(X.shape[0]):
        work = np.empty(n3)
        for g in range(structures.shape[0]):
            lo, hi = starts[g], starts[g + 1]
            part = np.zeros((n3 + 1, hi - lo))
            _add_block(i, structures[g], components[lo:hi], term, X, dx, pairs, work, part)
            forces[i, :, lo:hi] += part[:n3]
            if energies.shape[0] > 0:
                energies[i, lo:hi] += part[n3]


@njit(parallel=True, fastmath=True, cache=True)
def _diagonal(term, X, dx, pairs, out):
    n3 = out.shape[1] - 1
    for i in prange(X.shape[0]):
        work, part = np.empty(n3), np.zeros((n3 + 1, n3 + 1))
        _add_block(i, i, np.arange(n3 + 1), term, X, dx, pairs, work, part)
        for row in range(n3 + 1):
            out[i, row] += part[row, row]


def covariance_columns(structures, starts, components, term, X, dx, pairs, forces, energies, threads: int) -> None:
    """Add to forces (M, 3N, C) and energies (M, C) (or (0, C): not wanted) the covariance columns of one term.

    Columns are grouped by training structure: group g holds the labels (0 <= c < 3N a force, 3N the energy)
    components[starts[g]:starts[g+1]] of structure structures[g].  term: the tuple made by fit.operator.flat_term;
    X (M, L, P); dx (M, P_all, 3)."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    _columns(structures, starts, components, term, X, dx, pairs, forces, energies)


def covariance_diagonal(term, X, dx, pairs, out, threads: int) -> None:
    """Add to out (M, 3N+1) one term's variance of every force component and of the energy (last)."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    _diagonal(term, X, dx, pairs, out)
