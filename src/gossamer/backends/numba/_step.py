"""Compiled sums over training rows for one query at a time; `layout` makes the arrays read here.

    E = sum_j k1 a + k0 w,   g = dE/dx = sum_j k1 V_j - (k2 a + k1 w) (x - X_j),   a = (x - X_j) . V_j

with |x - X_j|^2 = |x|^2 + |X_j|^2 - 2 x . X_j on centred descriptors: two dot products with X_j and V_j give the
radial factors, and the same two vectors weighted by them the gradient.  Every number is read twice, the second time
from the nearest cache.  Small terms stand in blocks (`_blocks`), large ones in tiles (`_tiles`).
"""

import numba
import numpy as np
from numba import njit, prange

from gossamer.backends.numba._blocks import inlined, over_blocks, over_blocks_and_members
from gossamer.backends.numba._places import (
    AMPLITUDE,
    BLOCK,
    COLUMNS,
    DOTS,
    DOUBLES,
    HEAD,
    INTS,
    KIND,
    PLACES,
    ROWS,
    SLOTS,
    TILES,
    padded,
)
from gossamer.backends.numba._tiles import over_tiles
from gossamer.backends.numba._vectors import CACHED, WIDTH, load, total
from gossamer.baselines._repulsion import add_one
from gossamer.descriptors._basis import add_functions, add_transposed
from gossamer.descriptors._pairs import inverse_distance
from gossamer.loops import displacement, parallel_loop, use_threads

LARGEST = np.finfo(np.float64).max
HUGE = 1e6  # 1/Angstrom; the largest 1/r is said to be this where atoms coincide or a position is not finite


@inlined
def _query(row, ints, doubles, x, work):
    """Puts a term's centred descriptors and their squares into `work`, and zeros where sums go; returns where."""
    P, L, D = row[SLOTS], row[PLACES], row[DOTS]
    wide = padded(P)
    starts, n_basis = row[INTS], ints[row[INTS] + P]
    slots, basis = starts + P + 1, row[DOUBLES] + HEAD
    shift = basis + n_basis
    at_query = 0
    at_out = L * wide
    at_squares = at_out + L * wide * WIDTH
    at_sums = at_squares + padded(L)
    at_dots = at_sums + L * WIDTH
    work[:at_dots] = 0.0
    for place in range(L):
        squares = 0.0
        for k in range(P):
            value = -doubles[shift + k]
            for e in range(ints[starts + k], ints[starts + k + 1]):
                value += doubles[basis + e] * x[ints[slots + place * n_basis + e]]
            work[at_query + place * wide + k] = value
            squares += value * value
        work[at_squares + place] = squares
    return at_query, at_out, at_squares, at_sums, at_dots, at_dots + 2 * BLOCK * D


@inlined
def _add_gradient(row, ints, doubles, work, at, g):
    """Adds to g (P_all,) what a term's rows left in `work`."""
    P, L, kind, amplitude = row[SLOTS], row[PLACES], row[KIND], doubles[row[DOUBLES] + AMPLITUDE]
    at_query, at_out, _, at_sums, _, _ = at
    wide, starts, n_basis = padded(P), row[INTS], ints[row[INTS] + P]
    slots, basis = starts + P + 1, row[DOUBLES] + HEAD
    for place in range(L):
        sums = total(load(work, at_sums + place * WIDTH))
        for k in range(P):
            if kind == COLUMNS:
                value = total(load(work, at_out + (place * wide + k) * WIDTH))
            else:
                value = work[at_out + k]
            value = amplitude * (value - sums * work[at_query + place * wide + k])
            for e in range(ints[starts + k], ints[starts + k + 1]):
                g[ints[slots + place * n_basis + e]] += doubles[basis + e] * value


@njit(fastmath=True, cache=CACHED)
def _terms(share, terms, x, g, work):
    """Part share[0] of share[1] of every term's training rows: adds to g (P_all,), returns the energy; with g None the
    energy alone."""
    (part, parts), (layout, ints, doubles, floats) = share, terms
    energy = 0.0
    for t in range(layout.shape[0]):
        row = layout[t]
        kind = row[KIND]
        first, last = part * row[TILES] // parts, (part + 1) * row[TILES] // parts
        if first == last:
            continue
        at = _query(row, ints, doubles, x, work)
        if kind == COLUMNS:
            part_energy = over_blocks((first, last), row, ints, doubles, work, at, g)
        elif kind == ROWS:
            part_energy = over_tiles((first, last), row, doubles, doubles, work, at, g)
        else:
            part_energy = over_tiles((first, last), row, floats, doubles, work, at, g)
        amplitude = doubles[row[DOUBLES] + AMPLITUDE]
        energy += amplitude * part_energy
        if g is None:
            continue
        _add_gradient(row, ints, doubles, work, at, g)
    return energy


