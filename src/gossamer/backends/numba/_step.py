"""Compiled sums over training rows for one query at a time; model.single lays out the arrays read here.

    E = sum_j k1 a + k0 w,   g = dE/dx = sum_j k1 V_j - (k2 a + k1 w) (x - X_j),   a = (x - X_j) . V_j

with |x - X_j|^2 = |x|^2 + |X_j|^2 - 2 x . X_j on centred descriptors: two dot products with X_j and V_j give the
radial factors, and the same two vectors weighted by them the gradient.  Every number is read twice, the second time
from the nearest cache.  Small terms stand in blocks of BLOCK rows, rows side by side in a vector (`_columns`); large
ones in tiles of WIDTH rows, pairs side by side (`_rows`), in float64 or float32.
"""

import numba
import numpy as np
from numba import njit, prange

from gossamer.backends.numba._radial import exponent, factors, polynomials
from gossamer.backends.numba._simd import WIDTH, exp, fma, lane, load, root, splat, store, total, totals
from gossamer.descriptors._pairs import inverse_distance
from gossamer.loops import parallel_loop, use_threads

BLOCK = 4 * WIDTH  # rows of a block of `_columns`
(
    KIND,  # COLUMNS, ROWS (float64) or ROWS_SINGLE (float32)
    SLOTS, PLACES, PERMS, DOTS,  # P, L, H, D
    TILES,  # blocks or tiles of training rows
    INTS,  # in `ints`: starts (P+1) of the rows of the sparse basis, their molecule pairs (L, E), dots (D, 3)
    ORDER,  # of the kernel's polynomials (kernels.radial)
    DOUBLES,  # in `doubles`: RATE, NORM, AMPLITUDE, then from HEAD on the sparse basis (E,), shift (P,), table (H, D)
    DATA,  # in `doubles` or `floats`: the training rows
    SCALARS,  # in `doubles`: per tile of `_rows` |X_j|^2, X_j . V_j, w_j, WIDTH each
    COLUMNS_OF_LAYOUT,
) = range(12)  # fmt: skip
COLUMNS, ROWS, ROWS_SINGLE = range(3)
RATE, NORM, AMPLITUDE, HEAD = range(4)
LARGEST = np.finfo(np.float64).max
HUGE = 1e6  # 1/Angstrom; the largest 1/r is said to be this where atoms coincide or a position is not finite


@njit(inline="always")
def padded(n):
    """n rounded up to whole vectors."""
    return (n + WIDTH - 1) // WIDTH * WIDTH


def work_size(row) -> int:
    """Doubles of scratch a row of the layout needs."""
    P, L, H, D = padded.py_func(row[SLOTS]), row[PLACES], row[PERMS], row[DOTS]
    return padded.py_func(L * (P + WIDTH * P + 1 + WIDTH) + WIDTH + 2 * BLOCK * (D + H)) + 2 * WIDTH


@njit(fastmath=True, cache=True)
def _factors(s2, a, w, order, rate, norm):
    """Energy k1 a + k0 w, and the weights k1 and k2 a + k1 w of V and X, for WIDTH rows; order, rate, norm: see
    kernels.radial."""
    q = splat(rate) * root(s2)
    decay = splat(norm) * exp(exponent(q, order))
    low, middle, high = polynomials(splat(1.0), q, order)
    k1 = splat(rate * rate) * middle * decay
    k2 = splat(rate * rate * rate * rate) * low * decay
    return fma(k1, a, high * decay * w), k1, fma(k2, a, k1 * w)


