"""Sums over training rows that stand one after the other, pairs side by side in vectors: large terms, without images,
in float64 or float32."""

from numba import njit

from gossamer.backends.numba._places import DATA, DOUBLES, NORM, ORDER, RATE, SCALARS, SLOTS, padded
from gossamer.backends.numba._vectors import CACHED, WIDTH, fma, lane, load, splat, store, total
from gossamer.backends.numba._weighing import weighted_factors

if CACHED:
    from gossamer.backends.numba._simd import totals


@njit(fastmath=True, cache=CACHED)
def _four_rows(tiles, row, data, doubles, work, at, g):
    at_query, at_out, at_squares, at_sums, _, _ = at
    P = padded(row[SLOTS])
    order, rate, norm = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    xx, sums = splat(work[at_squares]), load(work, at_sums)
    minus_two, zero = splat(-2.0), splat(0.0)
    energy = zero
    for tile in range(tiles[0], tiles[1]):
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
        scalars = row[SCALARS] + tile * 3 * WIDTH
        squared = fma(minus_two, totals(s0, s1, s2, s3), xx + load(doubles, scalars))
        a = totals(a0, a1, a2, a3) - load(doubles, scalars + WIDTH)
        e, k1, along = weighted_factors(squared, a, load(doubles, scalars + 2 * WIDTH), order, rate, norm)
        energy += e
        sums += along
        if g is None:
            continue
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


@njit(fastmath=True, cache=CACHED)
def _one_row(tiles, row, data, doubles, work, at, g):
    """`_four_rows` where vectors are single numbers, and tiles single rows."""
    at_query, at_out, at_squares, at_sums, _, _ = at
    P = row[SLOTS]
    order, rate, norm = row[ORDER], doubles[row[DOUBLES] + RATE], doubles[row[DOUBLES] + NORM]
    energy = 0.0
    for tile in range(tiles[0], tiles[1]):
        X, V, scalars = row[DATA] + tile * 2 * P, row[DATA] + tile * 2 * P + P, row[SCALARS] + tile * 3
        product, a = 0.0, 0.0
        for p in range(P):
            product += work[at_query + p] * data[X + p]
            a += work[at_query + p] * data[V + p]
        squared = work[at_squares] + doubles[scalars] - 2.0 * product
        e, k1, along = weighted_factors(squared, a - doubles[scalars + 1], doubles[scalars + 2], order, rate, norm)
        energy += e
        if g is None:
            continue
        work[at_sums] += along
        for p in range(P):
            work[at_out + p] += k1 * data[V + p] + along * data[X + p]
    return energy


over_tiles = _four_rows if CACHED else _one_row