@njit(fastmath=True, cache=CACHED)
def _terms_and_members(terms, theirs, x, g, work, energies):
    """All of every term's training rows, which stand in blocks: adds to g (P_all,) and to the members' energies
    (K + 1,), returns the energy.  theirs: as of `over_blocks_and_members`, with where each term's begin (T,)."""
    (layout, ints, doubles, _), (members, folds, first, first_row) = terms, theirs
    energy = 0.0
    for t in range(layout.shape[0]):
        row = layout[t]
        at = _query(row, ints, doubles, x, work)
        own = members, folds, first[t], first_row[t]
        part_energy = over_blocks_and_members(row, (ints, doubles), work, at, own, energies)
        energy += doubles[row[DOUBLES] + AMPLITUDE] * part_energy
        _add_gradient(row, ints, doubles, work, at, g)
    return energy


@njit(fastmath=True, error_model="numpy", cache=CACHED)
def _descriptors(positions, pairs, x, dx):
    """x = 1/r and its gradient (pairs.PairSet.forward); returns the largest x, without finishing where it is huge."""
    largest = 0.0
    for p in range(pairs.shape[0]):
        a, b, c = displacement(positions, pairs[p, 0], pairs[p, 1])
        r2 = a * a + b * b + c * c
        if r2 < 1e-12:
            return HUGE
        largest = max(largest, inverse_distance(p, a, b, c, r2, x, dx))
    return largest


@njit(fastmath=True, cache=CACHED)
def _forces(pairs, dx, g, scale, forces):
    """forces = -scale (dx/dR)^T of the sum of g's rows."""
    forces[:] = 0.0
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        f = 0.0
        for part in range(g.shape[0]):
            f += g[part, p]
        f *= scale
        a, b, c = f * dx[p, 0], f * dx[p, 1], f * dx[p, 2]
        forces[i, 0] -= a
        forces[i, 1] -= b
        forces[i, 2] -= c
        forces[j, 0] += a
        forces[j, 1] += b
        forces[j, 2] += c


@njit(cache=CACHED)
def _finite(positions):
    """Whether no number is NaN or infinite; here alone NaN must count, so without fastmath."""
    for i in range(positions.shape[0]):
        for c in range(3):
            if not abs(positions[i, c]) <= LARGEST:
                return False
    return True


@njit(fastmath=True, cache=CACHED)
def _one_thread(positions, pairs, terms, functions, scratch, scale, forces):
    (near, walled, reach), (x, dx, g, work) = pairs, scratch
    if not _finite(positions):
        return 0.0, HUGE
    nearest = _descriptors(positions, near, x, dx)
    g[:] = 0.0
    energy = _terms((0, 1), terms, x, g[0], work[0]) + add_functions((0, 1), x, functions, g[0])
    energy *= scale
    _forces(near, dx, g, scale, forces)
    return energy + add_one(positions, (walled, reach), forces), nearest


@njit(fastmath=True, cache=CACHED)
def evaluate_with_members(positions, pairs, terms, functions, scratch, members, forces):
    """As `evaluate`, in one thread, of terms whose rows stand in blocks, with the energies of a committee beside it.

    members: scale; as of `_terms_and_members`; tables (K, classes, B) of their pair functions; energies (K + 1,), to
    which theirs are added, without their constants."""
    (near, walled, reach), (x, dx, g, work) = pairs, scratch
    (scale, theirs, tables, energies), (slots, classes, table, numbers) = members, functions
    energies[:] = 0.0
    if not _finite(positions):
        return 0.0, HUGE
    nearest = _descriptors(positions, near, x, dx)
    g[:] = 0.0
    energy = _terms_and_members(terms, theirs, x, g[0], work[0], energies)
    energy += add_functions((0, 1), x, functions, g[0])
    if len(slots) > 0:
        values = np.zeros(table.shape)
        add_transposed(x, (slots, classes, numbers), None, 1.0, values)
        for k in range(len(tables)):
            energies[k] += (values * tables[k]).sum()
    energies *= scale
    _forces(near, dx, g, scale, forces)
    return scale * energy + add_one(positions, (walled, reach), forces), nearest


@parallel_loop(cache=CACHED, fastmath=True)
def _in_parallel(positions, pairs, terms, functions, scratch, scale, forces):
    (near, walled, reach), (x, dx, g, work) = pairs, scratch
    if not _finite(positions):
        return 0.0, HUGE
    nearest = _descriptors(positions, near, x, dx)
    g[:] = 0.0
    parts = len(g)
    energies = np.empty(parts)
    for part in prange(parts):
        energies[part] = _terms((np.int64(part), parts), terms, x, g[part], work[part])
        energies[part] += add_functions((np.int64(part), parts), x, functions, g[part])
    _forces(near, dx, g, scale, forces)
    return scale * energies.sum() + add_one(positions, (walled, reach), forces), nearest


