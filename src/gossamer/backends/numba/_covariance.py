"""Compiled loops that build blocks of the covariance: the whole matrix, chosen columns, the diagonal.

Block of structures i and j, with delta_p = x_i[h p] - x_j[p] at slot p of j's place, summed over places and
permutations h (docs/theory.md, Covariance of the labels):
force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0.

`term` is the tuple made by `flat_term`.  A pair touches two atoms, so J_i^T J_j is four 3 x 3 blocks per
pair and J^T delta one short dot product per atom; nothing of size P x 3N is made.  A place of a local term touches few
atoms of the molecule: sums run over those, and go to their rows and columns when the place is done.  Held against
tests/reference.py by tests/contract/test_kernel_sum.py."""

import numpy as np
from numba import njit, prange

from gossamer.backends.incidence import incident_slots
from gossamer.backends.numba._radial import factors
from gossamer.kernels import compiled_form
from gossamer.loops import parallel_loop, use_threads
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


@njit(cache=True)
def _compact(incident, signs):
    """The atoms that places touch: atoms (L, n), their numbers (L,), where an atom stands among them (L, N), and for
    each the slots (L, n, D), signs (L, n, D) and number of slots (L, n)."""
    L, N, D = signs.shape
    sizes, local = np.zeros(L, np.int64), np.full((L, N), -1)
    for place in range(L):
        for atom in range(N):
            if D > 0 and signs[place, atom, 0] != 0.0:
                local[place, atom] = sizes[place]
                sizes[place] += 1
    n = sizes.max()
    atoms, counts = np.zeros((L, n), np.int64), np.zeros((L, n), np.int64)
    slots, plus = np.zeros((L, n, D), np.int64), np.zeros((L, n, D))
    for place in range(L):
        for atom in range(N):
            k = local[place, atom]
            if k >= 0:
                atoms[place, k] = atom
                slots[place, k], plus[place, k] = incident[place, atom], signs[place, atom]
                for d in range(D):
                    counts[place, k] += signs[place, atom, d] != 0.0
    return atoms, sizes, local, slots, plus, counts


@njit(fastmath=True, cache=True)
def _spread(places, sizes, slots, signs, weights, dx):
    """(L, n, 3, D): the weighted gradients (P_all, 3) of the pairs at every atom of every place, zero where the list
    has ended."""
    L, n, D = slots.shape
    out = np.empty((L, n, 3, D))
    for place in range(L):
        for k in range(sizes[place]):
            for d in range(D):
                slot = slots[place, k, d]
                f = signs[place, k, d] * weights[slot]
                for c in range(3):
                    out[place, k, c, d] = f * dx[places[place, slot], c]
    return out


