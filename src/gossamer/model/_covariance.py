"""Compiled loops that build blocks of the covariance: the whole matrix, chosen columns, the diagonal.

Block of structures i and j, with delta_p = x_i[h p] - x_j[p] at slot p of j's place, summed over places and
permutations h (PAPER.md):
force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0.

`term` is the tuple made by fit.operator.flat_term.  A pair touches two atoms, so J_i^T J_j is four 3 x 3 blocks per
pair and J^T delta one short dot product per atom; nothing of size P x 3N is made.  Held against tests/reference.py by
tests/contract/test_kernel_sum.py."""

import numpy as np
from numba import njit, prange

from gossamer.model._numba import _matern52, _use


@njit(fastmath=True, cache=True)
def _spread(place, incident, signs, weights, dx, out):
    """out (N, 3, D): the weighted gradients (P_all, 3) of the pairs at every atom, zero where the list has ended."""
    for atom in range(incident.shape[0]):
        for d in range(incident.shape[1]):
            slot = incident[atom, d]
            f = signs[atom, d] * weights[slot]
            for c in range(3):
                out[atom, c, d] = f * dx[place[slot], c]


@njit(fastmath=True, cache=True)
def _pull(spread, incident, counts, delta, near, out):
    """out (3N,) = J^T delta from the spread gradients (N, 3, D); near (D,) is work space."""
    for atom in range(incident.shape[0]):
        n = counts[atom]
        for d in range(n):
            near[d] = delta[incident[atom, d]]
        a, b, c = 0.0, 0.0, 0.0
        for d in range(n):
            a += spread[atom, 0, d] * near[d]
            b += spread[atom, 1, d] * near[d]
            c += spread[atom, 2, d] * near[d]
        out[3 * atom], out[3 * atom + 1], out[3 * atom + 2] = a, b, c


@njit(cache=True)
def _lengths(signs):
    """Number of pairs (L, N) at every atom of every place."""
    counts = np.zeros(signs.shape[:2], np.int64)
    for place in range(signs.shape[0]):
        for atom in range(signs.shape[1]):
            for d in range(signs.shape[2]):
                counts[place, atom] += signs[place, atom, d] != 0.0
    return counts


@njit(cache=True)
def _inverses(perms):
    out = np.empty_like(perms)
    for h in range(perms.shape[0]):
        for p in range(perms.shape[1]):
            out[h, perms[h, p]] = p
    return out


@njit(fastmath=True, cache=True)
def _difference(x, other, inverse, out):
    """out (P,) = x - other[inverse]; returns its squared norm."""
    s2 = 0.0
    for p in range(out.shape[0]):
        out[p] = x[p] - other[inverse[p]]
        s2 += out[p] * out[p]
    return s2


@njit(fastmath=True, cache=True)
def _add_columns(j, components, term, counts, inverse, pairs, Xi, dxi, spread, X, dx, work, delta, near, out):
    """out (C, 3N+1) += covariance of structure i's labels (3N forces, then the energy) with C labels of structure j.

    Xi (L, P), dxi (P_all, 3), spread (L, N, 3, D): of structure i."""
    places, perms, weights, incident, signs, length, amplitude = term
    n3 = out.shape[1] - 1
    for here in range(places.shape[0]):
        for there in range(places.shape[0]):
            for h in range(perms.shape[0]):
                s2 = _difference(Xi[here], X[j, there], inverse[h], delta)
                _pull(spread[here], incident[here], counts[here], delta, near, work)
                k0, k1, k2 = _matern52(s2, length)
                k0, k1, k2 = amplitude * k0, amplitude * k1, amplitude * k2
                for column in range(components.shape[0]):
                    if components[column] == n3:
                        out[column, n3] += k0
                        for row in range(n3):
                            out[column, row] += k1 * work[row]
                        continue
                    atom, c = components[column] // 3, components[column] % 3
                    along = 0.0
                    for d in range(counts[there, atom]):
                        p = incident[there, atom, d]
                        slot = perms[h, p]
                        pair = places[here, slot]
                        f = signs[there, atom, d] * weights[p] * dx[j, places[there, p], c]
                        along += f * delta[slot]
                        f *= k1 * weights[p]
                        first, second = 3 * pairs[pair, 0], 3 * pairs[pair, 1]
                        for e in range(3):
                            out[column, first + e] += f * dxi[pair, e]
                            out[column, second + e] -= f * dxi[pair, e]
                    out[column, n3] -= k1 * along
                    along *= k2
                    for row in range(n3):
                        out[column, row] -= along * work[row]