@njit(fastmath=True, cache=True)
def _columns(first, last, row, ints, doubles, work, at_query, at_out, at_squares, at_sums, at_dots, at_images):
    P, L, H, D = row[SLOTS], row[PLACES], row[PERMS], row[DOTS]
    wide = padded(P)
    order, rate, norm = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    n_basis = ints[row[INTS] + P]
    dots = row[INTS] + P + 1 + L * n_basis
    table = row[DOUBLES] + HEAD + n_basis + P
    zero = splat(0.0)
    energy = zero
    for tile in range(first, last):
        X = row[DATA] + tile * BLOCK * (2 * P + 3)
        V = X + BLOCK * P
        squares = V + BLOCK * P
        for place in range(L):
            query, out = at_query + place * wide, at_out + place * wide * WIDTH
            xx, sums = splat(work[at_squares + place]), load(work, at_sums + place * WIDTH)
            for t in range(D):
                x, y, n = query + ints[dots + 3 * t], ints[dots + 3 * t + 1] * BLOCK, ints[dots + 3 * t + 2]
                s0, s1, s2, s3, a0, a1, a2, a3 = zero, zero, zero, zero, zero, zero, zero, zero
                for k in range(n):
                    q = splat(work[x + k])
                    at = X + y + k * BLOCK
                    s0 = fma(q, load(doubles, at), s0)
                    s1 = fma(q, load(doubles, at + WIDTH), s1)
                    s2 = fma(q, load(doubles, at + 2 * WIDTH), s2)
                    s3 = fma(q, load(doubles, at + 3 * WIDTH), s3)
                    at = V + y + k * BLOCK
                    a0 = fma(q, load(doubles, at), a0)
                    a1 = fma(q, load(doubles, at + WIDTH), a1)
                    a2 = fma(q, load(doubles, at + 2 * WIDTH), a2)
                    a3 = fma(q, load(doubles, at + 3 * WIDTH), a3)
                minus_two = splat(-2.0)
                at = at_dots + 2 * BLOCK * t
                store(work, at, minus_two * s0)
                store(work, at + WIDTH, minus_two * s1)
                store(work, at + 2 * WIDTH, minus_two * s2)
                store(work, at + 3 * WIDTH, minus_two * s3)
                store(work, at + 4 * WIDTH, a0)
                store(work, at + 5 * WIDTH, a1)
                store(work, at + 6 * WIDTH, a2)
                store(work, at + 7 * WIDTH, a3)
            for h in range(H):
                s0 = xx + load(doubles, squares)
                s1 = xx + load(doubles, squares + WIDTH)
                s2 = xx + load(doubles, squares + 2 * WIDTH)
                s3 = xx + load(doubles, squares + 3 * WIDTH)
                a0 = zero - load(doubles, squares + 4 * WIDTH)
                a1 = zero - load(doubles, squares + 5 * WIDTH)
                a2 = zero - load(doubles, squares + 6 * WIDTH)
                a3 = zero - load(doubles, squares + 7 * WIDTH)
                for t in range(D):
                    r = splat(doubles[table + h * D + t])
                    at = at_dots + 2 * BLOCK * t
                    s0 = fma(r, load(work, at), s0)
                    s1 = fma(r, load(work, at + WIDTH), s1)
                    s2 = fma(r, load(work, at + 2 * WIDTH), s2)
                    s3 = fma(r, load(work, at + 3 * WIDTH), s3)
                    a0 = fma(r, load(work, at + 4 * WIDTH), a0)
                    a1 = fma(r, load(work, at + 5 * WIDTH), a1)
                    a2 = fma(r, load(work, at + 6 * WIDTH), a2)
                    a3 = fma(r, load(work, at + 7 * WIDTH), a3)
                at = at_images + 2 * BLOCK * h
                store(work, at, s0)
                store(work, at + WIDTH, s1)
                store(work, at + 2 * WIDTH, s2)
                store(work, at + 3 * WIDTH, s3)
                store(work, at + 4 * WIDTH, a0)
                store(work, at + 5 * WIDTH, a1)
                store(work, at + 6 * WIDTH, a2)
                store(work, at + 7 * WIDTH, a3)
            for h in range(H):
                at = at_images + 2 * BLOCK * h
                for k in range(0, BLOCK, WIDTH):
                    a = load(work, at + BLOCK + k)
                    w = load(doubles, squares + 2 * BLOCK + k)
                    e, k1, along = _factors(load(work, at + k), a, w, order, rate, norm)
                    energy += e
                    sums += along
                    store(work, at + k, k1)
                    store(work, at + BLOCK + k, along)
            store(work, at_sums + place * WIDTH, sums)
            for t in range(D):
                x, y, n = ints[dots + 3 * t], ints[dots + 3 * t + 1] * BLOCK, ints[dots + 3 * t + 2]
                s0, s1, s2, s3, a0, a1, a2, a3 = zero, zero, zero, zero, zero, zero, zero, zero
                for h in range(H):
                    r = splat(doubles[table + h * D + t])
                    at = at_images + 2 * BLOCK * h
                    s0 = fma(r, load(work, at), s0)
                    s1 = fma(r, load(work, at + WIDTH), s1)
                    s2 = fma(r, load(work, at + 2 * WIDTH), s2)
                    s3 = fma(r, load(work, at + 3 * WIDTH), s3)
                    a0 = fma(r, load(work, at + 4 * WIDTH), a0)
                    a1 = fma(r, load(work, at + 5 * WIDTH), a1)
                    a2 = fma(r, load(work, at + 6 * WIDTH), a2)
                    a3 = fma(r, load(work, at + 7 * WIDTH), a3)
                for k in range(n):
                    o = load(work, out + WIDTH * (x + k))
                    at = V + y + k * BLOCK
                    o = fma(s0, load(doubles, at), o)
                    o = fma(s1, load(doubles, at + WIDTH), o)
                    o = fma(s2, load(doubles, at + 2 * WIDTH), o)
                    o = fma(s3, load(doubles, at + 3 * WIDTH), o)
                    at = X + y + k * BLOCK
                    o = fma(a0, load(doubles, at), o)
                    o = fma(a1, load(doubles, at + WIDTH), o)
                    o = fma(a2, load(doubles, at + 2 * WIDTH), o)
                    o = fma(a3, load(doubles, at + 3 * WIDTH), o)
                    store(work, out + WIDTH * (x + k), o)
    return total(energy)


