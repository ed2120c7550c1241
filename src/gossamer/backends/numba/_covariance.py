"""Compiled loops that build blocks of the covariance: the whole matrix, chosen columns, the diagonal.

Block of structures i and j, with delta_p = x_i[h p] - x_j[p] at slot p of j's place, summed over places and
permutations h (docs/theory.md, Covariance of the labels):
force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0.

`term` and `touched` are the tuples of `FlatTerm`.  A pair touches two atoms, so J_i^T J_j is four 3 x 3 blocks per
pair and J^T delta one short dot product per atom; nothing of size P x 3N is made.  A place of a local term touches few
atoms of the molecule: sums run over those, and go to their rows and columns when the place is done.  Held against
tests/reference.py by tests/contract/test_kernel_sum.py.

What a thread does is a function of its own, and tables are made in NumPy: numba takes longer over code within a
parallel loop, and over the sentences of its own errors, which come with every assignment of one array to a
part of another."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from gossamer.backends.incidence import incident_slots
from gossamer.backends.numba._radial import factors
from gossamer.kernels import compiled_form
from gossamer.loops import parallel_loop, use_threads
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


class FlatTerm(NamedTuple):
    """A term in plain arrays.

    term: places (L, P), perms (H, P), their inverses, weights (P,), the molecule's pairs (P_all, 2), the kernel's
    order, rate and norm, and the amplitude.  touched, the atoms that places touch: atoms (L, n), how many they are
    (L,), where an atom stands among them (L, N) or -1, and for each the slots (L, n, D) that hold it, their signs
    (L, n, D) and their number (L, n)."""

    term: tuple
    touched: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, term: Term, pairs: PairSet) -> "FlatTerm":
        arrays = term.places, term.perms, term.inverse_perms, term.weights, pairs.pairs
        copies = (np.array(array, order="C") for array in arrays)  # numba compiles anew for arrays of another order
        flat = *copies, *compiled_form(term.kernel), float(term.amplitude)
        slots, signs = incident_slots(term, pairs)
        counts = np.count_nonzero(signs, axis=2)
        meets = counts > 0
        sizes = meets.sum(1)
        atoms = np.array(np.argsort(~meets, axis=1, kind="stable")[:, : sizes.max()], order="C")
        local = np.where(meets, np.cumsum(meets, axis=1) - 1, -1)
        tables = (np.take_along_axis(table, atoms[:, :, None], axis=1) for table in (slots, signs))
        return cls(flat, (atoms, sizes, local, *tables, np.take_along_axis(counts, atoms, axis=1)))

    @property
    def meetings(self) -> tuple[np.ndarray, np.ndarray]:
        """For every image (here, there, h) and slot p of j's place: the pairs of i and j that meet, and where in a flat
        (n, n, 9) their four 3 x 3 blocks begin (the two with a plus sign first), (L, L, H, P, 6); and the squared
        weight of every slot (P,)."""
        places, perms, _, weights, pairs, *_ = self.term
        atoms, _, local, *_ = self.touched
        (L, P), H = places.shape, len(perms)
        mine, place = places[:, perms], np.arange(L)[:, None, None]  # (L, H, P)
        rows = 9 * atoms.shape[1] * local[place[..., None], pairs[mine]]  # (L, H, P, 2)
        columns = 9 * local[place, pairs[places]]  # (L, P, 2)
        out = np.empty((L, L, H, P, 6), np.int64)
        out[..., 0], out[..., 1] = mine[:, None], places[None, :, None]
        for k, (a, b) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
            out[..., 2 + k] = rows[:, None, ..., a] + columns[None, :, None, :, b]
        return out, weights * weights


@njit(fastmath=True, cache=True)
def _spread(term, touched, dx, out):
    """Fill (L, n, 3, D): the weighted gradients (P_all, 3) of the pairs at every atom of every place, zero where the
    list has ended."""
    places, _, _, weights, _, _, _, _, _ = term
    _, sizes, _, slots, signs, _ = touched
    for place in range(slots.shape[0]):
        for k in range(sizes[place]):
            for d in range(slots.shape[2]):
                slot = slots[place, k, d]
                f = signs[place, k, d] * weights[slot]
                for c in range(3):
                    out[place, k, c, d] = f * dx[places[place, slot], c]


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


@njit(fastmath=True, cache=True)
def _difference(x, other, inverse, out):
    """out (P,) = x - other[inverse]; returns its squared norm."""
    s2 = 0.0
    for p in range(out.shape[0]):
        out[p] = x[p] - other[inverse[p]]
        s2 += out[p] * out[p]
    return s2


@njit(fastmath=True, cache=True)
def _add_columns(labels, term, touched, mine, right, room, out):
    """out (C, 3N+1) += covariance of structure i's labels (3N forces, then the energy) with C labels of structure j.

    labels: j and components (C,); mine: Xi (L, P), dxi (P_all, 3) and spread (L, n, 3, D) of structure i; right:
    X (M, L, P) and dx (M, P_all, 3), j's among them; room: (3n,), (P,) and (D,) numbers of work space."""
    places, perms, inverse, weights, pairs, order, rate, norm, amplitude = term
    atoms, sizes, local, slots, signs, counts = touched
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


@njit(fastmath=True, cache=True)
def _own(i, term, touched, side):
    """Of structure i: its descriptors, gradients and spread gradients; and work space for `_add_columns`."""
    slots, (X, dx) = touched[3], side
    L, n, D = slots.shape
    spread = np.empty((L, n, 3, D))
    _spread(term, touched, dx[i], spread)
    return (X[i], dx[i], spread), (np.empty(3 * n), np.empty(X.shape[2]), np.empty(D))