@njit(parallel=True, fastmath=True, cache=True)
def _columns(structures, starts, components, term, X, dx, pairs, begin, forces, energies):
    places, perms, weights, incident, signs, _, _ = term
    n3, D = forces.shape[1], incident.shape[2]
    counts, inverse = _lengths(signs), _inverses(perms)
    for k in prange(forces.shape[0]):
        i = begin + k
        work, delta, near = np.empty(n3), np.empty(places.shape[1]), np.empty(D)
        spread = np.empty((places.shape[0], incident.shape[1], 3, D))
        for here in range(places.shape[0]):
            _spread(places[here], incident[here], signs[here], weights, dx[i], spread[here])
        for g in range(structures.shape[0]):
            lo, hi = starts[g], starts[g + 1]
            part = np.zeros((hi - lo, n3 + 1))
            _add_columns(
                structures[g], components[lo:hi], term, counts, inverse, pairs, X[i], dx[i], spread, X, dx,
                work, delta, near, part,
            )  # fmt: skip
            for row in range(n3):
                for column in range(hi - lo):
                    forces[k, row, lo + column] += part[column, row]
            if energies.shape[0] > 0:
                for column in range(hi - lo):
                    energies[k, lo + column] += part[column, n3]


@njit(parallel=True, fastmath=True, cache=True)
def _diagonal(term, X, dx, pairs, out):
    places, perms, weights, incident, signs, _, _ = term
    n3, D = out.shape[1] - 1, incident.shape[2]
    counts, inverse = _lengths(signs), _inverses(perms)
    for i in prange(out.shape[0]):
        work, delta, near = np.empty(n3), np.empty(places.shape[1]), np.empty(D)
        spread = np.empty((places.shape[0], incident.shape[1], 3, D))
        for here in range(places.shape[0]):
            _spread(places[here], incident[here], signs[here], weights, dx[i], spread[here])
        part = np.zeros((n3 + 1, n3 + 1))
        _add_columns(
            i, np.arange(n3 + 1), term, counts, inverse, pairs, X[i], dx[i], spread, X, dx, work, delta, near, part
        )
        for row in range(n3 + 1):
            out[i, row] += part[row, row]


@njit(cache=True)
def _meetings(places, perms, weights, pairs, n_atoms):
    """For every image (here, there, h) and slot p of j's place: the pairs of i and j that meet, and where in a flat
    (N, N, 9) their four 3 x 3 blocks begin (the two with a plus sign first); and the squared weight of every slot."""
    L, H, P = places.shape[0], perms.shape[0], perms.shape[1]
    out = np.empty((L, L, H, P, 6), np.int64)
    for here in range(L):
        for there in range(L):
            for h in range(H):
                for p in range(P):
                    qi, qj = places[here, perms[h, p]], places[there, p]
                    a, b = 9 * n_atoms * pairs[qi, 0], 9 * n_atoms * pairs[qi, 1]
                    r, s = 9 * pairs[qj, 0], 9 * pairs[qj, 1]
                    row = out[here, there, h, p]
                    row[0], row[1], row[2], row[3], row[4], row[5] = qi, qj, a + r, b + s, a + s, b + r
    return out, weights * weights


@njit(fastmath=True, cache=True)
def _add_pairs(meetings, squares, dxi, dxj, k1, out):
    """out (N*N*9,) += k1 J_i^T J_j, pair by pair."""
    for p in range(meetings.shape[0]):
        qi, qj = meetings[p, 0], meetings[p, 1]
        f = k1 * squares[p]
        x, y, z = f * dxj[qj, 0], f * dxj[qj, 1], f * dxj[qj, 2]
        ar, bs, as_, br = meetings[p, 2], meetings[p, 3], meetings[p, 4], meetings[p, 5]
        for e in range(3):
            g = dxi[qi, e]
            u, v, w = g * x, g * y, g * z
            at = 3 * e
            out[ar + at] += u
            out[ar + at + 1] += v
            out[ar + at + 2] += w
            out[bs + at] += u
            out[bs + at + 1] += v
            out[bs + at + 2] += w
            out[as_ + at] -= u
            out[as_ + at + 1] -= v
            out[as_ + at + 2] -= w
            out[br + at] -= u
            out[br + at + 1] -= v
            out[br + at + 2] -= w