@njit(fastmath=True, cache=CACHED)
def _members_of(part, here, members, scratch, scale, energies, forces):
    """The members whose sums are thread `part`'s."""
    (near, x, dx), (terms, functions), (g, work) = here, members, scratch
    slots, classes, tables, numbers = functions
    n_members, parts = len(energies), len(work)
    for k in range(part * n_members // parts, (part + 1) * n_members // parts):
        share = np.int64(k), np.int64(n_members)
        if forces is None:
            energies[k] += scale * _terms(share, terms, x, None, work[part])
        else:
            g[k] = 0.0
            own = slots, classes, tables[k], numbers
            sums = _terms(share, terms, x, g[k], work[part]) + add_functions((0, 1), x, own, g[k])
            energies[k] += scale * sums
            _forces(near, dx, g[k : k + 1], scale, forces[k])


@njit(fastmath=True, cache=CACHED)
def _members_before(positions, here, members, scale, energies, forces):
    """What all members share: descriptors; where energies alone are asked for, those of the pair functions as well."""
    (near, x, dx), (_, (slots, classes, tables, numbers)) = here, members
    energies[:] = 0.0
    if not _finite(positions):
        return HUGE
    nearest = _descriptors(positions, near, x, dx)
    if forces is None and len(slots) > 0:
        values = np.zeros(tables.shape[1:])
        add_transposed(x, (slots, classes, numbers), None, 1.0, values)
        for k in range(len(energies)):
            energies[k] += scale * (values * tables[k]).sum()
    return nearest


@njit(fastmath=True, cache=CACHED)
def _members(positions, here, members, scratch, scale, energies, forces):
    nearest = _members_before(positions, here, members, scale, energies, forces)
    if nearest < HUGE:
        _members_of(0, here, members, scratch, scale, energies, forces)
    return nearest


@parallel_loop(cache=CACHED, fastmath=True)
def _members_in_parallel(positions, here, members, scratch, scale, energies, forces):
    nearest = _members_before(positions, here, members, scale, energies, forces)
    (near, x, dx), (terms, functions), (g, work) = here, members, scratch  # numba's loops take no tuples of tuples
    for part in prange(len(work)):
        if nearest < HUGE:
            _members_of(np.int64(part), (near, x, dx), (terms, functions), (g, work), scale, energies, forces)
    return nearest


def evaluate_members(positions, here, members, scratch, scale, energies, forces) -> float:
    """Energies (K,) of one structure by K members of a committee, without their constants, and their forces (K, N, 3),
    or None for forces, which saves a good half; returns 1/r of the nearest pair, HUGE as in `evaluate`.

    here: pairs (P_all, 2), and scratch x (P_all,) and dx (P_all, 3); members: the arrays of FlatTerms, whose rows are
    those of the members one after another, as many of each, and of FlatFunctions, with tables (K, classes, B); scratch:
    g (K, P_all), work (threads, .)."""
    threads = len(scratch[1])
    if threads == 1:
        return _members(positions, here, members, scratch, scale, energies, forces)
    use_threads(threads)
    return _members_in_parallel(positions, here, members, scratch, scale, energies, forces)


def most_threads() -> int:
    """Threads that numba was started with; it cannot use more."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def evaluate(positions, pairs, terms, functions, scratch, scale, forces) -> tuple[float, float]:
    """Energy of one structure without the constant, and 1/r of its nearest pair; its forces into `forces` (N, 3).
    Where positions are not finite nothing is computed and 1/r is HUGE.

    pairs: of the descriptors (P_all, 2), and the two arrays of the wall (baselines._repulsion); terms, functions: the
    arrays of FlatTerms and FlatFunctions; scratch: x (P_all,), dx (P_all, 3), g (threads, P_all), work (threads, .).
    A plain tuple of arrays costs a call about 0.1 us more than the arrays would."""
    threads = len(scratch[2])
    if threads == 1:
        return _one_thread(positions, pairs, terms, functions, scratch, scale, forces)
    use_threads(threads)
    return _in_parallel(positions, pairs, terms, functions, scratch, scale, forces)


@njit(fastmath=True, cache=CACHED)
def _share(part, x, terms, work, energies, g):
    """The queries of thread `part`."""
    parts = len(work)
    for q in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        energies[q] += _terms((0, 1), terms, x[q], g[q], work[part])


@parallel_loop(cache=CACHED, fastmath=True)
def _many(x, terms, work, energies, g):
    for part in prange(len(work)):
        _share(np.int64(part), x, terms, work, energies, g)


def add_queries(x, terms, work, energies, g) -> None:
    """Add the energies of terms, the arrays of FlatTerms, to (Q,) and gradients to g (Q, P_all) at descriptors x
    (Q, P_all).

    work (threads, .) is scratch; a query is one thread's."""
    use_threads(len(work))
    _many(x, terms, work, energies, g)