@njit(fastmath=True, cache=True)
def _add_strip(at, groups, term, touched, left, right, results):
    """The covariance of all chosen labels with those of structure at[0] of `left`, into row at[1] of the results."""
    (i, k), (structures, starts, components), (forces, energies) = at, groups, results
    n3 = forces.shape[1]
    mine, room = _own(i, term, touched, left)
    for g in range(structures.shape[0]):
        lo, hi = starts[g], starts[g + 1]
        part = np.zeros((hi - lo, n3 + 1))
        _add_columns((structures[g], components[lo:hi]), term, touched, mine, right, room, part)
        for row in range(n3):
            for column in range(hi - lo):
                forces[k, row, lo + column] += part[column, row]
        if energies.shape[0] > 0:
            for column in range(hi - lo):
                energies[k, lo + column] += part[column, n3]


@parallel_loop(fastmath=True)
def _columns(groups, term, touched, left, right, begin, results):
    for k in prange(results[0].shape[0]):
        _add_strip((np.int64(begin + k), np.int64(k)), groups, term, touched, left, right, results)


@njit(fastmath=True, cache=True)
def _add_variances(i, term, touched, side, components, out):
    """The variance of every force component of structure i and of its energy; components: 0 to 3N."""
    mine, room = _own(i, term, touched, side)
    part = np.zeros((components.shape[0], components.shape[0]))
    _add_columns((i, components), term, touched, mine, side, room, part)
    for row in range(components.shape[0]):
        out[i, row] += part[row, row]


@parallel_loop(fastmath=True)
def _diagonal(term, touched, side, components, out):
    for i in prange(out.shape[0]):
        _add_variances(np.int64(i), term, touched, side, components, out)


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


@njit(fastmath=True, cache=True)
def _spreads(term, touched, dx):
    """Spread gradients of all structures (M, L, n, 3, D)."""
    L, n, D = touched[3].shape
    out = np.empty((dx.shape[0], L, n, 3, D))
    for i in range(dx.shape[0]):
        _spread(term, touched, dx[i], out[i])
    return out


@njit(fastmath=True, cache=True)
def _add_rows(i, term, touched, meetings, side, energies, out):
    """The rows of structure i in the lower triangle of out."""
    (tables, squares), (X, dx, spread) = meetings, side
    places, perms, inverse, _, _, order, rate, norm, amplitude = term
    atoms, sizes, local, slots, _, counts = touched
    L, n, D = slots.shape
    n3 = 3 * local.shape[1]
    all_forces = n3 * X.shape[0]
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
                    _add_pairs(tables[here, there, h], squares, dx[i], dx[j], k1, blocks)
                    for row in range(rows):
                        f = k2 * mine[row]
                        for column in range(columns):
                            part[row, column] += f * theirs[column]
                    if energies:
                        both += k0
                        for b in range(sizes[there]):
                            for c in range(3):
                                out[all_forces + i, j * n3 + 3 * atoms[there, b] + c] += k1 * theirs[3 * b + c]
                        if j < i:
                            for a in range(sizes[here]):
                                for e in range(3):
                                    out[all_forces + j, i * n3 + 3 * atoms[here, a] + e] += k1 * mine[3 * a + e]
                if energies:
                    out[all_forces + i, all_forces + j] += both
                for a in range(sizes[here]):
                    for e in range(3):
                        row = i * n3 + 3 * atoms[here, a] + e
                        for b in range(sizes[there]):
                            at, column = 9 * (n * a + b) + 3 * e, j * n3 + 3 * atoms[there, b]
                            for c in range(3):
                                out[row, column + c] += part[3 * a + e, 3 * b + c] + blocks[at + c]


@parallel_loop(fastmath=True)
def _matrix(term, touched, meetings, side, energies, out):
    M = side[0].shape[0]
    for k in prange(M):
        i = k // 2 if k % 2 == 0 else M - 1 - k // 2  # short rows beside long ones, so that threads end together
        _add_rows(np.int64(i), term, touched, meetings, side, energies, out)


def covariance_columns(groups, flat: FlatTerm, left, right, first: int, results, threads: int) -> None:
    """Add to results, forces (m, 3N, C) and energies (m, C) (or (0, C): not wanted), the covariance of one term between
    C labels of the structures `right` and those of the m structures of `left` from `first` on.

    groups: structures, starts and components of protocol.ChosenLabels; left, right: descriptors (M, L, P) and gradients
    (M, P_all, 3) each."""
    use_threads(threads)
    _columns(groups, *flat, left, right, first, results)


def covariance_diagonal(flat: FlatTerm, X, dx, out, threads: int) -> None:
    """Add to out (M, 3N+1) one term's variance of every force component and of the energy (last)."""
    use_threads(threads)
    _diagonal(*flat, (X, dx), np.arange(out.shape[1]), out)


def covariance_matrix(flat: FlatTerm, X, dx, out, energies: bool, threads: int) -> None:
    """Add to the lower triangle of out (n, n) one term's covariance of all labels (3NM forces, then M energies).

    Of the blocks on the diagonal both triangles are filled; what is above them is left alone."""
    use_threads(threads)
    _matrix(*flat, flat.meetings, (X, dx, _spreads(*flat, dx)), energies, out)
