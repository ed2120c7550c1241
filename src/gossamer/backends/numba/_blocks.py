"""Sums over training rows that stand in blocks of BLOCK rows, side by side in vectors: small terms, with their images.

A block is read twice, the second time from the nearest cache.  With permutations the sums run in the adapted basis
(`irreps`): few dot products, turned into all images by a table, weighted, and turned back.  `four` is four vectors, one
number of every row of the block."""

from numba import njit

from gossamer.backends.numba._places import (
    AMPLITUDE,
    BLOCK,
    DATA,
    DOTS,
    DOUBLES,
    HEAD,
    INTS,
    NORM,
    ORDER,
    PERMS,
    PLACES,
    RATE,
    SLOTS,
    TILES,
    padded,
)
from gossamer.backends.numba._vectors import CACHED, WIDTH, fma, load, splat, store, total
from gossamer.backends.numba._weighing import weighted_factors

inlined = njit(fastmath=True, inline="always")  # calls between these would cost small terms a fifth of a step


@inlined
def _four(array, at):
    return load(array, at), load(array, at + WIDTH), load(array, at + 2 * WIDTH), load(array, at + 3 * WIDTH)


@inlined
def _keep(array, at, four):
    store(array, at, four[0])
    store(array, at + WIDTH, four[1])
    store(array, at + 2 * WIDTH, four[2])
    store(array, at + 3 * WIDTH, four[3])


@inlined
def _scaled(r, four):
    return r * four[0], r * four[1], r * four[2], r * four[3]


@inlined
def _plus(r, four, sums):
    """r * four + sums."""
    return fma(r, four[0], sums[0]), fma(r, four[1], sums[1]), fma(r, four[2], sums[2]), fma(r, four[3], sums[3])


@inlined
def _inner(four, other, sum_):
    """The vector sum_ + four[0] * other[0] + ..."""
    return fma(four[3], other[3], fma(four[2], other[2], fma(four[1], other[1], fma(four[0], other[0], sum_))))


@inlined
def _dot_products(basis, ints, doubles, block, work, query, at_dots):
    """-2 x . X_j and x . V_j of the D dot products, which stand in `ints` from `dots` on."""
    (dots, D, _, _), (X, V) = basis, block
    nothing = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for t in range(D):
        x, y, n = query + ints[dots + 3 * t], ints[dots + 3 * t + 1] * BLOCK, ints[dots + 3 * t + 2]
        s, a = nothing, nothing
        for k in range(n):
            q = splat(work[x + k])
            s = _plus(q, _four(doubles, X + y + k * BLOCK), s)
            a = _plus(q, _four(doubles, V + y + k * BLOCK), a)
        _keep(work, at_dots + 2 * BLOCK * t, _scaled(splat(-2.0), s))
        _keep(work, at_dots + 2 * BLOCK * t + BLOCK, a)


@inlined
def _all_images(basis, doubles, scalars, work, xx, at_dots, at_images):
    """|h x - X_j|^2 and (h x - X_j) . V_j of every image h from the dot products."""
    _, D, table, H = basis
    for h in range(H):
        squares, constants = _four(doubles, scalars), _four(doubles, scalars + BLOCK)
        s = xx + squares[0], xx + squares[1], xx + squares[2], xx + squares[3]
        a = _scaled(splat(-1.0), constants)
        for t in range(D):
            r = splat(doubles[table + h * D + t])
            s = _plus(r, _four(work, at_dots + 2 * BLOCK * t), s)
            a = _plus(r, _four(work, at_dots + 2 * BLOCK * t + BLOCK), a)
        _keep(work, at_images + 2 * BLOCK * h, s)
        _keep(work, at_images + 2 * BLOCK * h + BLOCK, a)


@inlined
def _weigh(H, form, doubles, weights, work, at_images, found):
    """Of every image the weights k1 of V_j and k2 a + k1 w_j of X_j, in place; adds to `found`, the energy and the
    latter's sum."""
    (order, rate, norm), (energy, sums) = form, found
    for h in range(H):
        at = at_images + 2 * BLOCK * h
        for k in range(0, BLOCK, WIDTH):
            a, w = load(work, at + BLOCK + k), load(doubles, weights + k)
            e, k1, along = weighted_factors(load(work, at + k), a, w, order, rate, norm)
            energy += e
            sums += along
            store(work, at + k, k1)
            store(work, at + BLOCK + k, along)
    return energy, sums


@inlined
def _gradient(basis, ints, doubles, block, work, out, at_images):
    """Add to the gradient, WIDTH rows' part of each number side by side, what the weighted images of a block give."""
    dots, D, table, H = basis
    X, V = block
    nothing = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for t in range(D):
        x, y, n = ints[dots + 3 * t], ints[dots + 3 * t + 1] * BLOCK, ints[dots + 3 * t + 2]
        s, a = nothing, nothing
        for h in range(H):
            r = splat(doubles[table + h * D + t])
            s = _plus(r, _four(work, at_images + 2 * BLOCK * h), s)
            a = _plus(r, _four(work, at_images + 2 * BLOCK * h + BLOCK), a)
        for k in range(n):
            o = load(work, out + WIDTH * (x + k))
            o = _inner(s, _four(doubles, V + y + k * BLOCK), o)
            o = _inner(a, _four(doubles, X + y + k * BLOCK), o)
            store(work, out + WIDTH * (x + k), o)