@njit(fastmath=True, cache=True)
def _rows(first, last, row, data, doubles, work, at_query, at_out, at_squares, at_sums):
    P = padded(row[SLOTS])
    order, rate, norm = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    xx, sums = splat(work[at_squares]), load(work, at_sums)
    minus_two, zero = splat(-2.0), splat(0.0)
    energy = zero
    for tile in range(first, last):
        X0 = row[DATA] + tile * 2 * WIDTH * P
        X1, X2, X3 = X0 + P, X0 + 2 * P, X0 + 3 * P
        V0, V1, V2, V3 = X0 + 4 * P, X0 + 5 * P, X0 + 6 * P, X0 + 7 * P
        s0, s1, s2, s3, a0, a1, a2, a3 = zero, zero, zero, zero, zero, zero, zero, zero
        for p in range(0, P, WIDTH):
            q = load(work, at_query + p)
            s0 = fma(q, load(data, X0 + p), s0)
            s1 = fma(q, load(data, X1 + p), s1)
            s2 = fma(q, load(data, X2 + p), s2)
            s3 = fma(q, load(data, X3 + p), s3)
            a0 = fma(q, load(data, V0 + p), a0)
            a1 = fma(q, load(data, V1 + p), a1)
            a2 = fma(q, load(data, V2 + p), a2)
            a3 = fma(q, load(data, V3 + p), a3)
        at = row[SCALARS] + tile * 3 * WIDTH
        squared = fma(minus_two, totals(s0, s1, s2, s3), xx + load(doubles, at))
        a = totals(a0, a1, a2, a3) - load(doubles, at + WIDTH)
        e, k1, along = _factors(squared, a, load(doubles, at + 2 * WIDTH), order, rate, norm)
        energy += e
        sums += along
        s0, s1, s2, s3 = splat(lane(k1, 0)), splat(lane(k1, 1)), splat(lane(k1, 2)), splat(lane(k1, 3))
        a0, a1, a2, a3 = splat(lane(along, 0)), splat(lane(along, 1)), splat(lane(along, 2)), splat(lane(along, 3))
        for p in range(0, P, WIDTH):
            o = load(work, at_out + p)
            o = fma(s0, load(data, V0 + p), o)
            o = fma(s1, load(data, V1 + p), o)
            o = fma(s2, load(data, V2 + p), o)
            o = fma(s3, load(data, V3 + p), o)
            o = fma(a0, load(data, X0 + p), o)
            o = fma(a1, load(data, X1 + p), o)
            o = fma(a2, load(data, X2 + p), o)
            o = fma(a3, load(data, X3 + p), o)
            store(work, at_out + p, o)
    store(work, at_sums, sums)
    return total(energy)