@njit(parallel=True, fastmath=True, cache=True)
def _matrix(term, X, dx, pairs, forces, cross, energies):
    places, perms, weights, incident, signs, length, amplitude = term
    M, L, N, D = X.shape[0], places.shape[0], incident.shape[1], incident.shape[2]
    n3 = 3 * N
    with_energies = energies.shape[0] > 0
    counts, inverse = _lengths(signs), _inverses(perms)
    meetings, squares = _meetings(places, perms, weights, pairs, N)
    spread = np.empty((M, L, N, 3, D))
    for i in prange(M):
        for place in range(L):
            _spread(places[place], incident[place], signs[place], weights, dx[i], spread[i, place])
    for k in prange(M):
        i = k // 2 if k % 2 == 0 else M - 1 - k // 2  # short rows beside long ones, so that threads end together
        delta, near = np.empty(places.shape[1]), np.empty(D)
        mine, theirs = np.empty(n3), np.empty(n3)
        for j in range(i + 1):
            blocks, part = np.zeros(9 * N * N), np.zeros((n3, n3))
            to_energy, from_energy, both = np.zeros(n3), np.zeros(n3), 0.0
            for here in range(L):
                for there in range(L):
                    for h in range(perms.shape[0]):
                        s2 = _difference(X[j, there], X[i, here], perms[h], delta)
                        _pull(spread[j, there], incident[there], counts[there], delta, near, theirs)
                        s2 = _difference(X[i, here], X[j, there], inverse[h], delta)
                        _pull(spread[i, here], incident[here], counts[here], delta, near, mine)
                        k0, k1, k2 = _matern52(s2, length)
                        k0, k1, k2 = amplitude * k0, amplitude * k1, amplitude * k2
                        _add_pairs(meetings[here, there, h], squares, dx[i], dx[j], k1, blocks)
                        for row in range(n3):
                            f = k2 * mine[row]
                            for column in range(n3):
                                part[row, column] += f * theirs[column]
                        both += k0
                        for row in range(n3):
                            to_energy[row] += k1 * mine[row]
                            from_energy[row] += k1 * theirs[row]
            for a in range(N):
                for b in range(N):
                    for e in range(3):
                        for c in range(3):
                            part[3 * a + e, 3 * b + c] += blocks[9 * (N * a + b) + 3 * e + c]
            forces[i * n3 : i * n3 + n3, j * n3 : j * n3 + n3] += part
            if with_energies:
                cross[i, j * n3 : j * n3 + n3] += from_energy
                if j < i:
                    cross[j, i * n3 : i * n3 + n3] += to_energy
                energies[i, j] += both


def covariance_columns(
    structures, starts, components, term, X, dx, pairs, first: int, forces, energies, threads: int
) -> None:
    """Add to forces (m, 3N, C) and energies (m, C) (or (0, C): not wanted) the covariance columns of one term, at the
    m training structures from `first` on.

    Columns are grouped by training structure: group g holds the labels (0 <= c < 3N a force, 3N the energy)
    components[starts[g]:starts[g+1]] of structure structures[g].  X (M, L, P); dx (M, P_all, 3)."""
    _use(threads)
    _columns(structures, starts, components, term, X, dx, pairs, first, forces, energies)


def covariance_diagonal(term, X, dx, pairs, out, threads: int) -> None:
    """Add to out (M, 3N+1) one term's variance of every force component and of the energy (last)."""
    _use(threads)
    _diagonal(term, X, dx, pairs, out)


def covariance_matrix(term, X, dx, pairs, out, energies: bool, threads: int) -> None:
    """Add to the lower triangle of out (n, n) one term's covariance of all labels (3NM forces, then M energies).

    Of the blocks on the diagonal both triangles are filled; what is above them is left alone."""
    _use(threads)
    n = len(out) - len(X) if energies else len(out)
    cross, both = (out[n:, :n], out[n:, n:]) if energies else (out[:0], out[:0])
    _matrix(term, X, dx, pairs, out[:n, :n], cross, both)