@inlined
def _gradient_and_members(basis, ints, arrays, block, work, places, kept):
    """`_gradient`, and the sum over images of k1 (h x - X_j) . V_j with the coefficients V of the row's member, added
    to `kept`: the weights k1, turned back for the gradient, times x . V_j, less their sum times X_j . V_j."""
    dots, D, table, H = basis
    (X, V, theirs, constants), (doubles, members), (query, out, at_images) = block, arrays, places
    nothing = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    weights = nothing
    for h in range(H):
        weights = _plus(splat(-1.0), _four(work, at_images + 2 * BLOCK * h), weights)
    kept = _times(weights, _four(members, constants), kept)
    for t in range(D):
        x, y, n = ints[dots + 3 * t], ints[dots + 3 * t + 1] * BLOCK, ints[dots + 3 * t + 2]
        s, a, m = nothing, nothing, nothing
        for h in range(H):
            r = splat(doubles[table + h * D + t])
            s = _plus(r, _four(work, at_images + 2 * BLOCK * h), s)
            a = _plus(r, _four(work, at_images + 2 * BLOCK * h + BLOCK), a)
        for k in range(n):
            o = load(work, out + WIDTH * (x + k))
            o = _inner(s, _four(doubles, V + y + k * BLOCK), o)
            o = _inner(a, _four(doubles, X + y + k * BLOCK), o)
            store(work, out + WIDTH * (x + k), o)
            m = _plus(splat(work[query + x + k]), _four(members, theirs + y + k * BLOCK), m)
        kept = _times(s, m, kept)
    return kept


@inlined
def _times(four, other, sums):
    """four * other + sums, number by number."""
    return (
        fma(four[0], other[0], sums[0]),
        fma(four[1], other[1], sums[1]),
        fma(four[2], other[2], sums[2]),
        fma(four[3], other[3], sums[3]),
    )


@njit(fastmath=True, cache=CACHED)
def over_blocks_and_members(row, arrays, work, at, theirs, energies):
    """`over_blocks` with all blocks of a term, and the energies of the members of a committee: of every row with its
    member's coefficients, added to energies (K + 1,), where a row of no member has the last.

    theirs: coefficients (blocks, P + 1, BLOCK), flat, V and X_j . V_j; members of the rows (blocks * BLOCK,); where the
    term's begin in either."""
    (ints, doubles), (members, folds, first, first_row) = arrays, theirs
    at_query, at_out, at_squares, at_sums, at_dots, at_images = at
    P, L, H, D = row[SLOTS], row[PLACES], row[PERMS], row[DOTS]
    form = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    n_basis = ints[row[INTS] + P]
    basis = row[INTS] + P + 1 + L * n_basis, D, row[DOUBLES] + HEAD + n_basis + P, H
    wide, energy, amplitude = padded(P), splat(0.0), doubles[row[DOUBLES] + AMPLITUDE]
    for tile in range(row[TILES]):
        X = row[DATA] + tile * BLOCK * (2 * P + 3)
        scalars, V = X + 2 * BLOCK * P, first + tile * BLOCK * (P + 1)
        block = X, X + BLOCK * P, V, V + BLOCK * P
        kept = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for place in range(L):
            query, out, at_sum = at_query + place * wide, at_out + place * wide * WIDTH, at_sums + place * WIDTH
            _dot_products(basis, ints, doubles, (X, X + BLOCK * P), work, query, at_dots)
            xx = splat(work[at_squares + place])
            _all_images(basis, doubles, scalars, work, xx, at_dots, at_images)
            weights, sums = scalars + 2 * BLOCK, load(work, at_sum)
            energy, sums = _weigh(H, form, doubles, weights, work, at_images, (energy, sums))
            store(work, at_sum, sums)
            places = query, out, at_images
            kept = _gradient_and_members(basis, ints, (doubles, members), block, work, places, kept)
        _keep(work, at_dots, kept)
        for k in range(BLOCK):
            energies[folds[first_row + tile * BLOCK + k]] += amplitude * work[at_dots + k]
    return total(energy)


@njit(fastmath=True, cache=CACHED)
def over_blocks(tiles, row, ints, doubles, work, at, g):
    """Energy of the blocks tiles[0] ... tiles[1] of a term's rows; gradients and sums are added to those in `work`,
    gradients not where g is None, which numba compiles apart."""
    at_query, at_out, at_squares, at_sums, at_dots, at_images = at
    P, L, H, D = row[SLOTS], row[PLACES], row[PERMS], row[DOTS]
    form = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    n_basis = ints[row[INTS] + P]
    basis = row[INTS] + P + 1 + L * n_basis, D, row[DOUBLES] + HEAD + n_basis + P, H
    wide, energy = padded(P), splat(0.0)
    for tile in range(tiles[0], tiles[1]):
        X = row[DATA] + tile * BLOCK * (2 * P + 3)
        block, scalars = (X, X + BLOCK * P), X + 2 * BLOCK * P
        for place in range(L):
            query, out, at_sum = at_query + place * wide, at_out + place * wide * WIDTH, at_sums + place * WIDTH
            _dot_products(basis, ints, doubles, block, work, query, at_dots)
            xx = splat(work[at_squares + place])
            _all_images(basis, doubles, scalars, work, xx, at_dots, at_images)
            weights, sums = scalars + 2 * BLOCK, load(work, at_sum)
            energy, sums = _weigh(H, form, doubles, weights, work, at_images, (energy, sums))
            store(work, at_sum, sums)
            if g is not None:
                _gradient(basis, ints, doubles, block, work, out, at_images)
    return total(energy)