@njit(fastmath=True, cache=True)
def _terms(part, parts, layout, ints, doubles, floats, x, g, work):
    """The share `part` of `parts` of every term's training rows: adds to g (P_all,), returns the energy."""
    energy = 0.0
    for t in range(layout.shape[0]):
        row = layout[t]
        kind, P, L, D = row[KIND], row[SLOTS], row[PLACES], row[DOTS]
        first, last = part * row[TILES] // parts, (part + 1) * row[TILES] // parts
        if first == last:
            continue
        wide = padded(P)
        starts, n_basis = row[INTS], ints[row[INTS] + P]
        slots, basis = starts + P + 1, row[DOUBLES] + HEAD
        shift = basis + n_basis
        at_query = 0
        at_out = L * wide
        at_squares = at_out + L * wide * WIDTH
        at_sums = at_squares + padded(L)
        at_dots = at_sums + L * WIDTH
        at_images = at_dots + 2 * BLOCK * D
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
        if kind == COLUMNS:
            part_energy = _columns(
                first, last, row, ints, doubles, work,
                at_query, at_out, at_squares, at_sums, at_dots, at_images,
            )  # fmt: skip
        elif kind == ROWS:
            part_energy = _rows(first, last, row, doubles, doubles, work, at_query, at_out, at_squares, at_sums)
        else:
            part_energy = _rows(first, last, row, floats, doubles, work, at_query, at_out, at_squares, at_sums)
        amplitude = doubles[row[DOUBLES] + AMPLITUDE]
        energy += amplitude * part_energy
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
    return energy


@njit(fastmath=True, error_model="numpy", cache=True)
def _descriptors(positions, pairs, x, dx):
    """x = 1/r and its gradient (pairs.PairSet.forward); returns the largest x, without finishing where it is huge."""
    largest = 0.0
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        a = positions[i, 0] - positions[j, 0]
        b = positions[i, 1] - positions[j, 1]
        c = positions[i, 2] - positions[j, 2]
        r2 = a * a + b * b + c * c
        if r2 < 1e-12:
            return HUGE
        largest = max(largest, inverse_distance(p, a, b, c, r2, x, dx))
    return largest


@njit(fastmath=True, cache=True)
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


@njit(cache=True)
def _finite(positions):
    """Whether no number is NaN or infinite; here alone NaN must count, so without fastmath."""
    for i in range(positions.shape[0]):
        for c in range(3):
            if not abs(positions[i, c]) <= LARGEST:
                return False
    return True


@njit(fastmath=True, cache=True)
def _one_thread(positions, pairs, layout, ints, doubles, floats, x, dx, g, work, scale, forces):
    if not _finite(positions):
        return 0.0, HUGE
    nearest = _descriptors(positions, pairs, x, dx)
    g[:] = 0.0
    energy = _terms(0, 1, layout, ints, doubles, floats, x, g[0], work[0])
    _forces(pairs, dx, g, scale, forces)
    return scale * energy, nearest


@parallel_loop(fastmath=True)
def _in_parallel(positions, pairs, layout, ints, doubles, floats, x, dx, g, work, scale, forces):
    if not _finite(positions):
        return 0.0, HUGE
    nearest = _descriptors(positions, pairs, x, dx)
    g[:] = 0.0
    parts = len(g)
    energies = np.empty(parts)
    for part in prange(parts):
        energies[part] = _terms(part, parts, layout, ints, doubles, floats, x, g[part], work[part])
    _forces(pairs, dx, g, scale, forces)
    return scale * energies.sum(), nearest