@njit(fastmath=True, cache=True)
def _pull(spread, size, slots, counts, delta, near, out):
    """out (3n,) = J^T delta at the atoms of a place, from the spread gradients (n, 3, D); near (D,) is work space."""
    for k in range(size):
        n = counts[k]
        for d in range(n):
            near[d] = delta[slots[k, d]]
        a, b, c = 0.0, 0.0, 0.0
        for d in range(n):
            a += spread[k, 0, d] * near[d]
            b += spread[k, 1, d] * near[d]
            c += spread[k, 2, d] * near[d]
        out[3 * k], out[3 * k + 1], out[3 * k + 2] = a, b, c


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
def _add_columns(labels, term, tables, mine, right, room, out):
    """out (C, 3N+1) += covariance of structure i's labels (3N forces, then the energy) with C labels of structure j.

    labels: j and components (C,); tables: of `_compact` and `_inverses`; mine: Xi (L, P), dxi (P_all, 3) and spread
    (L, n, 3, D) of structure i; right: X (M, L, P) and dx (M, P_all, 3), j's among them; room: (3n,), (P,), (D,)."""
    places, perms, weights, pairs, _, _, order, rate, norm, amplitude = term
    atoms, sizes, local, slots, signs, counts, inverse = tables
    (j, components), (Xi, dxi, spread), (X, dx), (work, delta, near) = labels, mine, right, room
    n3 = out.shape[1] - 1
    part = np.empty((components.shape[0], 3 * atoms.shape[1]))
    for here in range(places.shape[0]):
        rows = 3 * sizes[here]
        part[:] = 0.0
        for there in range(places.shape[0]):
            for h in range(perms.shape[0]):
                s2 = _difference(Xi[here], X[j, there], inverse[h], delta)
                _pull(spread[here], sizes[here], slots[here], counts[here], delta, near, work)
                k0, k1, k2 = factors(s2, order, rate, amplitude * norm)
                for column in range(components.shape[0]):
                    if components[column] == n3:
                        out[column, n3] += k0
                        for row in range(rows):
                            part[column, row] += k1 * work[row]
                        continue
                    k, c = local[there, components[column] // 3], components[column] % 3
                    if k < 0:
                        continue
                    along = 0.0
                    for d in range(counts[there, k]):
                        p = slots[there, k, d]
                        slot = perms[h, p]
                        pair = places[here, slot]
                        f = signs[there, k, d] * weights[p] * dx[j, places[there, p], c]
                        along += f * delta[slot]
                        f *= k1 * weights[p]
                        first, second = 3 * pairs[pair, 0], 3 * pairs[pair, 1]
                        for e in range(3):
                            out[column, first + e] += f * dxi[pair, e]
                            out[column, second + e] -= f * dxi[pair, e]
                    out[column, n3] -= k1 * along
                    along *= k2
                    for row in range(rows):
                        part[column, row] -= along * work[row]
        for column in range(components.shape[0]):
            for k in range(sizes[here]):
                for e in range(3):
                    out[column, 3 * atoms[here, k] + e] += part[column, 3 * k + e]


@parallel_loop(fastmath=True)
def _columns(groups, term, left, right, begin, results):
    (structures, starts, components), (forces, energies), (X, dx) = groups, results, left
    places, perms, weights, _, incident, signs, _, _, _, _ = term
    n3, D = forces.shape[1], incident.shape[2]
    tables = (*_compact(incident, signs), _inverses(perms))
    _, sizes, _, slots, plus, _, _ = tables
    n = slots.shape[1]
    for k in prange(forces.shape[0]):
        i = begin + k
        room = np.empty(3 * n), np.empty(places.shape[1]), np.empty(D)
        mine = X[i], dx[i], _spread(places, sizes, slots, plus, weights, dx[i])
        for g in range(structures.shape[0]):
            lo, hi = starts[g], starts[g + 1]
            part = np.zeros((hi - lo, n3 + 1))
            _add_columns((structures[g], components[lo:hi]), term, tables, mine, right, room, part)
            for row in range(n3):
                for column in range(hi - lo):
                    forces[k, row, lo + column] += part[column, row]
            if energies.shape[0] > 0:
                for column in range(hi - lo):
                    energies[k, lo + column] += part[column, n3]


@parallel_loop(fastmath=True)
def _diagonal(term, X, dx, out):
    places, perms, weights, _, incident, signs, _, _, _, _ = term
    n3, D = out.shape[1] - 1, incident.shape[2]
    tables = (*_compact(incident, signs), _inverses(perms))
    _, sizes, _, slots, plus, _, _ = tables
    n = slots.shape[1]
    for i in prange(out.shape[0]):
        room = np.empty(3 * n), np.empty(places.shape[1]), np.empty(D)
        mine = X[i], dx[i], _spread(places, sizes, slots, plus, weights, dx[i])
        part = np.zeros((n3 + 1, n3 + 1))
        _add_columns((i, np.arange(n3 + 1)), term, tables, mine, (X, dx), room, part)
        for row in range(n3 + 1):
            out[i, row] += part[row, row]


@njit(cache=True)
def _meetings(places, perms, weights, pairs, local, n):
    """For every image (here, there, h) and slot p of j's place: the pairs of i and j that meet, and where in a flat
    (n, n, 9) their four 3 x 3 blocks begin (the two with a plus sign first); and the squared weight of every slot."""
    L, H, P = places.shape[0], perms.shape[0], perms.shape[1]
    out = np.empty((L, L, H, P, 6), np.int64)
    for here in range(L):
        for there in range(L):
            for h in range(H):
                for p in range(P):
                    qi, qj = places[here, perms[h, p]], places[there, p]
                    a, b = 9 * n * local[here, pairs[qi, 0]], 9 * n * local[here, pairs[qi, 1]]
                    r, s = 9 * local[there, pairs[qj, 0]], 9 * local[there, pairs[qj, 1]]
                    row = out[here, there, h, p]
                    row[0], row[1], row[2], row[3], row[4], row[5] = qi, qj, a + r, b + s, a + s, b + r
    return out, weights * weights


@njit(fastmath=True, cache=True)
def _add_pairs(meetings, squares, dxi, dxj, k1, out):
    """out (n*n*9,) += k1 J_i^T J_j, pair by pair."""
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


@parallel_loop(fastmath=True)
def _matrix(term, X, dx, forces, cross, energies):
    places, perms, weights, pairs, incident, signs, order, rate, norm, amplitude = term
    M, L, N, D = X.shape[0], places.shape[0], incident.shape[1], incident.shape[2]
    n3 = 3 * N
    with_energies = energies.shape[0] > 0
    atoms, sizes, local, slots, plus, counts = _compact(incident, signs)
    n, inverse = atoms.shape[1], _inverses(perms)
    meetings, squares = _meetings(places, perms, weights, pairs, local, n)
    spread = np.empty((M, L, n, 3, D))
    for i in prange(M):
        spread[i] = _spread(places, sizes, slots, plus, weights, dx[i])
    for k in prange(M):
        i = k // 2 if k % 2 == 0 else M - 1 - k // 2  # short rows beside long ones, so that threads end together
        delta, near = np.empty(places.shape[1]), np.empty(D)
        mine, theirs = np.empty(3 * n), np.empty(3 * n)
        blocks, part = np.empty(9 * n * n), np.empty((3 * n, 3 * n))
        for j in range(i + 1):
            for here in range(L):
                for there in range(L):
                    rows, columns = 3 * sizes[here], 3 * sizes[there]
                    blocks[:], part[:] = 0.0, 0.0
                    both = 0.0
                    for h in range(perms.shape[0]):
                        s2 = _difference(X[j, there], X[i, here], perms[h], delta)
                        _pull(spread[j, there], sizes[there], slots[there], counts[there], delta, near, theirs)
                        s2 = _difference(X[i, here], X[j, there], inverse[h], delta)
                        _pull(spread[i, here], sizes[here], slots[here], counts[here], delta, near, mine)
                        k0, k1, k2 = factors(s2, order, rate, amplitude * norm)
                        _add_pairs(meetings[here, there, h], squares, dx[i], dx[j], k1, blocks)
                        for row in range(rows):
                            f = k2 * mine[row]
                            for column in range(columns):
                                part[row, column] += f * theirs[column]
                        if with_energies:
                            both += k0
                            for b in range(sizes[there]):
                                for c in range(3):
                                    cross[i, j * n3 + 3 * atoms[there, b] + c] += k1 * theirs[3 * b + c]
                            if j < i:
                                for a in range(sizes[here]):
                                    for e in range(3):
                                        cross[j, i * n3 + 3 * atoms[here, a] + e] += k1 * mine[3 * a + e]
                    if with_energies:
                        energies[i, j] += both
                    for a in range(sizes[here]):
                        for e in range(3):
                            row = i * n3 + 3 * atoms[here, a] + e
                            for b in range(sizes[there]):
                                at, column = 9 * (n * a + b) + 3 * e, j * n3 + 3 * atoms[there, b]
                                for c in range(3):
                                    forces[row, column + c] += part[3 * a + e, 3 * b + c] + blocks[at + c]


def covariance_columns(groups, term, left, right, first: int, results, threads: int) -> None:
    """Add to results, forces (m, 3N, C) and energies (m, C) (or (0, C): not wanted), the covariance of one term between
    C labels of the structures `right` and those of the m structures of `left` from `first` on.

    groups: structures, starts and components of protocol.ChosenLabels; left, right: descriptors (M, L, P) and gradients
    (M, P_all, 3) each."""
    use_threads(threads)
    _columns(groups, term, left, right, first, results)


def covariance_diagonal(term, X, dx, out, threads: int) -> None:
    """Add to out (M, 3N+1) one term's variance of every force component and of the energy (last)."""
    use_threads(threads)
    _diagonal(term, X, dx, out)


def covariance_matrix(term, X, dx, out, energies: bool, threads: int) -> None:
    """Add to the lower triangle of out (n, n) one term's covariance of all labels (3NM forces, then M energies).

    Of the blocks on the diagonal both triangles are filled; what is above them is left alone."""
    use_threads(threads)
    n = len(out) - len(X) if energies else len(out)
    cross, both = (out[n:, :n], out[n:, n:]) if energies else (out[:0], out[:0])
    _matrix(term, X, dx, out[:n, :n], cross, both)


def flat_term(term: Term, pairs: PairSet) -> tuple:
    """A term as plain arrays for compiled code: places, perms, weights, the molecule's pairs, incident slots and their
    signs, kernel form, amplitude."""
    slots, signs = incident_slots(term, pairs)
    return term.places, term.perms, term.weights, pairs.pairs, slots, signs, *compiled_form(term.kernel), term.amplitude