def most_threads() -> int:
    """Threads that numba was started with; it cannot use more."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def evaluate(positions, pairs, layout, ints, doubles, floats, x, dx, g, work, scale, forces) -> tuple[float, float]:
    """Energy of one structure without the constant, and 1/r of its nearest pair; its forces into `forces` (N, 3).
    Where positions are not finite nothing is computed and 1/r is HUGE.

    x (P_all,), dx (P_all, 3), g (threads, P_all) and work (threads, .) are scratch."""
    if len(g) == 1:
        return _one_thread(positions, pairs, layout, ints, doubles, floats, x, dx, g, work, scale, forces)
    use_threads(len(g))
    return _in_parallel(positions, pairs, layout, ints, doubles, floats, x, dx, g, work, scale, forces)


@parallel_loop(fastmath=True)
def _many(x, layout, ints, doubles, floats, work, energies, g):
    parts = len(work)
    for part in prange(parts):
        for q in range(part * len(x) // parts, (part + 1) * len(x) // parts):
            energies[q] += _terms(0, 1, layout, ints, doubles, floats, x[q], g[q], work[part])


def add_queries(x, layout, ints, doubles, floats, work, energies, g) -> None:
    """Add the terms' energies to (Q,) and gradients to g (Q, P_all) at descriptors x (Q, P_all).

    work (threads, .) is scratch; a query is one thread's."""
    use_threads(len(work))
    _many(x, layout, ints, doubles, floats, work, energies, g)


@parallel_loop(fastmath=True)
def _weights(products, a, query_squares, squares, constants, w, order, rate, norm, energies, sums):
    n_rows = products.shape[1]
    whole = n_rows // WIDTH * WIDTH
    for q in prange(products.shape[0]):
        row, along_row, xx = products[q], a[q], splat(query_squares[q])
        energy, total_along, zero = splat(0.0), splat(0.0), splat(0.0)
        for j in range(0, whole, WIDTH):
            s2 = fma(splat(-2.0), load(row, j), xx + load(squares, j))
            weight = load(w, j) if len(w) > 0 else zero
            e, k1, along = _factors(s2, load(along_row, j) - load(constants, j), weight, order, rate, norm)
            energy += e
            total_along += along
            store(row, j, k1)
            store(along_row, j, along)
        energies[q], sums[q] = total(energy), total(total_along)
        for j in range(whole, n_rows):
            s2 = splat(query_squares[q] + squares[j] - 2.0 * row[j])
            weight = splat(w[j]) if len(w) > 0 else zero
            e, k1, along = _factors(s2, splat(along_row[j] - constants[j]), weight, order, rate, norm)
            energies[q] += lane(e, 0)
            sums[q] += lane(along, 0)
            row[j], along_row[j] = lane(k1, 0), lane(along, 0)


@parallel_loop(fastmath=True)
def _profile(s2, order, rate, norm, k0, k1, k2):
    square, whole = rate * rate, len(s2) // WIDTH
    for part in prange(whole):
        at = part * WIDTH
        q = splat(rate) * root(load(s2, at))
        decay = splat(norm) * exp(exponent(q, order))
        low, middle, high = polynomials(splat(1.0), q, order)
        store(k0, at, high * decay)
        store(k1, at, splat(square) * middle * decay)
        store(k2, at, splat(square * square) * low * decay)
    for at in range(whole * WIDTH, len(s2)):
        k0[at], k1[at], k2[at] = factors(max(s2[at], 0.0), order, rate, norm)


def profile(s2, form, k0, k1, k2, threads: int) -> None:
    """Write the radial factors at squared distances s2 (n,) to k0, k1, k2 (n,)."""
    use_threads(threads)
    order, rate, norm = form
    _profile(s2, order, rate, norm, k0, k1, k2)


def weights(products, a, query_squares, squares, constants, w, form, energies, sums, threads: int) -> None:
    """In place products x . X_j (Q, M) -> k1 and a = x . V_j (Q, M) -> k2 a + k1 w; their sums by query.

    query_squares (Q,) |x|^2, squares (M,) |X_j|^2, constants (M,) X_j . V_j, w (M,) or (0,);
    energies (Q,) = sum_j k1 a + k0 w and sums (Q,) = sum_j k2 a + k1 w are written."""
    use_threads(threads)
    order, rate, norm = form
    _weights(products, a, query_squares, squares, constants, w, order, rate, norm, energies, sums)
